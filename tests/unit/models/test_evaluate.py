"""Scoring a release over labelled examples, with an encoder small enough to see through."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from models.data import Example, Mention
from models.evaluate import evaluate_file, evaluate_set, table, task_of
from models.registry import ENCODER, Release
from models.release import HEAD_SPECS, ReleaseInfo, write_release
from models.score import score

WORDS = ("[PAD]", "[UNK]", "bad", "flat", "good", "Acme", "Bolt")


class OneHot:
    """A contract encoder whose hidden state says which of bad, flat, good each token is."""

    name = "one-hot"

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        hidden = np.zeros((*ids.shape, 3), dtype=np.float32)
        for place, word in enumerate(("bad", "flat", "good")):
            hidden[..., place] = (ids == WORDS.index(word)) * mask
        return hidden


@pytest.fixture
def release(tmp_path: Path) -> Release:
    source = tmp_path / "encoder"
    source.mkdir()
    (source / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 3, "pad_token_id": 0}))
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(source / "tokenizer.json"))
    state: dict[str, np.ndarray] = {f"{ENCODER}w": np.zeros((2, 2), dtype=np.float32)}
    for name, spec in HEAD_SPECS.items():
        width = 6 if spec.input == "mention+text" else 3
        state[f"heads.{name}.weight"] = np.zeros((len(spec.labels), width), dtype=np.float32)
        state[f"heads.{name}.bias"] = np.zeros(len(spec.labels), dtype=np.float32)
    state["heads.sentiment.weight"] = np.eye(3, dtype=np.float32) * 20
    state["heads.entity_sentiment.weight"] = np.eye(3, 6, dtype=np.float32) * 20
    return write_release(tmp_path / "tiny", state, source, ReleaseInfo("tiny"))


def examples(*pairs: tuple[str, int]) -> list[Example]:
    return [Example(str(n), text, "fpb", "en", sentiment=gold) for n, (text, gold) in enumerate(pairs)]


def test_scores_come_back_in_order_whatever_the_lengths(release: Release) -> None:
    texts = [("good good good flat", 2), ("bad", 0), ("flat flat", 1), ("good", 2), ("bad bad bad", 0)]
    rows = examples(*texts)
    assert list(score(release, OneHot(), rows, batch=2).text["sentiment"].argmax(1)) == [2, 0, 1, 2, 0]


def test_a_set_is_judged_on_the_product_head(release: Release) -> None:
    report = evaluate_set(release, OneHot(), "fpb", examples(("good", 2), ("bad", 0), ("flat", 1), ("good", 0)))
    assert report["accuracy"] == 0.75
    assert report["classes"]["positive"]["precision"] == 0.5
    assert report["ece"] == pytest.approx(0.25, abs=0.01)
    assert "| fpb | en | 4 | macro_f1 | 0.500 |" in table({"fpb": report}, {"fpb": {"macro_f1": 0.5}})


def test_neutral_is_an_error_where_a_set_has_none_unless_left_out(release: Release) -> None:
    report = evaluate_set(release, OneHot(), "wwwxmu", examples(("good", 2), ("flat flat bad", 0)))
    assert report["accuracy"] == 0.5
    assert report["two_way"]["accuracy"] == 1.0


def test_negative_or_not_is_judged_as_two_classes(release: Release) -> None:
    rows = [Example("1", "bad", "finnsp", "zh", sentiment=0), Example("2", "flat", "finnsp", "zh", not_negative=True)]
    report = evaluate_set(release, OneHot(), "finnsp", rows)
    assert report["accuracy"] == 1.0
    assert set(report["classes"]) == {"negative", "non-negative"}


def test_mentions_are_scored_by_their_own_tokens(release: Release) -> None:
    mentions = (Mention(0, 4, sentiment=2), Mention(5, 9, sentiment=0))
    rows = [Example("1", "good bad", "sentfin", "en", sentiment=1, mentions=mentions)]
    scores = score(release, OneHot(), rows)
    assert list(scores.mention.argmax(1)) == [2, 0]
    assert list(scores.mention_gold) == [2, 0]
    assert evaluate_set(release, OneHot(), "sentfin", rows)["entities"]["accuracy"] == 1.0


def test_a_file_kept_apart_is_scored_whole(release: Release, tmp_path: Path) -> None:
    file = tmp_path / "fpb_test.jsonl"
    labelled = [("good", "positive"), ("bad", "negative"), ("bad", "neutral")]
    rows = [{"id": str(n), "text": text, "label": label, "lang": "en"} for n, (text, label) in enumerate(labelled)]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    report = evaluate_file(release, OneHot(), file, "fpb")
    assert (report["n"], report["split"]) == (3, "fpb_test.jsonl")


def test_sets_with_their_own_labels_use_their_own_head() -> None:
    task = task_of("twitter20", [Example("1", "x", "twitter20", "en", own=("Earnings",))])
    assert task is not None
    assert (task.head, task.gold.tolist()) == ("twitter20", [4])
    assert task_of("thuc10", [Example("1", "x", "thuc10", "zh")]) is None
