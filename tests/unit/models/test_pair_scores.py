"""Scores and explanations of a pair: every text by the part that reads it, merged in order."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.classifier import load_classifier
from models.contract import Encoder, Text
from models.engines.choose import load_encoder
from models.evaluate import Scored, evaluate_release
from models.examples import Example, Mention
from models.explain import Explainer
from models.judging import Question, judge
from models.labelled import Labelled
from models.paired import Pair
from models.registry import Release
from tests.tiny_release import tiny_pair

TEXTS = ["苹果股价下跌", "apple shares fall", "公司大涨利好", "w1 w2 w3", "利空 股价", "", "apple shares rise w9"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return tiny_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def encoders(pair: Pair) -> list[Encoder]:
    return [load_encoder(part, "onnxruntime", "fp32", 1).encoder for part in pair.parts]


def labelled(name: str, texts: Sequence[str] = TEXTS) -> Labelled:
    examples = [Example(str(i), text, name, "zh", sentiment=i % 3) for i, text in enumerate(texts)]
    own = ("negative", "neutral", "positive")
    return Labelled(name, [replace(example, own=(own[example.sentiment or 0],)) for example in examples])


def test_the_answers_are_those_of_the_product(pair: Pair, encoders: list[Encoder]) -> None:
    lines = Scored.by(pair, encoders, labelled("finfe")).predictions()
    classifier = load_classifier(pair.folder, "onnxruntime", "fp32", 1)
    answers = classifier.predict([Text(text) for text in TEXTS])
    classifier.close()
    assert [line["id"] for line in lines] == [str(i) for i in range(len(TEXTS))]
    for line, answer in zip(lines, answers, strict=True):
        assert list(line["product"]["sentiment"]["p"].values()) == pytest.approx(answer.sentiment, abs=2e-4)
        assert line["product"]["unsure"] == answer.unsure
        assert [topic["label"] for topic in line["product"]["topics"]] == [label for label, _ in answer.topics]


@pytest.mark.parametrize("name, place", [("finfe", 1), ("fpb", 0)])
def test_a_sets_own_head_answers_all_its_texts(pair: Pair, encoders: list[Encoder], name: str, place: int) -> None:
    """Also those that the other part reads: they are in the set's labels all the same."""
    given = labelled(name)
    whole, alone = Scored.by(pair, encoders, given), Scored.by(pair.parts[place], [encoders[place]], given)
    own, expected = whole.own(), alone.own()
    assert own is not None and expected is not None and len(own.rows) == len(TEXTS)
    np.testing.assert_allclose(own.p, expected.p, atol=1e-6)
    report = whole.report()
    assert (report["n"], report["texts"]) == (len(TEXTS), len(TEXTS))
    assert {"product", "own"} <= report.keys()


def test_thresholds_and_floors_are_those_of_the_part_that_reads(pair: Pair, encoders: list[Encoder]) -> None:
    english, chinese = pair.parts
    sure = replace(english.calibration, floor={"sentiment": 0.0}, thresholds=dict.fromkeys(
        english.heads["topics"].labels, 0.0))  # fmt: skip
    bold = _with(english, sure)
    answered = Scored.by(replace(pair, parts=(bold, chinese)), encoders, labelled("finfe")).answered
    english_rows = [i for i, text in enumerate(TEXTS) if pair.place_of(text) == 0]
    assert [i for i, floor in enumerate(answered.floors()) if floor == 0.0] == english_rows
    assert [i for i, row in enumerate(answered.thresholds()) if not row.any()] == english_rows


def _with(release: Release, calibration) -> Release:
    changed = replace(release)
    changed.__dict__["calibration"] = calibration
    return changed


def test_mentions_come_back_in_the_order_of_the_texts(pair: Pair, encoders: list[Encoder]) -> None:
    examples = [
        Example(str(i), text, "sentfin", "en", mentions=(Mention(0, 2, i % 3),) if text else ())
        for i, text in enumerate(TEXTS)
    ]
    found = Scored.by(pair, encoders, Labelled("sentfin", examples)).answered.mentions()
    kept = [i for i, text in enumerate(TEXTS) if text]
    assert (list(found.rows), list(found.gold)) == (kept, [i % 3 for i in kept])
    classifier = load_classifier(pair.folder, "onnxruntime", "fp32", 1)
    answers = classifier.predict([Text(TEXTS[i], ((0, 2),)) for i in kept])
    classifier.close()
    for p, answer in zip(found.p, answers, strict=True):
        if answer.spans[0].basis == "mention":
            assert list(p) == pytest.approx(answer.spans[0].p, abs=2e-4)


def test_a_part_is_judged_on_the_sets_of_its_language(pair: Pair, encoders: list[Encoder], tmp_path: Path) -> None:
    for folder, name, language in (("en_sent", "fpb", "en"), ("zh_sent", "finfe", "zh")):
        said = "股价大涨" if language == "zh" else "shares rise"
        rows = [
            {"id": f"{name}{n}", "text": f"{said} {'abcdefghij'[n // 10]}{'klmnopqrst'[n % 10]}", "lang": language,
             "label": ("negative", "neutral", "positive")[n % 3]}
            for n in range(100)
        ]  # fmt: skip
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert set(evaluate_release(pair.parts[1], encoders[1:], tmp_path)) == {"finfe"}
    found = judge(pair, encoders, Question(tmp_path)).report
    assert set(found["sets"]) == {"fpb", "finfe"}
    assert found["model_version"] == pair.version
    assert found["engine"] == "onnxruntime fp32"
    alone = judge(pair, encoders, Question(tmp_path, "finfe", robust=True, most=5))
    assert alone.report["robustness"]["negation"]["en"]["n"] > 0


def test_an_explanation_is_that_of_the_part_that_reads(pair: Pair, encoders: list[Encoder]) -> None:
    both = Explainer(pair, encoders)
    for place, text in enumerate(("apple shares fall w1", "公司股价下跌")):
        found = both.explain(text)
        alone = Explainer(pair.parts[place], [encoders[place]]).explain(text)
        assert replace(found, model_version=alone.model_version) == alone
        assert found.model_version == pair.version
