"""Scores of a release on a labelled set, beside TF-IDF + logistic regression on the same cut.

The answer judged is the product's: the shared sentiment head, argmax over three classes, whatever the set. Sets with
labels of their own (twitter20, finnl, finese) are judged on the head kept for them; their reading in the product's
taxonomy is judged apart (`topics`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models import baseline
from models.contract import Encoder
from models.data import (
    DATA_SETS,
    NOT_NEUTRAL_SETS,
    TRAINING_SETS,
    Example,
    drop_leaks,
    read_file,
    read_set,
    split,
)  # fmt: skip
from models.heads import MULTILABEL, SOFTMAX
from models.metrics import class_report, ece, ece_by_chance, multilabel_report
from models.registry import Release
from models.score import Scores, score
from models.taxonomy import FINNL_LABELS, OWN_LABELS, SENTIMENTS, TOPIC_IDS, targets_for

Report = dict[str, Any]
Ints = NDArray[np.int64]
Judged = dict[str, tuple[list[Example], Scores]]  # set -> its texts and their raw answers
NOT_NEGATIVE_LABELS = ("negative", "non-negative")
TITLES = "| set | language | n | metric | TF-IDF + LR | Windvane | ECE | ECE by chance |"
RULE = "|---" * 8 + "|"
TOPIC_SETS = ("twitter20", "finese", "finnl")  # judged on their own head; what they say of our taxonomy, apart


@dataclass(frozen=True)
class Task:
    """A set as something to be right about: which rows count, their gold answers and the head that answers."""

    name: str
    head: str
    kind: str
    labels: tuple[str, ...]
    rows: list[int]  # places in the examples it was made from
    gold: Ints  # [N] classes; finnl: [N, L] of 0/1


def task_of(name: str, examples: Sequence[Example]) -> Task | None:
    """How a set is judged; None when it has no answer of its own (thuc10)."""
    rows = list(range(len(examples)))
    if name == "finnl":
        cells = [[int(label in example.own) for label in FINNL_LABELS] for example in examples]
        return Task(name, name, MULTILABEL, FINNL_LABELS, rows, np.array(cells))
    if name in TOPIC_SETS:
        labels = OWN_LABELS[name]
        return Task(name, name, SOFTMAX, labels, rows, np.array([labels.index(e.own[0]) for e in examples]))
    if name == "finnsp":
        gold = [int(example.not_negative) for example in examples]
        return Task(name, "sentiment", SOFTMAX, NOT_NEGATIVE_LABELS, rows, np.array(gold))
    rows = [row for row, example in enumerate(examples) if example.sentiment is not None]
    if not rows:
        return None
    return Task(name, "sentiment", SOFTMAX, SENTIMENTS, rows, np.array([examples[row].sentiment for row in rows]))


def evaluate_set(
    release: Release, encoder: Encoder, name: str, examples: Sequence[Example], scores: Scores | None = None
) -> Report:
    """Scores of one set: accuracy, F1s, ECE, and for sentiment sets without neutral also the two-way answer.

    `scores` are the raw answers when they are known already (they do not depend on the calibration).
    """
    scores = scores or score(release, encoder, examples)
    language = examples[0].language if examples else "other"
    report: Report = {"set": name, "language": language, "split": "validation"}
    task = task_of(name, examples)
    if task is not None:
        report |= _judge(task, _probabilities(release, scores, task.head, language)[task.rows])
    if name == "sentfin":
        report["entities"] = _entities(release, scores, language)
    return report


def evaluate_file(release: Release, encoder: Encoder, file: Path, name: str) -> Report:
    """Scores on every row of a file laid out like the named set (a test part kept apart). DataError on a bad row."""
    return evaluate_set(release, encoder, name, read_file(file, DATA_SETS[name])) | {"split": str(file.name)}


def evaluate_release(
    release: Release, encoder: Encoder, data: Path, progress: Callable[[str], None] = lambda _: None,
    known: Judged | None = None,
) -> dict[str, Report]:  # fmt: skip
    """Scores on the validation cut of every set, `topics` per language, and one set never trained on.

    `known` holds examples and raw answers that need not be worked out again.
    """
    judged: Judged = dict(known or {})
    for name in TRAINING_SETS:
        if name not in judged:
            progress(f"scoring {name}")
            examples = split(read_set(data, name))[1]
            judged[name] = (examples, score(release, encoder, examples))
    reports = {
        name: evaluate_set(release, encoder, name, examples, scores)
        for name, (examples, scores) in judged.items()
        if task_of(name, examples) is not None
    }
    for language, names in (("en", ("twitter20",)), ("zh", ("finnl", "thuc10"))):
        parts = [topic_answers(release, *judged[name]) for name in names]
        p, gold, mask = (np.concatenate(column) for column in zip(*parts, strict=True))
        reports[f"topics_{language}"] = evaluate_topics(release, p, gold, mask) | {
            "set": "+".join(names), "language": language, "split": "validation"}  # fmt: skip
    return reports


def topic_answers(
    release: Release, examples: Sequence[Example], scores: Scores
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Probabilities, gold and whether it is known, each [N, topics]; gold from the set's own labels, no rules."""
    said = [
        targets_for(example.set, list(example.own)) if example.own else (example.topics or (None,) * len(TOPIC_IDS))
        for example in examples
    ]
    gold = np.array([[float(value or 0.0) for value in row] for row in said], dtype=np.float32)
    known = np.array([[value is not None for value in row] for row in said])
    return _probabilities(release, scores, "topics", examples[0].language), gold, known


