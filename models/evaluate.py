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
from models.calibrate import calibrated
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
from models.taxonomy import FINESE_LABELS, FINNL_LABELS, SENTIMENTS, TOPIC_IDS, TWITTER20_LABELS, targets_for

Report = dict[str, Any]
Ints = NDArray[np.int64]
NOT_NEGATIVE_LABELS = ("negative", "non-negative")
TITLES = "| set | language | n | metric | TF-IDF + LR | Windvane | ECE | ECE by chance |"
RULE = "|---" * 8 + "|"
OWN_LABELS = {"twitter20": TWITTER20_LABELS, "finese": FINESE_LABELS, "finnl": FINNL_LABELS}


@dataclass(frozen=True)
class Task:
    """A set as something to be right about: the rows that count, their gold answers and the head that answers."""

    name: str
    head: str
    kind: str
    labels: tuple[str, ...]
    rows: list[Example]
    gold: Ints  # [N] classes; finnl: [N, L] of 0/1


def task_of(name: str, examples: Sequence[Example]) -> Task | None:
    """How a set is judged; None when it has no answer of its own (thuc10)."""
    if name == "finnl":
        cells = [[int(label in example.own) for label in FINNL_LABELS] for example in examples]
        return Task(name, name, MULTILABEL, FINNL_LABELS, list(examples), np.array(cells))
    if name in OWN_LABELS:
        labels = OWN_LABELS[name]
        return Task(name, name, SOFTMAX, labels, list(examples), np.array([labels.index(e.own[0]) for e in examples]))
    if name == "finnsp":
        gold = [int(example.not_negative) for example in examples]
        return Task(name, "sentiment", SOFTMAX, NOT_NEGATIVE_LABELS, list(examples), np.array(gold))
    rows = [example for example in examples if example.sentiment is not None]
    if not rows:
        return None
    return Task(name, "sentiment", SOFTMAX, SENTIMENTS, rows, np.array([e.sentiment for e in rows]))


def evaluate_set(release: Release, encoder: Encoder, name: str, examples: Sequence[Example]) -> Report:
    """Scores of one set: accuracy, F1s, ECE, and for sentiment sets without neutral also the two-way answer."""
    task = task_of(name, examples)
    scores = score(release, encoder, task.rows if task else list(examples))
    language = examples[0].language if examples else "other"
    report: Report = {"set": name, "language": language, "split": "validation"}
    if task is not None:
        report |= _judge(task, _probabilities(release, scores, task.head, language))
    if name == "sentfin":
        report["entities"] = _entities(release, examples, encoder, language)
    return report


def evaluate_file(release: Release, encoder: Encoder, file: Path, name: str) -> Report:
    """Scores on every row of a file laid out like the named set (a test part kept apart). DataError on a bad row."""
    return evaluate_set(release, encoder, name, read_file(file, DATA_SETS[name])) | {"split": str(file.name)}


def evaluate_release(
    release: Release, encoder: Encoder, data: Path, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Report]:
    """Scores on the validation cut of every set, `topics` per language, and one set never trained on."""
    reports = {}
    for name in (*TRAINING_SETS, "stockemotions"):
        if name == "thuc10":
            continue
        progress(name)
        reports[name] = evaluate_set(release, encoder, name, split(read_set(data, name))[1])
    for language, names in (("en", ("twitter20",)), ("zh", ("finnl", "thuc10"))):
        progress(f"topics {language}")
        reports[f"topics_{language}"] = evaluate_topics(release, encoder, data, names, language)
    return reports


def evaluate_topics(release: Release, encoder: Encoder, data: Path, names: Sequence[str], language: str) -> Report:
    """The product's topics, thresholds applied, against what the sets' own labels say (no rule-made labels)."""
    gold, known, examples = [], [], []
    for name in names:
        for example in split(read_set(data, name))[1]:
            said = targets_for(name, list(example.own)) if example.own else example.topics
            assert said is not None
            examples.append(example)
            gold.append([float(value or 0.0) for value in said])
            known.append([value is not None for value in said])
    p = _probabilities(release, score(release, encoder, examples), "topics", language)
    thresholds = np.array([release.calibration.thresholds[topic] for topic in TOPIC_IDS])
    mask = np.array(known)
    report = multilabel_report(np.array(gold), p >= thresholds, mask, TOPIC_IDS)
    confidence, correct = np.maximum(p, 1 - p)[mask], ((p >= 0.5) == (np.array(gold) > 0.5))[mask]
    return {"set": "+".join(names), "language": language, "split": "validation", **report,
            "ece": ece(confidence, correct)}  # fmt: skip


def baseline_scores(data: Path, progress: Callable[[str], None] = lambda _: None) -> dict[str, Report]:
    """TF-IDF + logistic regression per set: the scores of the better of its two strengths. Minutes of one core."""
    cuts = {name: split(read_set(data, name)) for name in TRAINING_SETS}
    held_out = [example for _, validation in cuts.values() for example in validation]
    reports = {}
    for name, (training, validation) in cuts.items():
        fit, asked = task_of(name, drop_leaks(training, held_out)), task_of(name, validation)
        if fit is None or asked is None:
            continue
        progress(name)
        texts = [example.text for example in asked.rows]
        language = asked.rows[0].language
        answers = baseline.predict([e.text for e in fit.rows], fit.gold, texts, language, fit.kind)
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
    temperature = release.calibration.temperature(head, language)
    logits = scores.mention if head == "entity_sentiment" else scores.text[head]
    return calibrated(logits, temperature, release.heads[head].kind)


def _judge(task: Task, p: NDArray[np.float32]) -> Report:
    """Report of calibrated probabilities [N, L] on a task."""
    if task.kind == MULTILABEL:
        right = (p >= 0.5) == (task.gold > 0)
        return _report(task, (p >= 0.5).astype(np.int64)) | {"ece": ece(np.maximum(p, 1 - p).ravel(), right.ravel())}
    if task.labels == NOT_NEGATIVE_LABELS:
        p = np.stack([p[:, 0], p[:, 1] + p[:, 2]], axis=1)
    report = _report(task, p.argmax(1)) | _calibration(p, task.gold)
    if task.name in (*NOT_NEUTRAL_SETS, "stockemotions"):
        two = p[:, [0, 2]] / p[:, [0, 2]].sum(1, keepdims=True)
        gold = (task.gold == 2).astype(np.int64)
        report["two_way"] = class_report(gold, two.argmax(1), ("negative", "positive")) | _calibration(two, gold)
    return report


def _entities(release: Release, examples: Sequence[Example], encoder: Encoder, language: str) -> Report:
    scores = score(release, encoder, examples)
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
