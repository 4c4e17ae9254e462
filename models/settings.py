"""What a training run is told: one frozen record, read from a TOML file."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from models.data import PERMISSIVE, known_sets
from pipeline.errors import WindvaneError

_POSITIVE = ("passes", "tokens", "max_tokens", "accumulate", "ema_every")
_KINDS: dict[str, tuple[str, Any]] = {
    "str": ("a string", str),
    "bool": ("true or false", bool),
    "int": ("a whole number", int),
    "float": ("a number", (int, float)),
    "list[str]": ("a list of strings", list),
    "dict[str, float]": ("a table of numbers", dict),
}


class ConfigError(WindvaneError):
    """A training configuration cannot be used; the message names the key, what was expected and what was found."""


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """What the loop itself reads (models/loop.py). Lengths in tokens, minutes of wall time."""

    passes: int = 3  # the run is cut in so many parts, each followed by a validation
    tokens: int = 2048  # padded tokens a batch
    accumulate: int = 1  # batches whose gradients make one step
    max_tokens: int = 64  # longest training text
    lr: float = 1e-4  # the top layer's
    head_lr: float = 1e-3  # of what starts at random: the heads, LoRA's matrices
    layer_decay: float = 0.9  # each layer below learns this much slower than the one above
    freeze_embeddings: bool = True  # half of the weights, no gain on sets this small, and a quicker step
    weight_decay: float = 0.01
    warmup: float = 0.06  # share of the run
    ema: float = 0.96  # decay of the averaged weights, every `ema_every` steps; 0: no averaging
    ema_every: int = 5
    clip: float = 1.0
    fgm: float = 0.0  # how far FGM moves a text's word vectors (L2); 0: not at all. A step takes twice as long
    patience: int = 0  # stop after so many validations without a better one, and keep the best; 0: never
    seed: int = 20
    minutes: float = 0.0  # wall time after which the learning rate must have reached zero; 0: no limit
    checkpoint_minutes: float = 8.0
    tensorboard: bool = False  # event files beside run.json

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the run record."""
        return asdict(self)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """What a field is when nothing is said of it; fields that must be given are left out."""
        made = {entry.name: entry.default_factory() for entry in fields(cls) if entry.default_factory is not MISSING}
        return made | {entry.name: entry.default for entry in fields(cls) if entry.default is not MISSING}


@dataclass(frozen=True)
class TrainConfig(LoopConfig):
    """Fine-tuning on labelled sets."""

    name: str  # the release's name
    encoder: str  # a Hugging Face name, or a folder with config.json and model.safetensors
    data: str  # folder of the sets (docs/data-sets.md)
    work: str  # where checkpoints, the run record and the trained weights go
    repeats: dict[str, float]  # rounds over each set; a set not named is not trained on
    task_weights: dict[str, float]  # by head; "own_sentiment" for the own heads of all sentiment sets; none: 0
    set_weights: dict[str, float] = field(default_factory=dict)
    start: str = ""  # weights to go on from: an earlier run's trained.safetensors, or a release's folder
    licence: str = "all"  # or "permissive": only sets whose licence allows any use
    smoothing: float = 0.05
    neutral_weight: float = 0.5  # two-class sets: how far "neutral" is pushed down too; 0: nothing is said of neutral
    neutral_weights: dict[str, float] = field(default_factory=dict)  # for single sets, instead
    dropout: float = 0.1  # before the heads; the encoder keeps its own
    token_dropout: float = 0.0  # share of tokens a training text loses to the unknown token, against learning by heart
    r_drop: float = 0.0  # weight of the disagreement of two dropout passes; 0: one pass. A step takes twice as long
    class_weights: bool = False  # rare classes count more, by one over the square root of their frequency in their set
    lora: int = 0  # rank of the matrices that learn instead of the encoder; 0: the encoder itself learns

    def sets(self) -> dict[str, float]:
        """Rounds per set after the licence filter. ConfigError names a set that does not exist."""
        known = known_sets(Path(self.data))
        unknown = sorted(set(self.repeats) - set(known))
        if unknown:
            raise ConfigError(f"repeats names {', '.join(unknown)}; known sets are {', '.join(known)}.")
        if self.licence not in ("all", "permissive"):
            raise ConfigError(f"licence should be 'all' or 'permissive', found {self.licence!r}.")
        chosen = {k: v for k, v in self.repeats.items() if self.licence == "all" or known[k].permissive}
        if not chosen:
            raise ConfigError(f"with licence = 'permissive' no set of repeats is left: add {' or '.join(PERMISSIVE)}.")
        return chosen


@dataclass(frozen=True)
class PretrainConfig(LoopConfig):
    """Continued pretraining of an encoder on unlabelled text (models/pretrain.py)."""

    name: str
    encoder: str  # a Hugging Face name, or a folder with config.json and model.safetensors
    data: str  # folder laid out as ../shared/data
    work: str  # where checkpoints, the run record and the encoder go
    texts: list[str]  # JSON Lines files under `data` with a field "text"; * stands for any name
    rounds: float = 1.0  # over all texts
    most: int = 0  # texts taken of each file, spread evenly over it; 0: all
    mask: float = 0.15  # share of tokens to be guessed


Config = TypeVar("Config", bound=LoopConfig)


def load_config(file: Path, **overrides: Any) -> TrainConfig:
    """Read a TOML file for `windvane train`; keyword arguments win. ConfigError says what is wrong with it."""
    return _load(TrainConfig, file, overrides)


def load_pretrain_config(file: Path, **overrides: Any) -> PretrainConfig:
    """Read a TOML file for `windvane pretrain`; as `load_config`."""
    return _load(PretrainConfig, file, overrides)


def _load(kind: type[Config], file: Path, overrides: dict[str, Any]) -> Config:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8")) | overrides
    except OSError as error:
        raise ConfigError(
            f"expected a training configuration at {file}, but it cannot be read ({error.strerror}). "
            "Give a TOML file such as models/configs/release.toml."
        ) from error
    except ValueError as error:  # of TOML or of UTF-8
        raise ConfigError(f"{file} should be a TOML file in UTF-8, but it is none: {error}.") from error
    known = {entry.name: entry for entry in fields(kind)}
    if unknown := sorted(set(table) - set(known)):
        near = difflib.get_close_matches(unknown[0], known, 1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}."
        raise ConfigError(f"{file} has unknown keys {', '.join(unknown)}; {hint}")
    lacking = [n for n, e in known.items() if n not in table and e.default is MISSING and e.default_factory is MISSING]
    if lacking:
        raise ConfigError(f"{file} is not a complete configuration: it lacks {', '.join(lacking)}.")
    for name, value in table.items():
        _check(file, known[name], value)
    return kind(**table)


def _check(file: Path, entry: Field[Any], value: Any) -> None:
    """ConfigError when a value is not of its field's type."""
    words, kind = _KINDS[str(entry.type)]
    right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if right and kind is dict:
        right = all(isinstance(v, int | float) and not isinstance(v, bool) for v in value.values())
    if right and kind is list:
        right = all(isinstance(v, str) for v in value)
    if not right:
        raise ConfigError(f"{file}: {entry.name} should be {words}, found {value!r}.")
    if entry.name in _POSITIVE and value < 1:
        raise ConfigError(f"{file}: {entry.name} should be at least 1, found {value!r}.")
