"""How far a release's confidence can be trusted: figures for the manifest and the card.

All of them on texts that their calibration was not fitted on (models/fit_calibration.py, `held_out`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data import Example
from models.fit_calibration import Judged, answers, held_out, known_rows
from models.heads import MULTILABEL, Head
from models.metrics import ece, ece_by_chance, reliability
from models.score import Scores

SHOWN_BINS = 5  # in the card; the error itself is over 15
Sure = tuple[NDArray[np.float64], NDArray[np.bool_]]


def reliability_report(judged: Judged, heads: Mapping[str, Head], floor: Mapping[str, float]) -> dict[str, Any]:
    """{"sets": [one row a set and head], "unsure": [one row a head and language]}."""
    rows: list[dict[str, Any]] = []
    by_language: dict[tuple[str, str], list[Sure]] = {}
    for (name, head), p in held_out(judged, heads).items():
        examples, scores = judged[name]
        sure = certainty(name, examples, scores, heads[head], p)
        if sure is None:
            continue
        language = examples[0].language
        rows.append({"set": name, "head": head, "language": language, **figures(*sure)})
        if head in floor and name not in ("finnsp", "stockemotions"):  # these know no three classes
            by_language.setdefault((head, language), []).append(sure)
    unsure = []
    for (head, language), parts in by_language.items():
        confidence, right = (np.concatenate(column) for column in zip(*parts, strict=True))
        unsure.append({"head": head, "language": language, **band(confidence, right, floor[head])})
    return {"sets": rows, "unsure": unsure}


def certainty(name: str, examples: list[Example], scores: Scores, head: Head, p: NDArray[np.float32]) -> Sure | None:
    """Confidence and whether it was right, of each judged answer among probabilities p; None where there is none.

    Two-class sets judged on the three-class head: finnsp as negative or not, stockemotions as which way it leans.
    """
    if not answers(name, head):
        return None
    if head.name == "sentiment" and name == "finnsp":
        gold = np.array([int(example.not_negative) for example in examples])
        p = np.stack([p[:, 0], 1 - p[:, 0]], axis=1)
    elif head.name == "sentiment" and name == "stockemotions":
        gold = np.array([int(example.sentiment == 2) for example in examples])
        p = p[:, [0, 2]] / p[:, [0, 2]].sum(axis=1, keepdims=True)
    else:
        rows, gold = known_rows(name, examples, scores, head)
        p = p[rows]
    if head.kind == MULTILABEL:  # each cell is an answer
        confidence, right = np.maximum(p, 1 - p).ravel(), ((p >= 0.5) == (gold > 0.5)).ravel()
    else:
        confidence, right = p.max(axis=1), p.argmax(axis=1) == gold
    return (confidence.astype(np.float64), right) if len(right) else None


def figures(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> dict[str, Any]:
    """Calibration error, what chance alone would show, how far confidence is above accuracy, and a few bins."""
    return {
        "n": len(right),
        "ece": ece(confidence, right),
        "ece_by_chance": ece_by_chance(confidence, rounds=100),
        "over": round(float(confidence.mean() - right.mean()), 4),
        "bins": reliability(confidence, right, SHOWN_BINS),
    }


def band(confidence: NDArray[np.float64], right: NDArray[np.bool_], floor: float, window: int = 200) -> dict[str, Any]:
    """The unsure band: its share of all texts, how often answers under it, over it, and nearest to it are right."""
    under = confidence < floor
    near = np.argsort(np.abs(confidence - floor), kind="stable")[:window]
    parts = {"under": right[under], "over": right[~under], "near": right[near]}
    shares = {key: round(float(part.mean()), 4) if len(part) else None for key, part in parts.items()}
    return {"n": len(right), "share": round(float(under.mean()), 4), **shares}
