"""From a reading to its figures: accuracy, F1s, calibration, confusion, intervals; also per language and source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.heads import MULTILABEL
from models.intervals import Bootstrap, class_intervals, label_intervals
from models.metrics import (
    class_report,
    confusion,
    ece,
    ece_by_chance,
    label_confusion,
    multilabel_report,
    reliability,
)
from models.readings import Reading

Report = dict[str, Any]
BRIEF = ("n", "accuracy", "macro_f1", "micro_f1", "ece")  # what a part of a set is told by


def report_of(reading: Reading, bootstrap: Bootstrap) -> Report:
    """Every figure of one reading; the keys are documented in docs/evaluation.md."""
    report = scores_of(reading) | calibration_of(reading)
    if reading.known is not None:
        report["confusion"] = label_confusion(reading.gold, reading.answer, reading.known, reading.labels)
        report["intervals"] = label_intervals(reading.gold, reading.answer, reading.known, bootstrap)
    else:
        counts = confusion(reading.gold, reading.answer, len(reading.labels))
        report["confusion"] = {"labels": list(reading.labels), "rows_gold_columns_answer": counts}
        report["intervals"] = class_intervals(reading.gold, reading.answer, len(reading.labels), bootstrap)
    report["reliability"] = reliability(reading.confidence, reading.correct)
    return report


def scores_of(reading: Reading) -> Report:
    """n, accuracy, macro-F1 (micro-F1 too for multilabel) and precision, recall, F1 and n per class."""
    if reading.kind == MULTILABEL:
        assert reading.known is not None
        return multilabel_report(reading.gold, reading.answer, reading.known, reading.labels)
    return class_report(reading.gold, reading.answer, reading.labels)


def calibration_of(reading: Reading) -> Report:
    """ECE over 15 bins of equal mass; with what chance alone shows on so few texts, where an answer is one class."""
    confidence = reading.confidence
    report = {"ece": ece(confidence, reading.correct)}
    return report if reading.known is not None else report | {"ece_by_chance": ece_by_chance(confidence)}


def by_group(reading: Reading, groups: Sequence[str]) -> dict[str, Report]:
    """The main figures of each group of texts; `groups` names that of every text of the set, "" for none."""
    names: NDArray[np.str_] = np.array(groups, dtype=str)[reading.rows]
    parts = {}
    for name in sorted(set(names.tolist()) - {""}):
        part = reading.of(names == name)
        figures = scores_of(part) | calibration_of(part)
        parts[name] = {key: figures[key] for key in BRIEF if key in figures}
    return parts


def unsure_of(reading: Reading, confidence: NDArray[np.float32], floor: NDArray[np.float32]) -> Report:
    """How many answers are unsure (confidence [n] under its floor [n]), and how many of the rest are right."""
    sure = confidence >= floor
    right = float(reading.correct[sure].mean()) if sure.any() else 0.0
    return {"share": round(float((~sure).mean()), 4), "accuracy_of_the_rest": round(right, 4)}
