"""One loss a task, each a sum over the batch's labelled items; items of other sets carry no target."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

NONE = -1  # no target
NOT_NEGATIVE = 3  # known not to be negative, nothing more
NEGATIVE, NEUTRAL, POSITIVE = 0, 1, 2


def sentiment_loss(
    logits: Tensor, target: Tensor, no_neutral: Tensor, neutral_weight: Tensor | float, smoothing: float,
    weights: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Sum over rows of logits [N, 3]; target [N]: a class, NONE or NOT_NEGATIVE; weights [N] or none for all 1.

    Where `no_neutral` [N] holds, the set has no neutral class: the loss is that of the two others, plus
    `neutral_weight` ([N], or one of all) times -log(1 - p(neutral)), so that the product's three-way answer follows
    the set's convention.
    """
    log_p = logits.log_softmax(1)
    classed = (target >= 0) & (target < NOT_NEGATIVE)
    index = target.clamp(0, POSITIVE)
    of_class = log_p.gather(1, index.unsqueeze(1)).squeeze(1)
    smooth = -(1 - smoothing) * of_class - smoothing * log_p.mean(1)
    log_not_neutral = torch.logaddexp(log_p[:, NEGATIVE], log_p[:, POSITIVE])
    two = -(of_class - log_not_neutral) - neutral_weight * log_not_neutral
    not_negative = -torch.logaddexp(log_p[:, NEUTRAL], log_p[:, POSITIVE])
    loss = torch.where(classed & ~no_neutral, smooth, torch.zeros_like(smooth))
    loss = torch.where(classed & no_neutral, two, loss)
    loss = torch.where(target == NOT_NEGATIVE, not_negative, loss)
    return (loss if weights is None else loss * weights).sum()


def multilabel_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Sum over rows of the weighted binary cross-entropy; weight 0 masks a label. All [N, L], or weight [N, 1]."""
    return (F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight).sum()


def class_loss(logits: Tensor, target: Tensor, smoothing: float, weights: Tensor | None = None) -> Tensor:
    """Sum of cross-entropies over rows with a target other than NONE; weights [N] or none for all 1."""
    known = target != NONE
    of_row = F.cross_entropy(logits[known], target[known], reduction="none", label_smoothing=smoothing)
    return (of_row if weights is None else of_row * weights[known]).sum()


def own_loss(logits: Tensor, target: Tensor, smoothing: float, weights: Tensor | None = None) -> Tensor:
    """Of a set's own head: `class_loss`, or with targets of [N, L] `multilabel_loss` over the rows of the set. Weights
    as the targets, or none for all 1."""
    if target.ndim == 1:
        return class_loss(logits, target, smoothing, weights)
    known = (target != NONE).to(logits.dtype)
    return multilabel_loss(logits, target, known if weights is None else known * weights)
