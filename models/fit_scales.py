"""Fit what logits are multiplied by (models/calibration.py), by the likelihood of what can be seen to be right or not.

Of an answer that means: is the best label right? (top-label calibration, Gupta and Ramdas 2022,
https://arxiv.org/abs/2107.08353.) The likelihood of all labels, as Guo et al. 2017 fit it, is dominated by answers that
are sure and wrong; its confidence was 2 points too high on twitter20 and finese.

A register is a training set that the shared head follows: headlines, company news, tweets, forum posts. Reading it is
a logistic regression on pooled vectors (scikit-learn).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models.calibration import LEAST, MOST, Registers, certainty

Matrix = NDArray[np.float64]
STRENGTH = 1.0  # of the logistic regression: scikit-learn's C
PULL_REGISTER, PULL_SLOPE = 10.0, 3.0  # what it takes, in texts, to leave the common scale and a slope of zero


@dataclass(frozen=True)
class Evidence:
    """What was seen of N answers with logits [N, L], as 0 or 1 [N, L]: the true label is one of `seen`, out of
    `possible` (all, unless the set knows only some)."""

    logits: Matrix
    seen: Matrix
    possible: Matrix

    @classmethod
    def of_best(cls, logits: Matrix, gold: NDArray[np.int64]) -> Evidence:
        """Only whether the best label was right, of classes [N]."""
        best = np.eye(logits.shape[1])[logits.argmax(axis=1)]
        right = (logits.argmax(axis=1) == gold)[:, None]
        return cls(logits, np.where(right, best, 1 - best), np.ones(logits.shape))

    def loss(self, z: Matrix) -> tuple[float, Matrix]:
        """Mean of -log p(seen | possible) of scaled logits z [N, L], and its gradient [N, L]."""
        seen, log_seen = _share(z, self.seen)
        possible, log_possible = _share(z, self.possible)
        return float((log_possible - log_seen).mean()), (possible - seen) / len(z)


def _share(z: Matrix, mask: Matrix) -> tuple[Matrix, NDArray[np.float64]]:
    """Softmax among the masked labels, and the logarithm of their sum of exponentials."""
    inside = np.where(mask > 0, z, -np.inf)
    top = inside.max(axis=1, keepdims=True)
    each = np.exp(inside - top)
    total = each.sum(axis=1, keepdims=True)
    return each / total, (top + np.log(total))[:, 0]


def fit_reader(pooled: NDArray[np.float32], registers: Sequence[str]) -> Registers:
    """Read registers (one name a text, at least two names) off pooled vectors [N, H]; scales no head yet."""
    from sklearn.linear_model import LogisticRegression

    mean = pooled.mean(axis=0)
    found: Any = LogisticRegression(C=STRENGTH, max_iter=300, tol=1e-3).fit(pooled - mean, list(registers))
    weight, bias = found.coef_, found.intercept_
    if len(found.classes_) == 2:  # scikit-learn then gives one row, of the second against the first
        weight, bias = np.stack([-weight[0] / 2, weight[0] / 2]), np.array([-bias[0] / 2, bias[0] / 2])
    names, shifted = tuple(str(name) for name in found.classes_), bias - weight @ mean
    return Registers(names, weight.astype(np.float32), shifted.astype(np.float32))


def fit_scales(evidence: Evidence, p: Matrix) -> NDArray[np.float32]:
    """The scale of each register, [R], from texts whose registers are p [N, R]."""
    features = np.concatenate([np.ones((len(p), 1)), p], axis=1)
    found = _fit(evidence, features, PULL_REGISTER)
    return np.clip(found[0] + found[1:], LEAST, MOST).astype(np.float32)


def fit_slope(evidence: Evidence) -> tuple[float, float]:
    """(temperature, slope) of a head on texts of one language."""
    features = np.stack([np.ones(len(evidence.logits)), certainty(evidence.logits.astype(np.float32)) - 0.5], axis=1)
    found = _fit(evidence, features, PULL_SLOPE)
    return round(float(1.0 / np.clip(found[0], LEAST, MOST)), 4), round(float(found[1]), 4)


def _fit(evidence: Evidence, features: Matrix, pull: float) -> Matrix:
    """Weights of scale = features [N, F] @ weights; all but the first are pulled to zero."""
    held = np.full(features.shape[1], pull / len(features))
    held[0] = 0.0

    def loss(weights: Matrix) -> tuple[float, Matrix]:
        value, slope = evidence.loss(evidence.logits * (features @ weights)[:, None])
        along = (slope * evidence.logits).sum(axis=1)
        return value + float((held * weights**2).sum()) / 2, features.T @ along + held * weights

    start = np.zeros(features.shape[1])
    start[0] = 1.0
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x)
