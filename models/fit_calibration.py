"""The whole calibration of a release from raw answers on the validation cut, and what it is worth on texts that it was
not fitted on (`held_out`): figures on the texts that it was fitted on flatter it.

`sentiment` is scaled by register; every other head by language, those of one label with a slope. Thresholds and floors
are fitted on calibrated probabilities.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.calibrate import fit_floor, fit_temperature, fit_thresholds
from models.calibration import ByLanguage, Calibration, Registers
from models.data import Example, text_key
from models.fit_scales import Evidence, fit_reader, fit_scales, fit_slope
from models.heads import MULTILABEL, Head
from models.metrics import Floats
from models.score import Scores
from models.taxonomy import OWN_LABELS, SENTIMENT_SETS, TOPIC_IDS

Judged = Mapping[str, tuple[list[Example], Scores]]  # set -> its texts and their raw answers
FEWEST = 100  # texts a head or a register needs for numbers of its own
NOT_NEGATIVE = 3  # a class of its own: known not to be negative, nothing more
ENTITIES = "entity_sentiment"
LANGUAGES = ("en", "zh")
LEANING = ("stockemotions",)  # sets that say which way a text leans, and nothing about neutral


def calibrate(judged: Judged, heads: Mapping[str, Head]) -> Calibration:
    """Registers, temperatures and slopes per head and language, thresholds per topic, floors."""
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
    temperatures: ByLanguage = {}
    slopes: ByLanguage = {}
    for name, head in heads.items():
        for language in LANGUAGES:
            logits, gold, weight = gather(judged, head, language)
            if len(logits) < FEWEST:
                continue
            if head.kind == MULTILABEL:
                temperature = fit_temperature(logits, gold, head.kind, weight)
            else:
                temperature, slopes.setdefault(name, {})[language] = fit_slope(Evidence.of_best(logits, gold))
            temperatures.setdefault(name, {})[language] = temperature
    registers = fit_registers(judged)
    for name in registers.scales if registers is not None else ():  # what they scale needs nothing else
        temperatures.pop(name, None)
        slopes.pop(name, None)
    return Calibration(temperatures, slopes=slopes, registers=registers)


def fit_registers(judged: Judged) -> Registers | None:
    """A register for each set that tells of sentiment, with its scale of that head; None when there are fewer than two
    such sets."""
    evidence = {name: register_evidence(examples, scores) for name, (examples, scores) in judged.items()}
    found = {name: pair for name, pair in evidence.items() if len(pair[0]) >= FEWEST}
    if len(found) < 2:
        return None
    pooled = np.concatenate([judged[name][1].pooled[rows] for name, (rows, _) in found.items()])
    registers = fit_reader(pooled, [name for name, (rows, _) in found.items() for _ in rows])
    parts = [part for _, part in found.values()]
    together = Evidence(*(np.concatenate([getattr(p, key) for p in parts]) for key in ("logits", "seen", "possible")))
    return replace(registers, scales={"sentiment": fit_scales(together, registers.of(pooled).astype(np.float64))})


def register_evidence(examples: Sequence[Example], scores: Scores) -> tuple[NDArray[np.int64], Evidence]:
    """What a set's labels say of the shared sentiment head, and of which of its texts."""
    told = [row for row, example in enumerate(examples) if example.not_negative or example.sentiment is not None]
    logits = scores.text["sentiment"][told].astype(np.float64)
    gold = np.array([NOT_NEGATIVE if examples[row].not_negative else examples[row].sentiment for row in told], np.int64)
    masks = np.concatenate([np.eye(3), [[0, 1, 1]]])[gold]
    possible = np.ones(logits.shape)
    if told and examples[told[0]].set in LEANING:
        possible[:, 1] = 0
    elif not any(example.not_negative for example in examples):  # else: negative or not is all there is to be right on
        masks = Evidence.of_best(logits, gold).seen
    return np.array(told, dtype=np.int64), Evidence(logits, masks, possible)


def topic_answers(
    judged: Judged, heads: Mapping[str, Head], fitted: Calibration
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Calibrated topic probabilities, gold and whether it is known, each [N, topics], both languages together."""
    empty = np.zeros((0, len(TOPIC_IDS)))
    p: list[NDArray[Any]] = [empty]
    gold, known = [empty], [empty]
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
