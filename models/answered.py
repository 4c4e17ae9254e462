"""A model's calibrated answers to labelled texts, whichever of its parts gave them (models/paired.py).

Each text is read by the part of its language. A set's own head is asked of the part that keeps it, for every text of
the set; should both keep it, each answers the texts that it reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.answers import PRIOR
from models.contract import Encoder
from models.data import Example
from models.heads import Head
from models.language import language_of
from models.paired import Model
from models.registry import Release
from models.score import Scores, score
from models.taxonomy import OWN_LABELS, TOPIC_IDS

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
MENTIONS = "entity_sentiment"


@dataclass(frozen=True)
class Share:
    """What one part was asked: the n texts at `rows` of the set, ascending; `scores` are its raw answers. `reads` [n]:
    whether the model's answer to the text is this part's, or it was asked for its own head only."""

    part: Release
    rows: Ints
    scores: Scores
    reads: Flags


class MentionAnswers(NamedTuple):
    """p [M, 3] of the mentions that were found, in text order; gold [M] (-1: only known not to be negative); rows [M]:
    the text each is in."""

    p: Floats
    gold: Ints
    rows: Ints


@dataclass(frozen=True)
class Answered:
    """A model's answers to the N texts of a set called `name`."""

    name: str
    texts: list[str]
    model: Model
    shares: tuple[Share, ...]

    @classmethod
    def by(cls, model: Model, encoders: Sequence[Encoder], name: str, examples: Sequence[Example]) -> Answered:
        """Ask the model; `encoders`: one a part, in their order."""
        places = np.array([model.place_of(example.text) for example in examples], dtype=np.int64)
        keep = _keeping(model, name)
        shares = []
        for place, (part, encoder) in enumerate(zip(model.parts, encoders, strict=True)):
            reads = places == place
            rows = np.arange(len(examples)) if keep == [part] else np.flatnonzero(reads)
            if len(rows):
                scores = score(part, encoder, [examples[row] for row in rows.tolist()])
                shares.append(Share(part, rows, scores, reads[rows]))
        return cls(name, [example.text for example in examples], model, tuple(shares))

    @classmethod
    def known(cls, release: Release, name: str, examples: Sequence[Example], scores: Scores) -> Answered:
        """From the raw answers of a release to all texts of the set."""
        share = Share(release, np.arange(len(examples)), scores, np.ones(len(examples), dtype=np.bool_))
        return cls(name, [example.text for example in examples], release, (share,))

    def of(self, head: str) -> Floats:
        """Probabilities [N, L] of a product head on whole texts. An empty text gives the prior and no topic."""
        p = np.zeros((len(self.texts), len(self.model.parts[0].manifest["heads"][head]["labels"])), dtype=np.float32)
        for share in self.shares:
            p[share.rows[share.reads]] = self._calibrated(share, head)[share.reads]
        p[[not text.strip() for text in self.texts]] = PRIOR if head == "sentiment" else 0.0
        return p

    @property
    def own_head(self) -> Head | None:
        """The head that the model keeps for the set's own labels, if any."""
        keep = _keeping(self.model, self.name)
        return keep[0].heads[self.name] if keep else None

    def of_own(self) -> Floats:
        """Probabilities [N, L] of the set's own head, which must be there."""
        keep = _keeping(self.model, self.name)
        p = np.zeros((len(self.texts), len(keep[0].heads[self.name].labels)), dtype=np.float32)
        for share in (share for share in self.shares if share.part in keep):
            asked = share.reads if len(keep) > 1 else np.ones_like(share.reads)
            p[share.rows[asked]] = self._calibrated(share, self.name)[asked]
        return p

    def mentions(self) -> MentionAnswers:
        """The sentiment towards each mention."""
        found = []
        for share in self.shares:
            kept = share.reads[share.scores.mention_rows]
            rows = share.rows[share.scores.mention_rows]
            p = self._calibrated(share, MENTIONS)
            found.append(MentionAnswers(p[kept], share.scores.mention_gold[kept], rows[kept]))
        p, gold, rows = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.argsort(rows, kind="stable")
        return MentionAnswers(p[order], gold[order], rows[order])

    def thresholds(self) -> Floats:
        """[N, topics]: the probability from which a topic holds, by the part that reads the text."""
        found = np.full((len(self.texts), len(TOPIC_IDS)), 0.5, dtype=np.float32)
        for share in self.shares:
            of = share.part.calibration.thresholds
            found[share.rows[share.reads]] = [of.get(topic, 0.5) for topic in TOPIC_IDS]
        return found

    def floors(self) -> Floats:
        """[N]: the confidence under which a sentiment is unsure, by the part that reads the text."""
        found = np.zeros(len(self.texts), dtype=np.float32)
        for share in self.shares:
            found[share.rows[share.reads]] = share.part.calibration.floor.get("sentiment", 0.0)
        return found

    def _calibrated(self, share: Share, head: str) -> Floats:
        """[n, L] of the texts of a share, or [M, 3] of their mentions: each by the language it is written in."""
        of_mentions = head == MENTIONS
        logits = share.scores.mention if of_mentions else share.scores.text[head]
        rows = share.scores.mention_rows if of_mentions else np.arange(len(share.rows))
        spoken = np.array([language_of(self.texts[row]) for row in share.rows], dtype=str)[rows]
        p = np.zeros(logits.shape, dtype=np.float32)
        for language in sorted(set(spoken.tolist())):
            at, pooled = spoken == language, share.scores.pooled
            p[at] = share.part.calibration.probabilities(share.part.heads[head], logits[at], pooled[rows[at]], language)
        return p


def _keeping(model: Model, name: str) -> list[Release]:
    """The parts that keep a head for a set."""
    return [part for part in model.parts if name in OWN_LABELS and name in part.manifest["heads"]]
