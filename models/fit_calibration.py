"""The whole calibration of a release from raw answers on the validation cut, and what it is worth on texts that it was
not fitted on (`held_out`): figures on the texts that it was fitted on flatter it.

Product heads: `sentiment` and `entity_sentiment` by register or by language, `topics` by language. A set's own head:
by language. Everything that users meet at a threshold or a floor is fitted on calibrated probabilities.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibrate import fit_floor, fit_temperature, fit_thresholds
from models.calibration import Calibration, Registers
from models.data import Example, text_key
from models.fit_registers import Evidence, fit_adjustment, fit_reader
from models.heads import MULTILABEL, Head
from models.metrics import Floats
from models.score import Scores
from models.taxonomy import OWN_LABELS, SENTIMENT_SETS, SENTIMENTS, TOPIC_IDS

Judged = Mapping[str, tuple[list[Example], Scores]]  # set -> its texts and their raw answers
FEWEST = 100  # texts a head needs in a language for a temperature of its own
ENTITIES = "entity_sentiment"
LANGUAGES = ("en", "zh")


def calibrate(judged: Judged, heads: Mapping[str, Head]) -> Calibration:
    """Registers, temperatures per head and language, thresholds per topic, floors."""
    fitted = fit_probabilities(judged, heads)
    p, gold, known = topic_answers(judged, heads, fitted)
    fitted = replace(fitted, thresholds=fit_thresholds(p, gold, known, TOPIC_IDS))
    floors = {}
    for name in ("sentiment", ENTITIES):
        sure, right = certainty(judged, heads[name], fitted)
        floors[name] = fit_floor(sure, right) if len(sure) else 0.5
    return replace(fitted, floor=floors)


def fit_probabilities(judged: Judged, heads: Mapping[str, Head]) -> Calibration:
    """What `calibrate` gives, without thresholds and floors."""
    return Calibration(fit_temperatures(judged, heads), registers=fit_registers(judged, heads))


def fit_temperatures(judged: Judged, heads: Mapping[str, Head]) -> dict[str, dict[str, float]]:
    """{head: {language: T}} wherever there are texts enough."""
    temperatures: dict[str, dict[str, float]] = {}
    for name, head in heads.items():
        for language in LANGUAGES:
            logits, gold, weight = gather(judged, head, language)
            if len(logits) >= FEWEST:
                temperatures.setdefault(name, {})[language] = fit_temperature(logits, gold, head.kind, weight)
    return temperatures


def fit_registers(judged: Judged, heads: Mapping[str, Head]) -> Registers | None:
    """Registers are the sentiment sets there are; None when there are fewer than two."""
    names = [name for name in SENTIMENT_SETS if name in judged and len(judged[name][0]) >= FEWEST]
    if len(names) < 2:
        return None
    parts = [judged[name] for name in names]
    pooled = np.concatenate([scores.pooled for _, scores in parts])
    registers = fit_reader(pooled, [name for name in names for _ in judged[name][0]])
    p = registers.of(pooled).astype(np.float64)
    logits = np.concatenate([scores.text["sentiment"] for _, scores in parts]).astype(np.float64)
    rows = [evidence_of(example) for examples, _ in parts for example in examples]
    said = np.array([row is not None for row in rows])
    masks = np.array([row for row in rows if row is not None], dtype=np.float64)
    by = fit_adjustment(Evidence(logits[said], masks[:, 0], masks[:, 1]), p[said])
    return replace(registers, heads={"sentiment": by})


def evidence_of(example: Example) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Which of negative, neutral, positive a text's set allows it, out of which it knows; None: it says nothing."""
    if example.not_negative:
        return (0, 1, 1), (1, 1, 1)
    if example.sentiment is None:
        return None
    one = tuple(int(index == example.sentiment) for index in range(len(SENTIMENTS)))
    return one, ((1, 0, 1) if example.set == "stockemotions" else (1, 1, 1))


