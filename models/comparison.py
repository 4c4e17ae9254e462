"""The released model beside others: TF-IDF + logistic regression on the same texts, and what others publish."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import baseline
from models.data import Example, drop_leaks, read_set, require_sets, sets_there, split
from models.heads import MULTILABEL, SOFTMAX
from models.intervals import Bootstrap, class_intervals
from models.labelled import Labelled
from models.metrics import class_report, multilabel_report
from models.published import published_cell
from models.taxonomy import MULTILABEL_SETS, OWN_LABELS, SENTIMENTS, topic_sets

Report = dict[str, Any]
NOT_NEGATIVE_LABELS = ("negative", "non-negative")
TITLES = "| set | language | n | metric | TF-IDF + LR | Windvane | 95 % | ECE | ECE by chance | published elsewhere |"
RULE = "|---" * 10 + "|"


@dataclass(frozen=True)
class Task:
    """A set as something to be right about: which rows count, and their gold answers."""

    name: str
    kind: str
    labels: tuple[str, ...]
    rows: list[int]  # places in the examples it was made from
    gold: NDArray[np.int64]  # [N] classes; multilabel: [N, L] of 0/1


def task_of(name: str, examples: Sequence[Example]) -> Task | None:
    """What a set asks; None when it asks nothing that it answers itself (thuc10)."""
    rows = list(range(len(examples)))
    if name in MULTILABEL_SETS:
        labels = OWN_LABELS[name]
        return Task(name, MULTILABEL, labels, rows, np.array([[int(x in e.own) for x in labels] for e in examples]))
    if name in OWN_LABELS and name in topic_sets():
        labels = OWN_LABELS[name]
        return Task(name, SOFTMAX, labels, rows, np.array([labels.index(e.own[0]) for e in examples]))
    if name == "finnsp":
        gold = [int(example.not_negative) for example in examples]
        return Task(name, SOFTMAX, NOT_NEGATIVE_LABELS, rows, np.array(gold))
    rows = [row for row, example in enumerate(examples) if example.sentiment is not None]
    if not rows:
        return None
    return Task(name, SOFTMAX, SENTIMENTS, rows, np.array([examples[row].sentiment for row in rows]))


def baseline_scores(
    data: Path, names: Collection[str], progress: Callable[[str], None] = lambda _: None
) -> dict[str, Report]:
    """TF-IDF + logistic regression on the validation cut of every named set that the folder has. Minutes of one core;
    needs scikit-learn."""
    cuts = {name: split(read_set(data, name)) for name in require_sets(data)}
    held_out = [example for _, validation in cuts.values() for example in validation]
    reports = {}
    for name, (training, validation) in cuts.items():
        if name not in names:
            continue
        progress(name)
        if (report := _baseline(name, drop_leaks(training, held_out), validation)) is not None:
            reports[name] = report
    return reports


def baseline_for(given: Labelled, data: Path) -> Report | None:
    """TF-IDF + logistic regression on the texts given, fitted on the training set of that name under `data`, without
    near-copies of what it is asked. None for a set that has no training file or nothing to be asked."""
    if given.name not in sets_there(data):
        return None
    training = read_set(data, given.name)
    if given.origin == "validation":
        training = split(training)[0]
    return _baseline(given.name, drop_leaks(training, given.examples), given.examples)


def _baseline(name: str, training: Sequence[Example], asked: Sequence[Example]) -> Report | None:
    """The scores of the better of the baseline's strengths *on these texts*, which favours it."""
    fit, task = task_of(name, training), task_of(name, asked)
    if fit is None or task is None:
        return None
    texts = [asked[row].text for row in task.rows]
    learnt = [training[row].text for row in fit.rows]
    answers = baseline.predict(learnt, fit.gold, texts, asked[0].language, fit.kind)
    return max((_report(task, answer) for answer in answers), key=lambda r: float(r[main_metric(name)]))


def main_metric(name: str) -> str:
    """The figure a set is judged by: design/models.md's for those it names."""
    of = {"fpb": "macro_f1", "wwwxmu": "macro_f1", "finnl": "micro_f1", "thuc10": "micro_f1"}
    return "micro_f1" if name.startswith("topics") else of.get(name, "accuracy")


def table(reports: dict[str, Report], baselines: dict[str, Report]) -> str:
    """Markdown: a row a set, with the baseline on the same texts. `ECE by chance` is what perfect calibration shows."""
    lines = [TITLES, RULE]
    for name, report in reports.items():
        metric = main_metric(name)
        if metric not in report:
            continue
        interval = report.get("intervals") or report.get(report.get("judged_by", ""), {}).get("intervals", {})
        base = baselines.get(name, {}).get(metric)
        lines.append(_row((name, report, metric), base, interval, published_cell(name)))
        if report.get("judged_by") == "product" and "own" in report:
            own = report["own"] | {"language": report["language"]}
            lines.append(_row((f"{name}, its own head", own, metric), base, own["intervals"], ""))
        for extra, title in (("entities", "entities"), ("two_way", "without neutral")):
            if extra in report:
                part = report[extra] | {"language": report["language"]}
                lines.append(_row((f"{name}, {title}", part, metric), None, part.get("intervals", {}), ""))
    return "\n".join(lines)


def _row(scored: tuple[str, Report, str], base: float | None, interval: Report, published: str) -> str:
    name, report, metric = scored
    between = " to ".join(f"{bound:.3f}" for bound in interval.get(metric, []))
    cells = (
        name, report["language"], report["n"], metric, cell(base), cell(report[metric]), between,
        cell(report.get("ece")), cell(report.get("ece_by_chance")), published,
    )  # fmt: skip
    return "| " + " | ".join(str(text) for text in cells) + " |"


def cell(value: float | None) -> str:
    """A figure to three decimals; nothing for none."""
    return "" if value is None else f"{value:.3f}"


def _report(task: Task, answer: NDArray[np.int64]) -> Report:
    """Scores of the baseline's answers, with intervals where they are classes."""
    if task.kind == MULTILABEL:
        known = np.ones(task.gold.shape, dtype=np.bool_)
        return multilabel_report(task.gold, answer > 0, known, task.labels)
    report = class_report(task.gold, answer, task.labels)
    return report | {"intervals": class_intervals(task.gold, answer, len(task.labels), Bootstrap())}
