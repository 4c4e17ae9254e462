"""What a training run is told: one frozen record, read from a TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from models.data import DATA_SETS, PERMISSIVE


@dataclass(frozen=True)
class TrainConfig:
    """Units: learning rates per step, lengths in tokens, minutes of wall time."""

    name: str  # the release's name
    encoder: str  # a Hugging Face name, or a folder with config.json and model.safetensors
    data: str  # folder laid out as ../shared/data
    work: str  # where checkpoints, the run record and the trained weights go
    repeats: dict[str, float]  # rounds over each set; a set not named is not trained on
    task_weights: dict[str, float]  # by head; "own_sentiment" for the own heads of all sentiment sets; none: 0
    set_weights: dict[str, float] = field(default_factory=dict)
    start: str = ""  # weights to go on from: an earlier run's trained.safetensors, or a release's folder
    licence: str = "all"  # or "permissive": only sets whose licence allows any use
    passes: int = 3  # the run is cut in so many parts, each followed by a validation
    tokens: int = 2048  # padded tokens a batch
    max_tokens: int = 64  # longest training text
    lr: float = 1e-4  # the top layer's
    head_lr: float = 1e-3
    layer_decay: float = 0.9  # each layer below learns this much slower than the one above
    freeze_embeddings: bool = True  # half of the weights, no gain on sets this small, and a quicker step
    weight_decay: float = 0.01
    warmup: float = 0.06  # share of the run
    smoothing: float = 0.05
    neutral_weight: float = 0.5  # two-class sets: how far "neutral" is pushed down too; 0: nothing is said of neutral
    neutral_weights: dict[str, float] = field(default_factory=dict)  # for single sets, instead
    dropout: float = 0.1  # before the heads; the encoder keeps its own
    token_dropout: float = 0.0  # share of tokens a training text loses to the unknown token, against learning by heart
    ema: float = 0.96  # decay of the averaged weights, every `ema_every` steps
    ema_every: int = 5
    clip: float = 1.0
    seed: int = 20
    minutes: float = 0.0  # wall time after which the learning rate must have reached zero; 0: no limit
    checkpoint_minutes: float = 8.0

    def sets(self) -> dict[str, float]:
        """Rounds per set after the licence filter. ValueError names a set that does not exist."""
        unknown = sorted(set(self.repeats) - set(DATA_SETS))
        if unknown:
            raise ValueError(f"repeats names {', '.join(unknown)}; known sets are {', '.join(DATA_SETS)}")
        if self.licence not in ("all", "permissive"):
            raise ValueError(f"licence should be 'all' or 'permissive', found {self.licence!r}")
        return {k: v for k, v in self.repeats.items() if self.licence == "all" or k in PERMISSIVE}

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the run record."""
        return asdict(self)


def load_config(file: Path, **overrides: Any) -> TrainConfig:
    """Read a TOML file; keyword arguments win. ValueError names an unknown key or what is missing."""
    table = tomllib.loads(file.read_text(encoding="utf-8")) | overrides
    known = {entry.name for entry in fields(TrainConfig)}
    unknown = sorted(set(table) - known)
    if unknown:
        raise ValueError(f"{file} has unknown keys {', '.join(unknown)}; known are {', '.join(sorted(known))}.")
    try:
        return TrainConfig(**table)
    except TypeError as error:
        raise ValueError(f"{file} is not a complete training configuration: {error}.") from error
