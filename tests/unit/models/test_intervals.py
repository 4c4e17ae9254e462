"""Bootstrap intervals against cases that can be worked out by hand."""

import numpy as np
import pytest
from scipy.stats import binom

from models.intervals import Bootstrap, class_intervals, label_intervals, mean_interval
from models.metrics import confusion, label_confusion, reliability

GIVEN = Bootstrap(rounds=4000, seed=3)


def test_accuracy_moves_as_a_binomial_does() -> None:
    gold = np.zeros(200, dtype=np.int64)
    answer = np.array([0] * 160 + [1] * 40)
    low, high = class_intervals(gold, answer, 2, GIVEN)["accuracy"]
    expected = binom.ppf([0.025, 0.975], 200, 0.8) / 200
    assert [low, high] == pytest.approx(expected.tolist(), abs=0.006)


def test_what_never_varies_has_no_width() -> None:
    gold = np.array([0, 1, 2] * 50)
    assert class_intervals(gold, gold, 3, GIVEN) == {"accuracy": [1.0, 1.0], "macro_f1": [1.0, 1.0]}
    assert class_intervals(gold[:0], gold[:0], 3, GIVEN) == {}


def test_answers_past_the_labels_count_as_wrong() -> None:
    gold, answer = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 2])
    assert confusion(gold, answer, 2) == [[1, 0, 1], [0, 1, 1]]
    low, high = class_intervals(gold, answer, 2, GIVEN)["accuracy"]
    assert 0.0 <= low < 0.5 < high <= 1.0


def test_the_same_seed_gives_the_same_interval() -> None:
    gold, answer = np.array([0, 1] * 30), np.array([0, 1, 1] * 20)
    first, again = (class_intervals(gold, answer, 2, Bootstrap(seed=1)) for _ in range(2))
    assert first == again
    assert first != class_intervals(gold, answer, 2, Bootstrap(seed=2))


def test_labels_of_a_text_are_drawn_together() -> None:
    """Two labels always right or wrong together must vary as 50 texts do, not as 100 cells."""
    right = np.array([True] * 40 + [False] * 10)
    gold = np.ones((50, 2), dtype=bool)
    answer = np.stack([right, right], axis=1)
    low, high = label_intervals(gold, answer, np.ones_like(gold), GIVEN)["accuracy"]
    assert [low, high] == pytest.approx((binom.ppf([0.025, 0.975], 50, 0.8) / 50).tolist(), abs=0.021)


def test_unknown_cells_are_neither_right_nor_wrong() -> None:
    gold = np.array([[True, False], [True, True]])
    answer = np.array([[True, True], [True, True]])
    known = np.array([[True, False], [True, True]])
    assert label_intervals(gold, answer, known, GIVEN)["micro_f1"] == [1.0, 1.0]
    assert label_confusion(gold, answer, known, ("a", "b")) == {"a": [[0, 0], [0, 2]], "b": [[0, 0], [0, 1]]}


def test_the_mean_of_differences() -> None:
    low, high = mean_interval(np.array([1.0] * 50 + [0.0] * 50), GIVEN)
    assert [low, high] == pytest.approx([0.40, 0.60], abs=0.015)


def test_reliability_bins_by_hand() -> None:
    confidence = np.array([0.9, 0.6, 0.8, 0.5])
    correct = np.array([True, False, True, True])
    assert reliability(confidence, correct, bins=2) == [
        {"confidence": 0.55, "accuracy": 0.5, "n": 2},
        {"confidence": 0.85, "accuracy": 1.0, "n": 2},
    ]
