"""Write a release folder (format: models/registry.py) from trained weights. Needs no torch."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from models.calibration import Calibration, Registers
from models.card import render_card
from models.heads import MENTION, MULTILABEL, SOFTMAX, TEXT
from models.language import LANGUAGES
from models.quantise import pack
from models.registry import (
    BESIDE,
    CARD,
    FORMAT,
    HEADS,
    MANIFEST,
    REGISTERS,
    WEIGHTS,
    ModelError,
    Release,
    load_release,
    sha256,
    version_of,
)
from models.taxonomy import MULTILABEL_SETS, OWN_LABELS, SENTIMENTS, TOPIC_IDS

LOG = logging.getLogger(__name__)
MAX_BYTES = 60_000_000  # of a released folder that ships, a pair's parts together: a clone must stay quick


@dataclass(frozen=True)
class HeadSpec:
    """Shape of a head: its kind (softmax or multilabel), its input (text or mention+text), its labels, and whether
    the product answers with it; else it is a training set's own."""

    kind: str
    input: str
    labels: tuple[str, ...]
    product: bool

    def entry(self) -> dict[str, Any]:
        """As the manifest states it."""
        return {"kind": self.kind, "input": self.input, "labels": list(self.labels), "product": self.product}


HEAD_SPECS: dict[str, HeadSpec] = {
    "topics": HeadSpec(MULTILABEL, TEXT, TOPIC_IDS, True),
    "sentiment": HeadSpec(SOFTMAX, TEXT, SENTIMENTS, True),
    "entity_sentiment": HeadSpec(SOFTMAX, MENTION, SENTIMENTS, True),
} | {
    name: HeadSpec(MULTILABEL if name in MULTILABEL_SETS else SOFTMAX, TEXT, labels, False)
    for name, labels in OWN_LABELS.items()
}


@dataclass(frozen=True)
class ReleaseInfo:
    """What the weights do not say themselves. Defaults are those of an uncalibrated model."""

    name: str
    max_tokens: int = 512
    temperatures: dict[str, dict[str, float]] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TOPIC_IDS, 0.5))
    floor: dict[str, float] = field(default_factory=lambda: {"sentiment": 0.5, "entity_sentiment": 0.5})
    slopes: dict[str, dict[str, float]] = field(default_factory=dict)
    registers: Registers | None = None
    trained_on: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    languages: tuple[str, ...] = LANGUAGES


def write_release(
    folder: Path, state: Mapping[str, NDArray[np.float32]], encoder_folder: Path, info: ReleaseInfo
) -> Release:
    """Write `state` (`encoder.*` and `heads.*`, float32) as a release, read it back verified and return it.

    `encoder_folder` gives config.json and tokenizer.json.
    """
    texts = {name: (encoder_folder / name).read_text(encoding="utf-8") for name in BESIDE}
    release = write_packed(folder, pack(state, keep=HEADS), texts, info)
    warn_of_size(folder)
    return release


def write_packed(
    folder: Path, packed: Mapping[str, NDArray[np.generic]], beside: Mapping[str, str], info: ReleaseInfo
) -> Release:
    """Write tensors as they are stored, and the content of config.json and tokenizer.json, as a release; read it back
    verified and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(dict(packed), folder / WEIGHTS)
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes it for the owner alone; an installed model is for all
    for name in BESIDE:
        (folder / name).write_text(beside[name], encoding="utf-8")
    seal(folder, info)
    return load_release(folder)


def folder_bytes(folder: Path) -> int:
    """The bytes of all files under a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def warn_of_size(folder: Path) -> None:
    """Log a warning when a folder is too large to ship: a model of your own may be of any size, and each run of it
    costs accordingly. Called once for what a command writes, so a part of a pair gets none of its own."""
    if (total := folder_bytes(folder)) > MAX_BYTES:
        LOG.warning(
            "%s takes %.1f MB; what ships in this repository may take %.0f. A smaller vocabulary helps "
            "(python -m models.cut_vocabulary).", folder, total / 1e6, MAX_BYTES / 1e6,
        )  # fmt: skip


def info_of(release: Release) -> ReleaseInfo:
    """What a release's manifest says, to write another from it. ModelError when its heads are not those of today."""
    manifest = release.manifest
    if other := [name for name, entry in manifest["heads"].items() if entry != _entry(name)]:
        raise ModelError(f"expected heads as this Windvane knows them in {release.folder}, found {', '.join(other)} "
                         "with other labels. Train it again with windvane train.")  # fmt: skip
    told = {key: manifest[key] for key in ("trained_on", "metrics", "training")}
    fitted = vars(release.calibration)
    return ReleaseInfo(manifest["name"], release.max_tokens, **fitted, **told, languages=release.languages)


def _entry(name: str) -> dict[str, Any] | None:
    return HEAD_SPECS[name].entry() if name in HEAD_SPECS else None


def seal(folder: Path, info: ReleaseInfo) -> None:
    """Write the card and the manifest for the files that lie in `folder` (again, when only `info` changed)."""
    (folder / REGISTERS).unlink(missing_ok=True)
    if info.registers is not None:
        save_file(info.registers.tensors(), folder / REGISTERS)
        (folder / REGISTERS).chmod(0o644)
    manifest = _manifest(folder, info)
    (folder / CARD).write_text(render_card(manifest), encoding="utf-8")
    manifest["files"][CARD] = fingerprint(folder / CARD)
    (folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _manifest(folder: Path, info: ReleaseInfo) -> dict[str, Any]:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    fitted = Calibration(info.temperatures, info.thresholds, info.floor, info.slopes, info.registers)
    present = [name for name in (WEIGHTS, REGISTERS, "config.json", "tokenizer.json") if (folder / name).is_file()]
    files = {name: fingerprint(folder / name) for name in present}
    manifest = {
        "format": FORMAT,
        "name": info.name,
        "version": "",
        "files": files,
        "encoder": {
            "model_type": config["model_type"],
            "hidden_size": config["hidden_size"],
            "max_tokens": min(info.max_tokens, config.get("max_position_embeddings", info.max_tokens)),
            "pad_token_id": config.get("pad_token_id", 0),
        },
        "pooling": "mean",
        "heads": {name: HEAD_SPECS[name].entry() for name in _heads_in(folder / WEIGHTS)},
        "calibration": fitted.entry(),
        "languages": list(info.languages),
        "trained_on": info.trained_on,
        "metrics": info.metrics,
        "training": info.training,
    }
    manifest["version"] = version_of(manifest)
    return manifest


def _heads_in(weights: Path) -> list[str]:
    """The heads whose weights a file holds, in the order of HEAD_SPECS: an earlier run may lack some."""
    with safe_open(weights, "numpy") as held:
        names = set(held.keys())
    return [name for name in HEAD_SPECS if f"{HEADS}{name}.weight" in names]


def fingerprint(file: Path) -> dict[str, Any]:
    """A file's entry in a manifest."""
    return {"sha256": sha256(file), "bytes": file.stat().st_size}
