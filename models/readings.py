"""What a model says of a set, beside what the set says: two readings, each judged by models/reports.py.

`product`: what `windvane classify` answers. For sentiment sets the shared sentiment head, argmax of three; for sets of
topics the taxonomy's topics, each over its threshold.
`own`: the small head that the release keeps for the set, in the set's own labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.answered import Answered
from models.answers import rounded
from models.data import Example
from models.heads import MULTILABEL, SOFTMAX
from models.labelled import Labelled
from models.taxonomy import SENTIMENTS, TOPIC_IDS, targets_for, topic_sets

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
NOT_NEGATIVE_LABELS = ("negative", "non-negative")


@dataclass(frozen=True)
class Reading:
    """Answers to the n texts of a set that have a gold answer in these labels.

    softmax: gold and answer are classes [n]. multilabel: gold, answer and known are [n, L] of booleans.
    """

    kind: str
    labels: tuple[str, ...]
    rows: Ints  # [n] places in the set's examples
    gold: NDArray[Any]
    answer: NDArray[Any]
    p: Floats  # [n, L] calibrated
    known: Flags | None = None

    @property
    def confidence(self) -> Floats:
        """How sure the model was: [n], or of every known cell for multilabel."""
        if self.known is not None:
            return np.asarray(np.maximum(self.p, 1 - self.p)[self.known], dtype=np.float32)
        return np.asarray(self.p[np.arange(len(self.p)), self.answer], dtype=np.float32)

    @property
    def correct(self) -> Flags:
        """Whether it was right, in the order of `confidence`; for multilabel: whether p is on the gold's side of .5."""
        if self.known is not None:
            return np.asarray(((self.p >= 0.5) == self.gold)[self.known], dtype=np.bool_)
        return np.asarray(self.answer == self.gold, dtype=np.bool_)

    def of(self, chosen: Flags) -> Reading:
        """The reading of a part of its texts, chosen [n]."""
        known = None if self.known is None else self.known[chosen]
        return Reading(
            self.kind, self.labels, self.rows[chosen], self.gold[chosen], self.answer[chosen], self.p[chosen], known
        )


def product_reading(given: Labelled, answered: Answered) -> Reading | None:
    """What the product answers, in the product's labels; None when the set says nothing in them.

    Where a set knows texts that are "not negative", nothing more (finnsp), it is judged on negative or not.
    """
    if asks_for_topics(given):
        return _topics(given, answered)
    three = [_sentiment(example) for example in given.examples]
    rows = np.array([row for row, gold in enumerate(three) if gold is not None], dtype=np.int64)
    if not len(rows):
        return None
    gold = np.array([three[row] for row in rows], dtype=np.int64)
    p = answered.of("sentiment")[rows]
    if given.name != "finnsp" and not any(example.not_negative for example in given.examples):
        return Reading(SOFTMAX, SENTIMENTS, rows, gold, p.argmax(1), p)
    two = np.stack([p[:, 0], p[:, 1] + p[:, 2]], axis=1)
    answer = (p.argmax(1) != 0).astype(np.int64)  # what the product shows, though the two halves may outweigh it
    return Reading(SOFTMAX, NOT_NEGATIVE_LABELS, rows, (gold != 0).astype(np.int64), answer, two)


def asks_for_topics(given: Labelled) -> bool:
    """Are the set's labels about topics? The built-in ones by name, one's own by what its rows say."""
    if given.name in topic_sets():
        return True
    spoken = any(_sentiment(example) is not None for example in given.examples)
    return not spoken and any(example.topics is not None for example in given.examples)


def _sentiment(example: Example) -> int | None:
    """The gold class; "not negative" as a class of its own."""
    return len(SENTIMENTS) if example.not_negative else example.sentiment


