"""The answers' side of the model, in numpy: pooling, linear heads, probabilities. Needs no torch.

Shapes: B texts, T tokens, H hidden size, L labels of a head, N entity mentions. All arrays float32.
The same arithmetic as a torch module, for training, is in models/network.py; a test keeps them equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

TEXT = "text"  # head input: the mean over the text's tokens, H wide
MENTION = "mention+text"  # head input: mean over the mention's tokens, then over the text's, 2H wide
SOFTMAX = "softmax"  # exactly one label holds
MULTILABEL = "multilabel"  # each label holds or not


@dataclass(frozen=True)
class Head:
    """One linear head. `weight` is [L, H] (or [L, 2H] for MENTION), `bias` [L]; `kind` and `input` as above."""

    name: str
    kind: str
    input: str
    labels: tuple[str, ...]
    weight: Array
    bias: Array

    def logits(self, pooled: Array) -> Array:
        """[B, H or 2H] -> uncalibrated logits [B, L]."""
        return np.asarray(pooled @ self.weight.T + self.bias, dtype=np.float32)


def mean_pool(hidden: Array, mask: NDArray[np.generic]) -> Array:
    """Mean over real tokens: hidden [B, T, H], mask [B, T] of 0/1 -> [B, H]. A row without tokens gives zeros."""
    weights = mask.astype(np.float32)
    total = np.einsum("bth,bt->bh", hidden.astype(np.float32, copy=False), weights)
    return np.asarray(total / np.maximum(weights.sum(axis=1, keepdims=True), 1.0), dtype=np.float32)


def span_pool(hidden: Array, spans: Sequence[tuple[int, int, int]]) -> Array:
    """Mean over each mention: hidden [B, T, H], spans of (row, first token, token past the last) -> [N, H].

    Raises ValueError on a span that holds no token.
    """
    pooled = np.empty((len(spans), hidden.shape[2]), dtype=np.float32)
    for index, (row, start, end) in enumerate(spans):
        if not 0 <= start < end <= hidden.shape[1]:
            raise ValueError(f"a mention must cover at least one of the {hidden.shape[1]} tokens, got {start}..{end}")
        pooled[index] = hidden[row, start:end].mean(axis=0)
    return pooled


def mention_input(mentions: Array, texts: Array, rows: Sequence[int]) -> Array:
    """Join mention vectors [N, H] with their texts' vectors (texts [B, H], rows: N indices) -> [N, 2H]."""
    return np.concatenate([mentions, texts[np.asarray(rows, dtype=np.int64)]], axis=1)


def softmax(logits: Array) -> Array:
    """Row-wise softmax over the last axis, safe for large logits."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)


def sigmoid(logits: Array) -> Array:
    """Element-wise logistic function, safe for large logits."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits)), dtype=np.float32)