def topic_answers(
    judged: Judged, heads: Mapping[str, Head], fitted: Calibration
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Calibrated topic probabilities, gold and whether it is known, each [N, topics], both languages together."""
    p, gold, known = [np.zeros((0, len(TOPIC_IDS)))], [np.zeros((0, len(TOPIC_IDS)))], [np.zeros((0, len(TOPIC_IDS)))]
    for examples, scores in judged.values():
        rows = [row for row, example in enumerate(examples) if example.topics is not None]
        if rows:
            answers = [answer for row in rows if (answer := gold_of(examples[row], heads["topics"])) is not None]
            logits, text = scores.text["topics"][rows], scores.pooled[rows]
            p.append(fitted.probabilities(heads["topics"], logits, text, examples[0].language))
            gold.append(np.array([answer[0] for answer in answers]))
            known.append(np.array([answer[1] for answer in answers]))
    return np.concatenate(p), np.concatenate(gold), np.concatenate(known) > 0


def certainty(judged: Judged, head: Head, fitted: Calibration, language: str = "") -> tuple[Floats, NDArray[np.bool_]]:
    """Confidence [N] and whether the answer is right [N], of every text (of a language) whose label is known whole."""
    sure, right = [np.zeros(0)], [np.zeros(0, dtype=np.bool_)]
    for name, (examples, scores) in judged.items():
        if not examples or (language and examples[0].language != language):
            continue
        rows, gold = known_rows(name, examples, scores, head)
        if len(rows):
            p = apply(fitted, head, scores, examples[0].language)[rows]
            sure.append(p.max(axis=1))
            right.append(p.argmax(axis=1) == gold)
    return np.concatenate(sure), np.concatenate(right)


def apply(fitted: Calibration, head: Head, scores: Scores, language: str) -> NDArray[np.float32]:
    """A head's calibrated probabilities on every text (or mention) of a set."""
    if head.name == ENTITIES:
        return fitted.probabilities(head, scores.mention, scores.pooled[scores.mention_rows], language)
    return fitted.probabilities(head, scores.text[head.name], scores.pooled, language)


def known_rows(
    name: str, examples: Sequence[Example], scores: Scores, head: Head
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Rows (of texts; of mentions for their head) whose label for a head is known, and the labels."""
    if head.name == ENTITIES:  # finnsp marks negative mentions only: no distribution to fit
        rows = np.flatnonzero(scores.mention_gold >= 0) if name == "sentfin" else np.zeros(0, dtype=np.int64)
        return rows, scores.mention_gold[rows]
    answers = [gold_of(example, head) for example in examples]
    rows = np.array([row for row, answer in enumerate(answers) if answer is not None], dtype=np.int64)
    return rows, np.array([answer[0] for answer in answers if answer is not None])


def gather(judged: Judged, head: Head, language: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    """(logits, gold, weights or none) of every validation text of a language that has an answer for a head."""
    logits: list[Any] = []
    gold: list[Any] = []
    weights: list[Any] = []
    for name, (examples, scores) in judged.items():
        if not examples or examples[0].language != language:
            continue
        rows, labels = known_rows(name, examples, scores, head)
        logits.extend((scores.mention if head.name == ENTITIES else scores.text[head.name])[rows])
        gold.extend(labels)
        if head.kind == MULTILABEL:
            weights.extend(answer[1] for e in examples if (answer := gold_of(e, head)) is not None)
    return np.array(logits), np.array(gold), np.array(weights) if head.kind == MULTILABEL else None


def gold_of(example: Example, head: Head) -> tuple[Any, Any] | None:
    """A text's gold answer for a head, with weights for multi-label heads; None when its set has none."""
    if head.name == "sentiment":
        unknown = example.sentiment is None or example.set in ("finnsp", "stockemotions")
        return None if unknown else (example.sentiment, 1)
    if head.name == "topics" and example.topics is not None:
        return [t or 0.0 for t in example.topics], [float(t is not None) for t in example.topics]
    if head.name == example.set and example.set in OWN_LABELS:
        if head.kind == MULTILABEL:
            return [float(label in example.own) for label in head.labels], [1.0] * len(head.labels)
        return head.labels.index(example.own[0]), 1
    return None


def held_out(
    judged: Judged, heads: Mapping[str, Head], folds: int = 5, seed: int = 20
) -> dict[tuple[str, str], NDArray[np.float32]]:
    """(set, head) -> probabilities of every text (or mention), each from a calibration that saw none of its story.

    Stories are dealt into folds at random; what is fitted on the others answers each.
    """
    found: dict[tuple[str, str], NDArray[np.float32]] = {}
    for fold in range(folds):
        cut = {name: fold_of(examples, folds, seed) != fold for name, (examples, _) in judged.items()}
        fitted = fit_probabilities({name: part(*judged[name], rows) for name, rows in cut.items()}, heads)
        for name, (examples, scores) in judged.items():
            for head in heads.values():
                if examples and answers(name, head):
                    p = apply(fitted, head, scores, examples[0].language)
                    rows = ~cut[name][scores.mention_rows] if head.name == ENTITIES else ~cut[name]
                    found.setdefault((name, head.name), np.zeros_like(p))[rows] = p[rows]
    return found


def fold_of(examples: Sequence[Example], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each text: the same for copies of a story, in every set."""
    return np.array([_number(f"{seed} {text_key(example.text)}") % folds for example in examples], dtype=np.int64)


def part(examples: list[Example], scores: Scores, rows: NDArray[np.bool_]) -> tuple[list[Example], Scores]:
    """The texts where `rows` [N] holds, with their answers and mentions."""
    mentions = rows[scores.mention_rows]
    moved = np.cumsum(rows) - 1
    return [example for example, kept in zip(examples, rows, strict=True) if kept], Scores(
        {name: logits[rows] for name, logits in scores.text.items()}, scores.mention[mentions],
        scores.mention_gold[mentions], moved[scores.mention_rows[mentions]], scores.pooled[rows],
    )  # fmt: skip


def answers(name: str, head: Head) -> bool:
    """Is a set judged on this head?"""
    return head.name == name or (head.name == "sentiment" and name in SENTIMENT_SETS) or (
        head.name == ENTITIES and name == "sentfin"
    )  # fmt: skip


def _number(text: str) -> int:
    return int(hashlib.sha256(text.encode("utf-8")).hexdigest()[:8], 16)
