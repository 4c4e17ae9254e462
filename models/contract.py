"""The classifier contract: texts in, calibrated predictions out, order kept. Backends differ in the encoder only."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


class Text(NamedTuple):
    """A document and the mentions in it whose sentiment is asked for: (start, end) in code points, end exclusive."""

    text: str
    spans: tuple[tuple[int, int], ...] = ()


class SpanPrediction(NamedTuple):
    """Sentiment towards one mention: p sums to 1 in the order (negative, neutral, positive)."""

    p: tuple[float, float, float]
    basis: Literal["mention", "text"]  # "text": the mention lay beyond what the model read, or it could not tell


class Prediction(NamedTuple):
    """All probabilities calibrated and rounded to 4 decimals. `topics` holds those over their threshold, best first."""

    topics: tuple[tuple[str, float], ...]
    sentiment: tuple[float, float, float]  # negative, neutral, positive; sums to 1
    unsure: bool
    spans: tuple[SpanPrediction, ...]


class Encoder(Protocol):
    """The trunk. A row's output must not depend on other rows or on padding: a replay must give equal results."""

    name: str  # e.g. "onnxruntime int8"

    def __call__(self, ids: npt.NDArray[np.int64], mask: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Token ids and mask, both [rows, tokens] -> last hidden state, float32 [rows, tokens, hidden]."""


class Classifier(Protocol):
    """What the pipeline calls."""

    version: str

    def predict(self, texts: Sequence[Text]) -> list[Prediction]:
        """One prediction per text, in order. Empty text gives the prior, marked unsure. Never raises for a text."""
