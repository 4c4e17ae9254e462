"""From a head's logits to probabilities that can be relied on. The only place where a calibration is applied: the
product (models/answers.py) and every score (models/evaluate.py) go through `Calibration.probabilities`.

In a manifest:

    temperatures  {head: {language: T}}: logits are divided by T
    thresholds    {topic: p}, floor {head: p}
    registers     optional: {"names": [R names], "heads": {head: {"scale": [R], "bias": [R][L]}}}. A text is written in
                  some register (a headline, a tweet, a forum post, ...); how likely each is, p [R], is read off the
                  text's pooled vector by `register.weight` [R, H] and `register.bias` [R] in calibration.safetensors.
                  A head named here answers softmax((p . scale) logits + p . bias) instead of by temperature: forums
                  and news differ in how sure one can be, and in how often a text is neutral.

Temperature scaling and its per-class bias: Guo et al. 2017, https://arxiv.org/abs/1706.04599. Numpy only; fitted by
models/calibrate.py. Each text by itself, as docs/decisions/0002-batch-invariance.md asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.heads import SOFTMAX, Head, sigmoid, softmax

Array = NDArray[np.float32]


class CalibrationError(ValueError):
    """Numbers of a calibration that do not fit together; the message says which."""


@dataclass(frozen=True)
class Adjustment:
    """What a head's logits are multiplied by and shifted by in each register: scale [R], bias [R, L]."""

    scale: Array
    bias: Array


@dataclass(frozen=True)
class Registers:
    """Reads registers off pooled text vectors; weight [R, H], bias [R]; the heads it adjusts, by name."""

    names: tuple[str, ...]
    weight: Array
    bias: Array
    heads: Mapping[str, Adjustment]

    def of(self, text: Array) -> Array:
        """How likely each register is: pooled vectors [N, H] -> [N, R]."""
        return softmax(np.asarray(text @ self.weight.T + self.bias, dtype=np.float32))

    def adjust(self, head: str, logits: Array, text: Array) -> Array:
        """Logits [N, L] of a head it knows, scaled and shifted after the register of each text [N, H]."""
        p, by = self.of(text), self.heads[head]
        return np.asarray(logits * (p @ by.scale)[:, None] + p @ by.bias, dtype=np.float32)

    def entry(self) -> dict[str, Any]:
        """As the manifest states it."""
        heads = {
            name: {"scale": _plain(by.scale), "bias": [_plain(row) for row in by.bias]}
            for name, by in self.heads.items()
        }
        return {"names": list(self.names), "heads": heads}

    def tensors(self) -> dict[str, Array]:
        """As calibration.safetensors holds it."""
        return {"register.weight": self.weight, "register.bias": self.bias}


@dataclass(frozen=True)
class Calibration:
    """Numbers fitted on the validation cut."""

    temperatures: dict[str, dict[str, float]] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)
    floor: dict[str, float] = field(default_factory=dict)
    registers: Registers | None = None

    def temperature(self, head: str, language: str) -> float:
        """The temperature of a head for a language; a language never seen gets the most cautious (largest) one."""
        known = self.temperatures.get(head, {})
        return known.get(language, max(known.values(), default=1.0))

    def probabilities(self, head: Head, logits: Array, text: Array, language: str) -> Array:
        """Calibrated probabilities [N, L] of a head's logits [N, L] on texts (pooled vectors [N, H]) of a language.

        For a head on mentions, row n of `text` is the vector of the text that mention n is in.
        """
        if self.registers is not None and head.name in self.registers.heads:
            scaled = self.registers.adjust(head.name, logits, text)
        else:
            scaled = np.divide(logits, np.float32(self.temperature(head.name, language)), dtype=np.float32)
        return softmax(scaled) if head.kind == SOFTMAX else sigmoid(scaled)

    @classmethod
    def read(cls, entry: Mapping[str, Any], tensors: Mapping[str, NDArray[np.generic]]) -> Calibration:
        """From a manifest's entry and the tensors beside it. CalibrationError when shapes or keys do not fit."""
        try:
            registers = _read_registers(entry["registers"], tensors) if "registers" in entry else None
            return cls(dict(entry["temperatures"]), dict(entry["thresholds"]), dict(entry["floor"]), registers)
        except KeyError as error:
            raise CalibrationError(f"it lacks {error}") from error


def _read_registers(entry: Mapping[str, Any], tensors: Mapping[str, NDArray[np.generic]]) -> Registers:
    names = tuple(entry["names"])
    weight, bias = (tensors[f"register.{part}"].astype(np.float32) for part in ("weight", "bias"))
    if weight.ndim != 2 or len(weight) != len(names) or bias.shape != (len(names),):
        raise CalibrationError(
            f"{len(names)} registers, but their tensors have the shapes {weight.shape}, {bias.shape}"
        )
    heads = {}
    for head, numbers in entry["heads"].items():
        by = Adjustment(np.array(numbers["scale"], np.float32), np.array(numbers["bias"], np.float32))
        if by.scale.shape != (len(names),) or by.bias.shape[:1] != (len(names),):
            raise CalibrationError(f"{len(names)} registers, but other numbers of them for the head {head!r}")
        heads[head] = by
    return Registers(names, weight, bias, heads)


def _plain(values: Array) -> list[float]:
    return [round(float(value), 4) for value in values]
