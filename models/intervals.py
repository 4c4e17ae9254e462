"""Bootstrap intervals of scores: how far a figure would move on another sample of so many texts.

Percentile bootstrap over texts (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13): the texts are
drawn again with replacement, as many as there were, and the figure is worked out each time. The classifier is the same
in all of them: what another seed or another training cut would give is not in here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.metrics import Floats, Ints, confusion

Interval = list[float]  # [low, high]
_AT_ONCE = 100  # draws held in memory together


@dataclass(frozen=True)
class Bootstrap:
    """How many times the texts are drawn again, with which seed, and the share that the intervals should hold."""

    rounds: int = 1000
    seed: int = 20
    share: float = 0.95

    def interval(self, values: Floats) -> Interval:
        """The middle `share` of the values, to 4 decimals."""
        outside = (1.0 - self.share) / 2
        low, high = np.quantile(values, [outside, 1.0 - outside])
        return [round(float(low), 4), round(float(high), 4)]


def class_intervals(gold: Ints, predicted: Ints, labels: int, given: Bootstrap) -> dict[str, Interval]:
    """Intervals of accuracy and macro-F1 (as metrics.class_report has them) of N answers; {} without texts.

    To draw N texts with replacement is to draw N cells of the confusion matrix in proportion to their counts, so
    each round is one multinomial draw whatever N is.
    """
    if not len(gold):
        return {}
    counts = np.array(confusion(gold, predicted, labels), dtype=np.float64)
    rng = np.random.default_rng(given.seed)
    drawn = rng.multinomial(len(gold), (counts / counts.sum()).ravel(), size=given.rounds)
    tables = drawn.reshape(given.rounds, *counts.shape).astype(np.float64)
    hits = np.einsum("rll->rl", tables[:, :, :labels])
    real, guessed = tables.sum(2), tables[:, :, :labels].sum(1)
    return {
        "accuracy": given.interval(hits.sum(1) / len(gold)),
        "macro_f1": given.interval(_macro(hits, guessed, real)),
    }


def label_intervals(
    gold: NDArray[np.bool_], predicted: NDArray[np.bool_], known: NDArray[np.bool_], given: Bootstrap
) -> dict[str, Interval]:
    """Intervals of micro-F1, macro-F1 and accuracy (every known label right) of [N, L] decisions; {} without texts."""
    if not len(gold):
        return {}
    hit, guess, real = gold & predicted & known, predicted & known, gold & known
    whole = ((gold == predicted) | ~known).all(axis=1, keepdims=True)
    columns = [part.astype(np.float64) for part in (hit, guess, real, whole)]
    micro, macro, exact = [], [], []
    for weights in _draws(len(gold), given):
        hits, guessed, reals, rights = (weights @ column for column in columns)
        micro.append(2 * hits.sum(1) / np.maximum(1, guessed.sum(1) + reals.sum(1)))
        macro.append(_macro(hits, guessed, reals))
        exact.append(rights[:, 0] / len(gold))
    return {
        "micro_f1": given.interval(np.concatenate(micro)),
        "macro_f1": given.interval(np.concatenate(macro)),
        "accuracy": given.interval(np.concatenate(exact)),
    }


def mean_interval(values: Floats | NDArray[np.bool_], given: Bootstrap) -> Interval:
    """Interval of the mean of [N] values, one a text (a difference between two models, say)."""
    numbers = np.asarray(values, dtype=np.float64)
    means = [weights @ numbers / len(numbers) for weights in _draws(len(numbers), given)]
    return given.interval(np.concatenate(means))


def _draws(texts: int, given: Bootstrap) -> Iterator[NDArray[np.float64]]:
    """How often each text was drawn, [rounds at once, N]."""
    rng = np.random.default_rng(given.seed)
    even = np.full(texts, 1.0 / texts)
    for start in range(0, given.rounds, _AT_ONCE):
        size = min(_AT_ONCE, given.rounds - start)
        yield rng.multinomial(texts, even, size=size).astype(np.float64)


def _macro(hits: Floats, guessed: Floats, real: Floats) -> NDArray[np.float64]:
    """Mean F1 of the labels that occur in the gold of each round; all [R, L]."""
    f1 = 2 * hits / np.maximum(1, guessed + real)
    present = real > 0
    return np.asarray((f1 * present).sum(1) / np.maximum(1, present.sum(1)), dtype=np.float64)
