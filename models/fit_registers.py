"""Fit the registers of models/calibration.py: how a text is written, and what that means for a head's certainty.

A register is a training set whose convention the shared head follows: headlines, company news, tweets, forum posts.
Reading it is a logistic regression on pooled vectors (scikit-learn). Scale and bias per register are found together by
the likelihood of the labels (scipy), pulled towards one scale for all and no bias, so that a register with few texts
stays near the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models.calibration import Adjustment, Registers

Matrix = NDArray[np.float64]

STRENGTH = 1.0  # scikit-learn's C
LEAST_SCALE, MOST_SCALE = 0.2, 3.3  # temperatures of 5 and 0.3: outside, there was too little data


@dataclass(frozen=True)
class Pull:
    """How strongly scales are held at the common one and biases at zero, in texts' worth of likelihood."""

    scale: float = 10.0
    bias: float = 10.0


@dataclass(frozen=True)
class Evidence:
    """What N texts say about a head: its logits [N, L], and as 0 or 1 [N, L] which labels their set allows
    (one: the label; several: one of them, not known which) out of those it knows at all."""

    logits: Matrix
    allowed: Matrix
    known: Matrix = field(default_factory=lambda: np.zeros((0, 0)))

    def loss(self, z: Matrix) -> tuple[float, Matrix]:
        """Mean of -log p(allowed | known) of adjusted logits z [N, L], and its gradient [N, L]."""
        allowed, log_allowed = _share(z, self.allowed)
        known, log_known = _share(z, self.known if len(self.known) else np.ones_like(z))
        return float((log_known - log_allowed).mean()), (known - allowed) / len(z)


def _share(z: Matrix, mask: Matrix) -> tuple[Matrix, NDArray[np.float64]]:
    """Softmax among the masked labels, and the logarithm of their sum of exponentials."""
    inside = np.where(mask > 0, z, -np.inf)
    top = inside.max(axis=1, keepdims=True)
    each = np.exp(inside - top)
    total = each.sum(axis=1, keepdims=True)
    return each / total, (top + np.log(total))[:, 0]


def fit_reader(pooled: NDArray[np.float32], registers: Sequence[str]) -> Registers:
    """Read registers (one name a text) off pooled vectors [N, H]; adjusts no head yet."""
    from sklearn.linear_model import LogisticRegression

    mean = pooled.mean(axis=0)
    found: Any = LogisticRegression(C=STRENGTH, max_iter=1000).fit(pooled - mean, list(registers))
    weight, bias = found.coef_, found.intercept_
    if len(found.classes_) == 2:  # scikit-learn then gives one row, of the second against the first
        weight, bias = np.stack([-weight[0] / 2, weight[0] / 2]), np.array([-bias[0] / 2, bias[0] / 2])
    shifted = bias - weight @ mean
    return Registers(tuple(map(str, found.classes_)), weight.astype(np.float32), shifted.astype(np.float32), {})


def fit_adjustment(evidence: Evidence, p: Matrix, pull: Pull = Pull()) -> Adjustment:
    """Scale and bias of a head per register, from texts whose registers are p [N, R]."""
    registers, labels = p.shape[1], evidence.logits.shape[1]
    count = len(evidence.logits)

    def loss(values: Matrix) -> tuple[float, Matrix]:
        common, extra = values[0], values[1 : 1 + registers]
        bias = values[1 + registers :].reshape(registers, labels)
        value, slope = evidence.loss(evidence.logits * (common + p @ extra)[:, None] + p @ bias)
        along = (slope * evidence.logits).sum(axis=1)
        value += (pull.scale * (extra**2).sum() + pull.bias * (bias**2).sum()) / (2 * count)
        to_bias = p.T @ slope + pull.bias / count * bias
        return value, np.concatenate([[along.sum()], p.T @ along + pull.scale / count * extra, to_bias.ravel()])

    start = np.zeros(1 + registers * (1 + labels))
    start[0] = 1.0
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    scale = np.clip(best[0] + best[1 : 1 + registers], LEAST_SCALE, MOST_SCALE)
    return Adjustment(scale.astype(np.float32), best[1 + registers :].reshape(registers, labels).astype(np.float32))
