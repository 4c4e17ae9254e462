"""From a head's logits to probabilities that can be relied on. The only place where a calibration is applied: the
product (models/answers.py) and every score (models/readings.py) go through `Calibration.probabilities`.

Logits are multiplied by a positive number of each text's own before softmax or sigmoid, so no calibration changes which
label is best. In a manifest:

    temperatures  {head: {language: T}}: the number is 1 / T, plus what `slopes` adds
    slopes        optional, {head: {language: s}}: plus s * (certainty - 1/2), where certainty is 1 - entropy of the
                  uncalibrated answer / its largest value. Label smoothing leaves sure answers too modest and unsure
                  ones about right, which no one temperature can mend
    registers     optional: {"names": [R names], "scales": {head: [R]}}. A text is written in some register (a headline,
                  a tweet, a forum post, ...); how likely each is, p [R], is read off the text's pooled vector by
                  `register.weight` [R, H] and `register.bias` [R] in calibration.safetensors. The number is p . scales
                  for a head named here, whatever the language: news can be answered more surely than forum posts
    thresholds    {topic: p}
    floor         {head: p}

Temperature scaling: Guo et al. 2017, https://arxiv.org/abs/1706.04599; a temperature that depends on entropy: Balanya
et al. 2022, https://arxiv.org/abs/2208.00461. Numpy only; fitted by models/fit_calibration.py. Each text by itself, as
docs/decisions/0002-batch-invariance.md asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.heads import SOFTMAX, Head, sigmoid, softmax

Array = NDArray[np.float32]
ByLanguage = dict[str, dict[str, float]]

LEAST, MOST = 0.2, 3.3  # temperatures of 5 and 0.3: outside, there was too little data to tell


class CalibrationError(ValueError):
    """Numbers of a calibration that do not fit together; the message says which."""


@dataclass(frozen=True)
class Registers:
    """Reads registers off pooled text vectors: weight [R, H], bias [R]. `scales`: head -> [R]."""

    names: tuple[str, ...]
    weight: Array
    bias: Array
    scales: Mapping[str, Array] = field(default_factory=dict)

    def of(self, text: Array) -> Array:
        """How likely each register is: pooled vectors [N, H] -> [N, R]."""
        return softmax(np.asarray(text @ self.weight.T + self.bias, dtype=np.float32))

    def entry(self) -> dict[str, Any]:
        """As the manifest states it."""
        scales = {head: [round(float(value), 4) for value in values] for head, values in self.scales.items()}
        return {"names": list(self.names), "scales": scales}

    def tensors(self) -> dict[str, Array]:
        """As calibration.safetensors holds it."""
        return {"register.weight": self.weight, "register.bias": self.bias}


@dataclass(frozen=True)
class Calibration:
    """Numbers fitted on the validation cut."""

    temperatures: ByLanguage = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    floor: dict[str, float] = field(default_factory=dict)
    slopes: ByLanguage = field(default_factory=dict)
    registers: Registers | None = None

    def temperature(self, head: str, language: str) -> float:
        """The temperature of a head for a language; a language never seen gets the most cautious (largest) one."""
        known = self.temperatures.get(head, {})
        return known.get(language, max(known.values(), default=1.0))

    def scale(self, head: str, logits: Array, text: Array, language: str) -> Array:
        """What the logits [N, L] of texts (pooled vectors [N, H]) are multiplied by, [N]."""
        if self.registers is not None and head in self.registers.scales:
            raw = self.registers.of(text) @ self.registers.scales[head]
        else:
            raw = np.full(len(logits), 1.0 / self.temperature(head, language))
            if head in self.slopes:
                known = self.slopes[head]
                raw += known.get(language, min(known.values())) * (certainty(logits) - 0.5)
        return np.asarray(np.clip(raw, LEAST, MOST), dtype=np.float32)

    def probabilities(self, head: Head, logits: Array, text: Array, language: str) -> Array:
        """Calibrated probabilities [N, L] of a head's logits [N, L] on texts (pooled vectors [N, H]) of a language.

        For a head on mentions, row n of `text` is the vector of the text that mention n is in.
        """
        scaled = np.asarray(logits * self.scale(head.name, logits, text, language)[:, None], dtype=np.float32)
        return softmax(scaled) if head.kind == SOFTMAX else sigmoid(scaled)

    def entry(self) -> dict[str, Any]:
        """As the manifest states it."""
        found: dict[str, Any] = {
            "temperatures": self.temperatures, "thresholds": self.thresholds, "floor": self.floor,
        }  # fmt: skip
        if self.slopes:
            found["slopes"] = self.slopes
        if self.registers is not None:
            found["registers"] = self.registers.entry()
        return found

    @classmethod
    def read(cls, entry: Mapping[str, Any], tensors: Mapping[str, NDArray[np.generic]]) -> Calibration:
        """From a manifest's entry and the tensors beside it. CalibrationError when shapes or keys do not fit."""
        try:
            registers = _read_registers(entry["registers"], tensors) if "registers" in entry else None
            temperatures, thresholds, floor = (dict(entry[key]) for key in ("temperatures", "thresholds", "floor"))
            return cls(temperatures, thresholds, floor, dict(entry.get("slopes", {})), registers)
        except KeyError as error:
            raise CalibrationError(f"it lacks {error}") from error


def certainty(logits: Array) -> NDArray[np.float64]:
    """1 - entropy of softmax(logits) / log L, row by row: 0 for an even answer, 1 for a sure one."""
    p = softmax(np.asarray(logits, dtype=np.float32)).astype(np.float64)
    entropy = -(p * np.log(np.maximum(p, 1e-12))).sum(axis=1)
    return np.asarray(1.0 - entropy / np.log(logits.shape[1]))


def _read_registers(entry: Mapping[str, Any], tensors: Mapping[str, NDArray[np.generic]]) -> Registers:
    names = tuple(entry["names"])
    weight, bias = (tensors[f"register.{part}"].astype(np.float32) for part in ("weight", "bias"))
    if weight.ndim != 2 or len(weight) != len(names) or bias.shape != (len(names),):
        raise CalibrationError(f"{len(names)} registers, but tensors of the shapes {weight.shape} and {bias.shape}")
    scales = {head: np.array(values, np.float32) for head, values in entry["scales"].items()}
    for head, values in scales.items():
        if values.shape != (len(names),):
            raise CalibrationError(f"{len(names)} registers, but other numbers of them for the head {head!r}")
    return Registers(names, weight, bias, scales)
