"""Raw answers kept on disk: what a model says about a set depends on its weights and the texts alone, so that a release
whose calibration or card changed is published again in seconds, without another pass of the encoder.

A file a set, `SET-KEY.npz`, plain arrays only (never pickle). The key is a SHA-256 over everything the answers depend
on: weights, configuration, tokenizer, texts with their mentions, and how texts are cut.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.contract import Encoder
from models.data import Example
from models.registry import Release
from models.score import LONGEST, Scores, score

LOG = logging.getLogger(__name__)
_TEXT = "text."  # arrays of this prefix are a head's logits
_OTHERS = ("mention", "mention_gold", "mention_rows", "pooled")


class Lazily:
    """A contract encoder that is built when it is first asked: not at all where every answer is known already."""

    def __init__(self, name: str, build: Callable[[], Encoder]) -> None:
        self.name = name
        self._build = build
        self._built: Encoder | None = None

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """[rows, tokens] -> last hidden state [rows, tokens, hidden]."""
        if self._built is None:
            self._built = self._build()
        return self._built(ids, mask)


@dataclass(frozen=True)
class Kept:
    """Scoring through a folder. `model` names encoder and weights, and must change whenever they do."""

    release: Release
    encoder: Encoder
    model: str
    folder: Path

    def score(self, name: str, examples: Sequence[Example]) -> Scores:
        """models.score.score, or the same read back from the folder."""
        file = self.folder / f"{name}-{self._key(examples)[:20]}.npz"
        known = _read(file)
        if known is not None:
            return known
        LOG.info("scoring %s, %d texts", name, len(examples))
        found = score(self.release, self.encoder, examples)
        _write(file, found)
        return found

    def _key(self, examples: Sequence[Example]) -> str:
        files = self.release.manifest["files"]
        parts = [self.model, self.encoder.name, LONGEST, self.release.max_tokens, list(self.release.heads)]
        parts += [files[name]["sha256"] for name in ("config.json", "tokenizer.json")]
        digest = hashlib.sha256(json.dumps(parts).encode("utf-8"))
        for example in examples:
            mentions = [(m.start, m.end, m.sentiment, m.not_negative) for m in example.mentions]
            digest.update(json.dumps([example.text, mentions]).encode("utf-8"))
        return digest.hexdigest()


def _write(file: Path, scores: Scores) -> None:
    """Beside its place first, so that a kill leaves no half file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {f"{_TEXT}{head}": logits for head, logits in scores.text.items()}
    arrays |= {name: getattr(scores, name) for name in _OTHERS}
    part = file.with_suffix(".part")
    with part.open("wb") as handle:
        np.savez(handle, **arrays)
    part.replace(file)


def _read(file: Path) -> Scores | None:
    """What was kept; None when there is nothing, or nothing that can be read (it is then worked out again)."""
    if not file.is_file():
        return None
    try:
        with np.load(file, allow_pickle=False) as arrays:
            text = {name.removeprefix(_TEXT): arrays[name] for name in arrays.files if name.startswith(_TEXT)}
            return Scores(text, **{name: arrays[name] for name in _OTHERS})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        LOG.warning("%s cannot be read (%s): scoring again", file, error)
        return None
