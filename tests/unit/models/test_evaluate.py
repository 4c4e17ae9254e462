"""Scoring a release over labelled texts, with an encoder small enough to see through."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.comparison import table, task_of
from models.data import Example, Mention
from models.evaluate import Scored, evaluate_set
from models.labelled import Labelled, labelled_file
from models.registry import Release
from models.score import score
from models.taxonomy import FINNL_LABELS, TOPIC_IDS
from tests.unit.models.seen_through import OneHot, labelled, release_in


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return release_in(tmp_path)


def test_scores_come_back_in_order_whatever_the_lengths(release: Release) -> None:
    rows = labelled(("good good good flat", 2), ("bad", 0), ("flat flat", 1), ("good", 2), ("bad bad bad", 0)).examples
    assert list(score(release, OneHot(), rows, batch=2).text["sentiment"].argmax(1)) == [2, 0, 1, 2, 0]


def test_a_set_is_judged_on_the_product_head(release: Release) -> None:
    given = labelled(("good", 2), ("bad", 0), ("flat", 1), ("good", 0))
    report = evaluate_set(release, [OneHot()], given)
    assert (report["judged_by"], report["accuracy"], report["metric"]) == ("product", 0.75, "macro_f1")
    assert report["classes"]["positive"]["precision"] == 0.5
    assert report["ece"] == pytest.approx(0.25, abs=0.01)
    assert report["product"]["confusion"] == {
        "labels": ["negative", "neutral", "positive"],
        "rows_gold_columns_answer": [[1, 0, 1], [0, 1, 0], [0, 0, 1]],
    }
    line = table({"fpb": report}, {"fpb": {"macro_f1": 0.5}}).splitlines()[2]
    assert line.startswith("| fpb | en | 4 | macro_f1 | 0.500 | 0.778 |")
    assert "finBERT" in line or "MPT" in line  # what others publish stands beside it


def test_both_readings_are_told_each_in_its_labels(tmp_path: Path) -> None:
    upside_down = np.eye(3)[::-1] * 20  # the set calls positive what the product calls negative
    release = release_in(tmp_path, fpb=upside_down)
    report = evaluate_set(release, [OneHot()], labelled(("good", 2), ("bad", 0), ("flat", 1)))
    assert report["product"]["accuracy"] == 1.0
    assert report["own"]["accuracy"] == pytest.approx(1 / 3, abs=1e-4)
    assert report["accuracy"] == 1.0


def test_a_release_without_the_sets_head_has_no_own_reading(release: Release) -> None:
    release.manifest["heads"].pop("fpb")
    report = evaluate_set(release, [OneHot()], labelled(("good", 2), ("bad", 0)))
    assert "own" not in report
    assert "own" not in Scored.by(release, [OneHot()], labelled(("good", 2))).predictions()[0]


def test_neutral_is_an_error_where_a_set_has_none_unless_left_out(release: Release) -> None:
    given = labelled(("good", 2), ("flat flat bad", 0), name="wwwxmu")
    given = replace(given, examples=[replace(example, no_neutral=True) for example in given.examples])
    report = evaluate_set(release, [OneHot()], given)
    assert report["accuracy"] == 0.5
    assert report["two_way"]["accuracy"] == 1.0


def test_negative_or_not_is_what_the_product_shows(release: Release) -> None:
    rows = [
        Example("1", "bad", "finnsp", "zh", sentiment=0, own=("negative",)),
        Example("2", "flat", "finnsp", "zh", not_negative=True, own=("non-negative",)),
        Example(
            "3",
            " ".join(["bad"] * 24 + ["flat", "good"] * 23),
            "finnsp",
            "zh",
            not_negative=True,
            own=("non-negative",),
        ),
    ]
    report = evaluate_set(release, [OneHot()], Labelled("finnsp", rows))
    assert set(report["classes"]) == {"negative", "non-negative"}
    assert report["accuracy"] == pytest.approx(2 / 3, abs=1e-4)  # the third: .40 negative is likeliest, so it is shown


def test_mentions_are_scored_by_their_own_tokens(release: Release) -> None:
    mentions = (Mention(0, 4, sentiment=2), Mention(5, 9, sentiment=0))
    rows = [Example("1", "good bad", "sentfin", "en", own=("mixed",), mentions=mentions)]
    scores = score(release, OneHot(), rows)
    assert list(scores.mention.argmax(1)) == [2, 0]
    report = evaluate_set(release, [OneHot()], Labelled("sentfin", rows))
    assert report["entities"]["accuracy"] == 1.0
    assert "product" not in report  # mixed: no one sentiment is right
    assert report["judged_by"] == "own"


def test_topics_are_judged_in_both_labels(tmp_path: Path) -> None:
    topics = np.zeros((len(TOPIC_IDS), 3))
    topics[TOPIC_IDS.index("stock_moves"), 0] = 20  # bad: a move
    own = np.full((len(FINNL_LABELS), 3), -20.0)
    own[FINNL_LABELS.index("大盘"), 0] = 20
    release = release_in(tmp_path, topics=topics, finnl=own)
    rows = [Example("1", "bad", "finnl", "zh", own=("大盘",)), Example("2", "good", "finnl", "zh", own=("经济",))]
    scored = Scored.by(release, [OneHot()], Labelled("finnl", rows))
    report = scored.report()
    assert (report["judged_by"], report["metric"]) == ("own", "micro_f1")
    assert report["micro_f1"] == pytest.approx(2 / 3, abs=1e-4)  # one label hit of two, none too many
    assert report["accuracy"] == 0.5
    assert report["product"]["classes"]["stock_moves"]["recall"] == 1.0
    first = scored.predictions()[0]
    assert first["own"]["labels"] == ["大盘"]
    assert {"label": "stock_moves", "p": 1.0} in first["product"]["topics"]


def test_sources_and_languages_are_told_apart(release: Release) -> None:
    given = labelled(("good", 2), ("bad", 0), ("good", 0), ("flat", 1))
    examples = [*given.examples[:3], replace(given.examples[3], language="zh")]
    report = evaluate_set(release, [OneHot()], replace(given, examples=examples, sources=("a", "a", "b", "")))
    assert report["language"] == "mixed"
    assert report["product"]["by_language"]["en"]["accuracy"] == 0.6667
    assert report["product"]["by_language"]["zh"]["n"] == 1
    assert {name: part["accuracy"] for name, part in report["product"]["by_source"].items()} == {"a": 1.0, "b": 0.0}


def test_groups_are_those_of_the_texts_that_have_an_answer(release: Release) -> None:
    rows = [
        Example("1", "bad", "sentfin", "en", own=("mixed",)),
        Example("2", "good", "sentfin", "en", sentiment=2, own=("positive",)),
        Example("3", "good", "sentfin", "en", sentiment=0, own=("negative",)),
    ]
    report = evaluate_set(release, [OneHot()], Labelled("sentfin", rows, ("x", "y", "z")))
    assert {name: part["accuracy"] for name, part in report["product"]["by_source"].items()} == {"y": 1.0, "z": 0.0}


def test_predictions_say_gold_the_products_answer_and_the_sets_own(release: Release) -> None:
    lines = Scored.by(release, [OneHot()], labelled(("good", 2), ("", 1))).predictions()
    assert lines[0]["id"] == "0"
    assert lines[0]["gold"] == "positive"
    assert lines[0]["product"]["sentiment"] == {
        "label": "positive", "p": {"negative": 0.0, "neutral": 0.0, "positive": 1.0}}  # fmt: skip
    assert lines[0]["product"]["unsure"] is False
    assert sum(lines[0]["own"]["p"].values()) == pytest.approx(1.0, abs=1e-3)
    assert lines[1]["product"]["sentiment"]["label"] == "neutral"  # the prior: an empty text says nothing
    assert lines[1]["product"]["unsure"] is True


def test_a_file_kept_apart_is_scored_whole(release: Release, tmp_path: Path) -> None:
    file = tmp_path / "fpb_test.jsonl"
    said = [("good", "positive"), ("bad", "negative"), ("bad", "neutral")]
    rows = [{"id": str(n), "text": text, "label": label, "lang": "en"} for n, (text, label) in enumerate(said)]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    report = evaluate_set(release, [OneHot()], labelled_file(file, "fpb"))
    assert (report["n"], report["split"]) == (3, "fpb_test.jsonl")


def test_the_baseline_is_asked_in_the_sets_own_labels() -> None:
    task = task_of("twitter20", [Example("1", "x", "twitter20", "en", own=("Earnings",))])
    assert task is not None
    assert task.gold.tolist() == [4]
    assert task_of("thuc10", [Example("1", "x", "thuc10", "zh")]) is None
