"""Calibration by register, on made-up answers whose truth is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.calibration import Calibration, Registers
from models.data import Example
from models.fit_calibration import calibrate, fit_registers, held_out, part, register_evidence
from models.fit_scales import Evidence, fit_scales, fit_slope
from models.heads import TEXT, Head, softmax
from models.metrics import ece
from models.raw_answers import Kept
from models.registry import Release
from models.release import HEAD_SPECS
from models.reliability import band, reliability_report
from models.score import Scores
from tests.tiny_release import tiny_release

WIDTH = 6
TRUTH = {"fpb": 0.5, "twitter": 2.0}  # what the logits of a set must be multiplied by


def head(name: str) -> Head:
    spec = HEAD_SPECS[name]
    width = WIDTH * (1 if spec.input == TEXT else 2)
    zeros = np.zeros((len(spec.labels), width), np.float32)
    return Head(name, spec.kind, spec.input, spec.labels, zeros, zeros[:, 0])


HEADS = {name: head(name) for name in ("topics", "sentiment", "entity_sentiment", "fpb", "twitter")}


def made_up(name: str, count: int, seed: int) -> tuple[list[Example], Scores]:
    """Texts whose register shows in their vector, and whose labels follow the logits times the set's truth."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (count, 3)).astype(np.float32)
    gold = [int(rng.choice(3, p=p / p.sum())) for p in softmax(logits * TRUTH[name]).astype(float)]
    pooled = rng.normal(0, 0.5, (count, WIDTH)).astype(np.float32)
    pooled[:, 0] += 4 if name == "fpb" else -4
    labels = ("negative", "neutral", "positive")
    examples = [
        Example(f"{name}{row}", f"{name} text {'abcdefghij'[row % 10] * (row // 10 + 1)}", name, "en", sentiment=value,
                own=(labels[value],))
        for row, value in enumerate(gold)
    ]  # fmt: skip
    text = {"sentiment": logits, "topics": np.zeros((count, 17), np.float32), "fpb": logits, "twitter": logits}
    none = np.zeros(0, np.int64)
    return examples, Scores(text, np.zeros((0, 3), np.float32), none, none, pooled)


@pytest.fixture(scope="module")
def judged() -> dict[str, tuple[list[Example], Scores]]:
    return {"fpb": made_up("fpb", 1500, 1), "twitter": made_up("twitter", 1500, 2)}


def test_each_register_gets_its_own_scale(judged: dict[str, tuple[list[Example], Scores]]) -> None:
    registers = fit_registers(judged)
    assert registers is not None
    scale = dict(zip(registers.names, registers.scales["sentiment"], strict=True))
    assert scale["fpb"] == pytest.approx(0.5, rel=0.15)
    assert scale["twitter"] == pytest.approx(2.0, rel=0.15)


def test_one_temperature_cannot_fit_both_but_registers_can(judged: dict[str, tuple[list[Example], Scores]]) -> None:
    fitted = calibrate(judged, HEADS)
    flat = Calibration(fitted.temperatures)
    errors = {}
    for kind, calibration in (("registers", fitted), ("one", flat)):
        examples, scores = judged["twitter"]
        p = calibration.probabilities(HEADS["sentiment"], scores.text["sentiment"], scores.pooled, "en")
        gold = np.array([example.sentiment for example in examples])
        errors[kind] = ece(p.max(1), p.argmax(1) == gold)
    assert errors["one"] > 0.1
    assert errors["registers"] < 0.05


def test_one_text_alone_is_answered_as_among_others(judged: dict[str, tuple[list[Example], Scores]]) -> None:
    fitted = calibrate(judged, HEADS)
    scores = judged["fpb"][1]
    logits, pooled = scores.text["sentiment"], scores.pooled
    alone = [fitted.probabilities(HEADS["sentiment"], logits[i : i + 1], pooled[i : i + 1], "en")[0] for i in range(50)]
    together = fitted.probabilities(HEADS["sentiment"], logits[:50], pooled[:50], "en")
    np.testing.assert_allclose(alone, together, atol=1e-6)


def scores_of(logits: list[list[float]]) -> Scores:
    rows = np.array(logits, np.float32)
    none = np.zeros(0, np.int64)
    return Scores({"sentiment": rows}, np.zeros((0, 3), np.float32), none, none, np.zeros((len(rows), 2), np.float32))


@pytest.mark.parametrize(
    ("example", "seen", "possible"),
    [
        (Example("1", "x", "finnsp", "zh", not_negative=True), [0, 1, 1], [1, 1, 1]),
        (Example("1", "x", "stockemotions", "en", sentiment=0), [1, 0, 0], [1, 0, 1]),
        (Example("1", "x", "fpb", "en", sentiment=2), [0, 0, 1], [1, 1, 1]),  # the best label is right
        (Example("1", "x", "fpb", "en", sentiment=1), [1, 1, 0], [1, 1, 1]),  # it is wrong: no more is asked
    ],
)
def test_what_a_label_tells_of_an_answer(example: Example, seen: list[int], possible: list[int]) -> None:
    rows, evidence = register_evidence([Example("0", "y", "thuc10", "zh"), example], scores_of([[9, 0, 0], [0, 1, 2]]))
    assert rows.tolist() == [1]
    assert (evidence.seen.tolist(), evidence.possible.tolist()) == ([seen], [possible])


