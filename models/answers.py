"""From the encoder's hidden states of one text to a Prediction: pooling, heads, calibration, rounding.

One text at a time on purpose: matrix products over several rows may sum in another order than over one, and a
text's answer must not depend on what else was in the batch (docs/decisions/0002-batch-invariance.md).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.batching import Tokens
from models.contract import Prediction, SpanPrediction
from models.heads import Head, mean_pool, mention_input, span_pool
from models.registry import PRODUCT_HEADS, ModelError, Release

Array = NDArray[np.float32]
Triple = tuple[float, float, float]

PRIOR: Final[Triple] = (0.3333, 0.3334, 0.3333)  # of a text that says nothing
_UNITS = 10_000  # probabilities are given to 4 decimals


class Answers:
    """The product heads of a release with their calibration."""

    def __init__(self, release: Release) -> None:
        missing = set(PRODUCT_HEADS) - release.heads.keys()
        if missing:
            raise ModelError(
                f"A model for Windvane needs the heads {', '.join(PRODUCT_HEADS)}; "
                f"{release.folder} has no {', '.join(sorted(missing))}. Train one with windvane train."
            )
        self._heads = release.heads
        self._topics, self._sentiment = release.heads["topics"], release.heads["sentiment"]
        self._mention = release.heads["entity_sentiment"]
        self._calibration = release.calibration

    def nothing(self, spans: int) -> Prediction:
        """The answer to an empty text."""
        return Prediction((), PRIOR, True, (SpanPrediction(PRIOR, "text"),) * spans)

    def of(self, hidden: Array, tokens: Tokens, language: str) -> Prediction:
        """The answer for one text: hidden [its tokens, H], without padding."""
        rows = np.ascontiguousarray(hidden)[None]
        text = mean_pool(rows, np.ones(rows.shape[:2], dtype=np.float32))
        sentiment = rounded(self._probabilities(self._sentiment, text, text, language))
        unsure = max(sentiment) < self._calibration.floor.get("sentiment", 0.0)
        spans = self._spans(rows, text, tokens, language, sentiment)
        return Prediction(self._held_topics(text, language), sentiment, unsure, spans)

    def shares(self, head: str, hidden: Array, mention: tuple[int, int] | None, language: str) -> Array:
        """Calibrated probabilities [labels] of one product head, not rounded: what models/explain.py takes apart.

        hidden [tokens, H], without padding; `mention`: its tokens, for entity_sentiment only.
        """
        rows = np.ascontiguousarray(hidden)[None]
        pooled = text = mean_pool(rows, np.ones(rows.shape[:2], dtype=np.float32))
        if mention is not None:
            pooled = mention_input(span_pool(rows, [(0, *mention)]), text, [0])
        return self._probabilities(self._heads[head], pooled, text, language)

    def _probabilities(self, head: Head, pooled: Array, text: Array, language: str) -> Array:
        """Of one input [1, H or 2H] on a text whose vector is [1, H]."""
        return self._calibration.probabilities(head, head.logits(pooled), text, language)[0]

    def _held_topics(self, text: Array, language: str) -> tuple[tuple[str, float], ...]:
        scores = [float(p) for p in self._probabilities(self._topics, text, text, language)]
        thresholds = self._calibration.thresholds
        held = [
            (label, round(p, 4))
            for label, p in zip(self._topics.labels, scores, strict=True)
            if p >= thresholds.get(label, 0.5)
        ]
        return tuple(sorted(held, key=lambda pair: -pair[1]))

    def _spans(
        self, rows: Array, text: Array, tokens: Tokens, language: str, otherwise: Triple
    ) -> tuple[SpanPrediction, ...]:
        floor = self._calibration.floor.get("entity_sentiment", 0.0)
        answers = []
        for span in tokens.spans:
            p = otherwise
            if span is not None:
                pooled = mention_input(span_pool(rows, [(0, *span)]), text, [0])
                p = rounded(self._probabilities(self._mention, pooled, text, language))
            told = span is not None and max(p) >= floor
            answers.append(SpanPrediction(p, "mention") if told else SpanPrediction(otherwise, "text"))
        return tuple(answers)


def rounded(p: Array) -> Triple:
    """Three probabilities to 4 decimals that still sum to 1: what rounding down leaves goes where it cut most."""
    scaled = [float(x) * _UNITS for x in p]
    units = [int(x) for x in scaled]
    by_remainder = sorted(range(len(units)), key=lambda i: (units[i] - scaled[i], i))
    for i in by_remainder[: max(0, _UNITS - sum(units))]:
        units[i] += 1
    negative, neutral, positive = (u / _UNITS for u in units)
    return negative, neutral, positive