def evaluate_topics(
    release: Release, p: NDArray[np.float32], gold: NDArray[np.float32], known: NDArray[np.bool_]
) -> Report:
    """F1s of the product's topics with their thresholds applied, and the calibration error of all known cells."""
    thresholds = np.array([release.calibration.thresholds[topic] for topic in TOPIC_IDS])
    report = multilabel_report(gold, p >= thresholds, known, TOPIC_IDS)
    right = (p >= 0.5) == (gold > 0.5)
    return report | {"ece": ece(np.maximum(p, 1 - p)[known], right[known])}


def baseline_scores(data: Path, progress: Callable[[str], None] = lambda _: None) -> dict[str, Report]:
    """TF-IDF + logistic regression per set: the scores of the better of its two strengths. Minutes of one core."""
    cuts = {name: split(read_set(data, name)) for name in TRAINING_SETS}
    held_out = [example for _, validation in cuts.values() for example in validation]
    reports = {}
    for name, (training, validation) in cuts.items():
        clean = drop_leaks(training, held_out)
        fit, asked = task_of(name, clean), task_of(name, validation)
        if fit is None or asked is None:
            continue
        progress(name)
        texts = [validation[row].text for row in asked.rows]
        language = validation[0].language
        answers = baseline.predict([clean[row].text for row in fit.rows], fit.gold, texts, language, fit.kind)
        judged = [_report(asked, answer) for answer in answers]
        reports[name] = max(judged, key=lambda r: float(r[main_metric(name)]))
    return reports


def main_metric(name: str) -> str:
    """The figure a set is judged by: models.md's for those it names."""
    return {"fpb": "macro_f1", "wwwxmu": "macro_f1", "finnl": "micro_f1"}.get(name, "accuracy")


def table(reports: dict[str, Report], baselines: dict[str, Report]) -> str:
    """Markdown: a row a set, with the baseline on the same rows. `ECE by chance` is what perfect calibration shows."""
    lines = [TITLES, RULE]
    for name, report in reports.items():
        metric = main_metric(name) if not name.startswith("topics") else "micro_f1"
        base = baselines.get(name, {}).get(metric)
        lines.append(
            f"| {name} | {report['language']} | {report['n']} | {metric} | {'' if base is None else f'{base:.3f}'} "
            f"| {report[metric]:.3f} | {report.get('ece', float('nan')):.3f} | {_cell(report.get('ece_by_chance'))} |"
        )
        for extra, title in (("entities", "entities"), ("two_way", "without neutral")):
            if extra in report:
                part = report[extra]
                lines.append(
                    f"| {name}, {title} | {report['language']} | {part['n']} | {metric} | | {part[metric]:.3f} "
                    f"| {_cell(part.get('ece'))} | {_cell(part.get('ece_by_chance'))} |"
                )
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _probabilities(release: Release, scores: Scores, head: str, language: str) -> NDArray[np.float32]:
    logits, text = scores.text.get(head, scores.mention), scores.pooled
    if head == "entity_sentiment":
        text = text[scores.mention_rows]
    return release.calibration.probabilities(release.heads[head], logits, text, language)


def _judge(task: Task, p: NDArray[np.float32]) -> Report:
    """Report of calibrated probabilities [N, L] on a task."""
    if task.kind == MULTILABEL:
        right = (p >= 0.5) == (task.gold > 0)
        return _report(task, (p >= 0.5).astype(np.int64)) | {"ece": ece(np.maximum(p, 1 - p).ravel(), right.ravel())}
    if task.labels == NOT_NEGATIVE_LABELS:
        p = np.stack([p[:, 0], p[:, 1] + p[:, 2]], axis=1)
    report = _report(task, p.argmax(1)) | _calibration(p, task.gold)
    if task.name in NOT_NEUTRAL_SETS:
        two = p[:, [0, 2]] / p[:, [0, 2]].sum(1, keepdims=True)
        gold = (task.gold == 2).astype(np.int64)
        report["two_way"] = class_report(gold, two.argmax(1), ("negative", "positive")) | _calibration(two, gold)
    return report


def _entities(release: Release, scores: Scores, language: str) -> Report:
    known = scores.mention_gold >= 0
    p = _probabilities(release, scores, "entity_sentiment", language)[known]
    gold = scores.mention_gold[known]
    return class_report(gold, p.argmax(1), SENTIMENTS) | _calibration(p, gold)


def _calibration(p: NDArray[np.float32], gold: Ints) -> Report:
    confidence = p.max(1)
    return {"ece": ece(confidence, p.argmax(1) == gold), "ece_by_chance": ece_by_chance(confidence)}


def _report(task: Task, answer: Ints) -> Report:
    if task.kind == MULTILABEL:
        return multilabel_report(task.gold, answer > 0, np.ones(task.gold.shape, dtype=np.bool_), task.labels)
    return class_report(task.gold, answer, task.labels)
