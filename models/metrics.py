"""Scores: accuracy, F1, calibration error. Plain numpy, so that every figure in the card can be checked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64] | NDArray[np.float32]
Ints = NDArray[np.int64]
BINS = 15


def class_report(gold: Ints, predicted: Ints, labels: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro-F1 over the labels that occur in `gold`, and precision, recall, F1 and count of each label.

    `predicted` may hold indices past the labels (an answer the set does not know): they count as wrong.
    """
    classes = {}
    for index, label in enumerate(labels):
        classes[label] = _f1(gold == index, predicted == index)
    present = [scores["f1"] for scores in classes.values() if scores["n"]]
    return {
        "n": len(gold),
        "accuracy": _round((gold == predicted).mean()) if len(gold) else 0.0,
        "macro_f1": _round(np.mean(present)) if present else 0.0,
        "classes": classes,
    }


def multilabel_report(gold: Floats | Ints, predicted: NDArray[np.bool_], known: NDArray[np.bool_],
                      labels: Sequence[str]) -> dict[str, Any]:  # fmt: skip
    """Micro- and macro-F1 of [N, L] decisions, counted only where `known` [N, L]; per label as in `class_report`.

    `accuracy` is the share of texts whose every known label is right.
    """
    classes = {}
    for index, label in enumerate(labels):
        rows = known[:, index]
        classes[label] = _f1(gold[rows, index] > 0.5, predicted[rows, index])
    hit, guess, real = (gold > 0.5) & predicted & known, predicted & known, (gold > 0.5) & known
    present = [scores["f1"] for scores in classes.values() if scores["n"]]
    right = ((gold > 0.5) == predicted) | ~known
    return {
        "n": len(gold),
        "accuracy": _round(right.all(axis=1).mean()) if len(gold) else 0.0,
        "micro_f1": _round(2 * hit.sum() / max(1, guess.sum() + real.sum())),
        "macro_f1": _round(np.mean(present)) if present else 0.0,
        "classes": classes,
    }


def confusion(gold: Ints, predicted: Ints, labels: int) -> list[list[int]]:
    """How often a text of the row's class was given the column's: labels rows, labels columns, and one column more when
    there are answers past the labels."""
    columns = max(labels, int(predicted.max()) + 1 if len(predicted) else 0)
    cells = np.bincount(gold * columns + predicted, minlength=labels * columns)
    found: list[list[int]] = cells.reshape(labels, columns).tolist()
    return [row[:labels] + ([sum(row[labels:])] if columns > labels else []) for row in found]


def label_confusion(gold: Floats | Ints, predicted: NDArray[np.bool_], known: NDArray[np.bool_],
                    labels: Sequence[str]) -> dict[str, list[list[int]]]:  # fmt: skip
    """Per label of [N, L] decisions, where `known`: [[neither, said only], [gold only, both]]."""
    tables = {}
    for index, label in enumerate(labels):
        rows = known[:, index]
        real = (gold[rows, index] > 0.5).astype(np.int64)
        tables[label] = confusion(real, predicted[rows, index].astype(np.int64), 2)
    return tables


def _f1(gold: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> dict[str, Any]:
    hit, guess, real = int((gold & predicted).sum()), int(predicted.sum()), int(gold.sum())
    return {
        "precision": _round(hit / guess) if guess else 0.0,
        "recall": _round(hit / real) if real else 0.0,
        "f1": _round(2 * hit / (guess + real)) if guess + real else 0.0,
        "n": real,
    }


def ece(confidence: Floats, correct: Floats | NDArray[np.bool_], bins: int = BINS) -> float:
    """Expected calibration error over bins of equal mass: mean |accuracy - confidence|, weighted by bin size."""
    order = np.argsort(confidence, kind="stable")
    total = 0.0
    for part in np.array_split(order, bins):
        if len(part):
            total += abs(float(np.mean(correct[part])) - float(np.mean(confidence[part]))) * len(part)
    return _round(total / max(1, len(order)))


def reliability(confidence: Floats, correct: Floats | NDArray[np.bool_], bins: int = BINS) -> list[dict[str, Any]]:
    """The bins of `ece`, least confident first: mean confidence, share that was right, number of answers."""
    parts = np.array_split(np.argsort(confidence, kind="stable"), bins)
    return [
        {"confidence": _round(np.mean(confidence[part])), "accuracy": _round(np.mean(correct[part])), "n": len(part)}
        for part in parts
        if len(part)
    ]


def ece_by_chance(confidence: Floats, bins: int = BINS, rounds: int = 200, seed: int = 0) -> float:
    """The error a perfectly calibrated model would show on so few texts: the mean over simulated outcomes."""
    rng = np.random.default_rng(seed)
    return _round(np.mean([ece(confidence, rng.random(len(confidence)) < confidence, bins) for _ in range(rounds)]))


def _round(value: Any) -> float:
    return round(float(value), 4)
