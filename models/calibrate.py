"""Parts of the calibration: a temperature, topic thresholds, and the floor under which a text is "unsure".

Put together in models/fit_calibration.py, applied in models/calibration.py. Needs scipy.
Source of temperature scaling: Guo et al. 2017, https://arxiv.org/abs/1706.04599.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from models.heads import MULTILABEL
from models.metrics import Floats, Ints

LEAST, MOST = 0.3, 5.0  # temperatures outside tell of too little data, not of the model
THRESHOLDS = (0.25, 0.75)  # a topic's threshold stays readable as "about as likely as not"
FEWEST = 20  # positives a label needs for a threshold of its own
FLOORS = (0.40, 0.60)
FLOOR_ACCURACY = 0.55  # answers at the floor should be right a little more often than not


def fit_temperature(logits: Floats, gold: Floats | Ints, kind: str, weight: Floats | None = None) -> float:
    """The T that minimises the mean negative log-likelihood of logits / T, within LEAST..MOST.

    Softmax: logits [N, L], gold [N] classes. Multilabel: gold [N, L] of 0/1, weight [N, L] with 0 where unknown.
    """
    found = minimize_scalar(
        lambda log_t: nll(np.asarray(logits) / np.exp(log_t), gold, kind, weight),
        bounds=(np.log(LEAST), np.log(MOST)), method="bounded",
    )  # fmt: skip
    return round(float(np.exp(found.x)), 4)


def nll(logits: Floats, gold: Floats | Ints, kind: str, weight: Floats | None = None) -> float:
    """Mean negative log-likelihood of softmax or multilabel logits; see `fit_temperature` for the shapes."""
    if kind == MULTILABEL:
        each = np.logaddexp(0.0, logits) - logits * gold
        known = np.ones(each.shape) if weight is None else np.asarray(weight > 0.0, dtype=np.float64)
        return float((each * known).sum() / max(1.0, known.sum()))
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-log_p[np.arange(len(log_p)), np.asarray(gold, dtype=np.int64)].mean())


def fit_thresholds(
    probabilities: Floats, gold: Floats, known: NDArray[np.bool_], labels: Sequence[str]
) -> dict[str, float]:
    """Per label, the threshold within THRESHOLDS of the best F1 on calibrated probabilities [N, L]; 0.5 if too few."""
    grid = np.round(np.arange(THRESHOLDS[0], THRESHOLDS[1] + 1e-9, 0.025), 3)
    chosen = {}
    for index, label in enumerate(labels):
        rows = known[:, index]
        p, y = probabilities[rows, index], gold[rows, index] > 0.5
        if y.sum() < FEWEST:
            chosen[label] = 0.5
            continue
        scores = [2 * ((p >= t) & y).sum() / max(1, (p >= t).sum() + y.sum()) for t in grid]
        best = np.flatnonzero(np.asarray(scores) >= max(scores) - 1e-9)
        chosen[label] = float(grid[best[len(best) // 2]])
    return chosen


def fit_floor(confidence: Floats, correct: NDArray[np.bool_], window: int = 200) -> float:
    """The least confidence at which neighbouring texts are right FLOOR_ACCURACY of the time, within FLOORS."""
    order = np.argsort(confidence)
    for start in range(0, max(1, len(order) - window), max(1, window // 8)):
        part = order[start : start + window]
        if correct[part].mean() >= FLOOR_ACCURACY:
            return round(float(np.clip(confidence[part].mean(), *FLOORS)), 3)
    return FLOORS[1]