def own_reading(given: Labelled, answered: Answered) -> Reading | None:
    """What the set's own head answers; None when the model keeps none for it."""
    head = answered.own_head
    if head is None:
        return None
    p = answered.of_own()
    rows = np.arange(len(p))
    if head.kind == MULTILABEL:
        cells = np.array([[label in example.own for label in head.labels] for example in given.examples])
        return Reading(MULTILABEL, head.labels, rows, cells, p >= 0.5, p, np.ones(cells.shape, dtype=np.bool_))
    kept = np.array([example.own[0] in head.labels for example in given.examples])
    gold = np.array([head.labels.index(e.own[0]) for e in given.examples if e.own[0] in head.labels], dtype=np.int64)
    return Reading(SOFTMAX, head.labels, rows[kept], gold, p[kept].argmax(1), p[kept])


def entity_reading(answered: Answered) -> Reading | None:
    """The sentiment of each mention with a known one (rows: the mention's text); None when there are none."""
    found = answered.mentions()
    known = found.gold >= 0
    if not known.any():
        return None
    p = found.p[known]
    return Reading(SOFTMAX, SENTIMENTS, found.rows[known], found.gold[known], p.argmax(1), p)


def two_way(reading: Reading) -> Reading:
    """A three-way sentiment reading with neutral left out, for sets whose convention has none."""
    p = reading.p[:, [0, 2]] / reading.p[:, [0, 2]].sum(1, keepdims=True)
    gold = (reading.gold == 2).astype(np.int64)
    return Reading(SOFTMAX, ("negative", "positive"), reading.rows, gold, p.argmax(1), p)


def predictions(given: Labelled, answered: Answered) -> Iterator[dict[str, Any]]:
    """One record a text, in order: id, gold in the set's labels, what the product answers (as `windvane classify` puts
    it) and what the set's own head answers, if there is one."""
    product = _product(answered)
    own = answered.own_head
    of_own = None if own is None else answered.of_own()
    for row, example in enumerate(given.examples):
        gold = list(example.own) if own is not None and own.kind == MULTILABEL else "".join(example.own[:1])
        line = {"id": example.id, "gold": gold, "product": next(product)}
        if own is not None and of_own is not None:
            line["own"] = _own(own.kind, own.labels, of_own[row])
        yield line


def _product(answered: Answered) -> Iterator[dict[str, Any]]:
    answers = answered.of("sentiment"), answered.of("topics"), answered.thresholds(), answered.floors()
    for sentiment, topics, thresholds, floor in zip(*answers, strict=True):
        p = rounded(sentiment)
        shares = zip(TOPIC_IDS, topics, thresholds, strict=True)
        held = [(topic, round(float(share), 4)) for topic, share, threshold in shares if share >= threshold]
        yield {
            "sentiment": {"label": SENTIMENTS[int(np.argmax(p))], "p": dict(zip(SENTIMENTS, p, strict=True))},
            "unsure": max(p) < float(floor),
            "topics": [{"label": label, "p": share} for label, share in sorted(held, key=lambda pair: -pair[1])],
        }


def _own(kind: str, labels: tuple[str, ...], p: Floats) -> dict[str, Any]:
    shares = {label: round(float(share), 4) for label, share in zip(labels, p, strict=True)}
    if kind == MULTILABEL:
        return {"labels": [label for label, share in zip(labels, p, strict=True) if share >= 0.5], "p": shares}
    return {"label": labels[int(p.argmax())], "p": shares}


def topic_gold(given: Labelled) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which topics hold and which are known to hold or not, both [N, topics]: from the set's own labels, no rules."""
    said = [
        targets_for(given.name, list(example.own))
        if example.own and given.name in topic_sets()
        else (example.topics or (None,) * len(TOPIC_IDS))
        for example in given.examples
    ]
    gold = np.array([[value == 1.0 for value in row] for row in said])
    return gold, np.array([[value is not None for value in row] for row in said])


def _topics(given: Labelled, answered: Answered) -> Reading:
    p = answered.of("topics")
    gold, known = topic_gold(given)
    return Reading(MULTILABEL, TOPIC_IDS, np.arange(len(p)), gold, p >= answered.thresholds(), p, known)