def test_partial_labels_give_the_slope_of_their_likelihood() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=(4, 3))
    seen = np.array([[0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    evidence = Evidence(z, seen, np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1], [1, 0, 1.0]]))
    _, slope = evidence.loss(z)
    for at in np.ndindex(4, 3):
        step = np.zeros((4, 3))
        step[at] = 1e-6
        assert slope[at] == pytest.approx((evidence.loss(z + step)[0] - evidence.loss(z - step)[0]) / 2e-6, abs=1e-6)


def test_a_slope_is_found_where_sure_answers_are_too_modest() -> None:
    rng = np.random.default_rng(4)
    z = rng.normal(0, 2, size=(6000, 5))
    truth = Calibration({"twitter20": {"en": 1.0}}, slopes={"twitter20": {"en": 1.0}})
    scale = truth.scale("twitter20", z.astype(np.float32), np.zeros((6000, 1), np.float32), "en")
    gold = np.array([rng.choice(5, p=p / p.sum()) for p in softmax(z * scale[:, None]).astype(float)])
    temperature, slope = fit_slope(Evidence.of_best(z, gold))
    assert temperature == pytest.approx(1.0, rel=0.1)
    assert slope == pytest.approx(1.0, abs=0.25)


def test_no_calibration_changes_which_label_is_best() -> None:
    rng = np.random.default_rng(5)
    logits, text = rng.normal(0, 3, (200, 3)).astype(np.float32), rng.normal(size=(200, 2)).astype(np.float32)
    registers = Registers(("a", "b"), np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
    for scales in ([1.0, 2.0], [0.01, -3.0], [50.0, 0.0]):  # also what no fit would give
        wild = replace(registers, scales={"sentiment": np.array(scales, np.float32)})
        for calibration in (Calibration(registers=wild), Calibration(slopes={"sentiment": {"en": -8.0}})):
            p = calibration.probabilities(HEADS["sentiment"], logits, text, "en")
            assert (p.argmax(1) == logits.argmax(1)).all()


def test_registers_share_their_scale_by_how_likely_they_are() -> None:
    p = np.repeat(np.eye(2), 3000, axis=0)
    rng = np.random.default_rng(6)
    z = rng.normal(0, 1.5, size=(6000, 3))
    true = z * np.repeat([0.5, 1.5], 3000)[:, None]
    gold = np.array([rng.choice(3, p=q / q.sum()) for q in softmax(true).astype(float)])
    np.testing.assert_allclose(fit_scales(Evidence.of_best(z, gold), p), [0.5, 1.5], atol=0.15)


def test_held_out_answers_come_from_other_stories(judged: dict[str, tuple[list[Example], Scores]]) -> None:
    small = {name: part(*both, np.arange(len(both[0])) < 300) for name, both in judged.items()}
    found = held_out(small, HEADS, folds=3)
    assert set(found) == {(name, at) for name in small for at in ("sentiment", name)}
    fitted = calibrate(small, HEADS)
    own = fitted.probabilities(HEADS["fpb"], small["fpb"][1].text["fpb"], small["fpb"][1].pooled, "en")
    p = found["fpb", "fpb"]
    assert np.abs(p.sum(1) - 1).max() < 1e-5  # every text has an answer
    assert np.abs(p - own).max() > 1e-4  # and not that of the calibration which saw it
    report = reliability_report(small, HEADS, {"sentiment": 0.5})
    assert {(row["set"], row["head"]) for row in report["sets"]} == set(found)
    assert [row["language"] for row in report["unsure"]] == ["en"]
    assert sum(part["n"] for part in report["sets"][0]["bins"]) == 300


def test_the_unsure_band_counts_what_is_under_the_floor() -> None:
    confidence = np.array([0.4, 0.5, 0.6, 0.9])
    found = band(confidence, np.array([False, True, True, True]), 0.55, window=2)
    assert found == {"n": 4, "share": 0.5, "under": 0.5, "over": 1.0, "near": 1.0}
    assert band(confidence, confidence > 0, 0.1)["under"] is None


class Counting:
    """A contract encoder that counts its calls."""

    name = "counting"

    def __init__(self, width: int) -> None:
        self.calls, self.width = 0, width

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        self.calls += 1
        return np.repeat(ids[..., None], self.width, axis=2).astype(np.float32) * mask[..., None]


def test_answers_are_kept_until_texts_or_weights_change(tmp_path: Path) -> None:
    release: Release = tiny_release(tmp_path)
    encoder = Counting(int(release.manifest["encoder"]["hidden_size"]))
    kept = Kept(release, encoder, "weights 1", tmp_path / "raw")
    examples = [Example(str(n), f"w{n} shares fall", "fpb", "en", sentiment=0) for n in range(5)]
    first, second = kept.score("fpb", examples), kept.score("fpb", examples)
    assert encoder.calls == 1
    for name, logits in first.text.items():
        np.testing.assert_array_equal(second.text[name], logits)
    np.testing.assert_array_equal(second.pooled, first.pooled)
    kept.score("fpb", examples[:4])
    Kept(release, encoder, "weights 2", tmp_path / "raw").score("fpb", examples)
    assert encoder.calls == 3
    for file in (tmp_path / "raw").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    kept.score("fpb", examples)
    assert encoder.calls == 4
