"""Calibration and scores, on numbers small enough to work out by hand."""

import numpy as np
import pytest

from models.calibrate import FLOORS, fit_floor, fit_temperature, fit_thresholds, nll
from models.heads import MULTILABEL, SOFTMAX, softmax
from models.metrics import class_report, ece, ece_by_chance, multilabel_report


def test_ece_of_a_hand_computed_case() -> None:
    # two bins of two: |0.5 - 0.55| and |1.0 - 0.9|, each half of the mass
    confidence = np.array([0.9, 0.5, 0.6, 0.9])
    correct = np.array([1.0, 0.0, 1.0, 1.0])
    assert ece(confidence, correct, bins=2) == pytest.approx(0.5 * 0.05 + 0.5 * 0.1)


def test_a_perfect_model_shows_a_small_error_by_chance() -> None:
    confidence = np.full(400, 0.8)
    assert 0.02 < ece_by_chance(confidence) < 0.12


def test_temperature_of_overconfident_logits_lowers_the_loss() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(2000, 3))
    gold = np.array([rng.choice(3, p=p) for p in softmax(logits)])
    over = logits * 2.5
    temperature = fit_temperature(over, gold, SOFTMAX)
    assert temperature == pytest.approx(2.5, rel=0.15)
    assert nll(over / temperature, gold, SOFTMAX) < nll(over, gold, SOFTMAX)


def test_multilabel_temperature_ignores_masked_labels() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(3000, 2)) * 2
    gold = (rng.random((3000, 2)) < 1 / (1 + np.exp(-logits))).astype(float)
    gold[:, 1] = 1 - gold[:, 1]  # nonsense, but masked
    weight = np.array([[1.0, 0.0]] * 3000)
    assert fit_temperature(logits, gold, MULTILABEL, weight) == pytest.approx(1.0, rel=0.15)


def test_thresholds_stay_in_bounds_and_need_enough_positives() -> None:
    p = np.linspace(0, 1, 200)[:, None].repeat(2, axis=1)
    gold = np.zeros((200, 2))
    gold[170:, 0] = 1
    gold[199, 1] = 1
    chosen = fit_thresholds(p, gold, np.ones((200, 2), dtype=bool), ["many", "few"])
    assert chosen == {"many": pytest.approx(0.75), "few": 0.5}


def test_floor_is_where_answers_become_right_more_often_than_not() -> None:
    rng = np.random.default_rng(3)
    confidence = np.sort(rng.uniform(0.34, 1.0, 4000))
    floor = fit_floor(confidence, rng.random(4000) < confidence)
    assert FLOORS[0] <= floor <= FLOORS[1]
    assert floor == pytest.approx(0.55, abs=0.05)


def test_class_report_counts_an_unknown_answer_as_wrong() -> None:
    report = class_report(np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1]), ["a", "b"])
    assert report["accuracy"] == 0.75
    assert report["classes"]["a"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(0.6667), "n": 2}


def test_multilabel_report_counts_known_cells_only() -> None:
    gold = np.array([[1, 0], [1, 1]])
    predicted = np.array([[True, True], [False, True]])
    known = np.array([[True, False], [True, True]])
    assert multilabel_report(gold, predicted, known, ["a", "b"])["micro_f1"] == pytest.approx(0.8)
