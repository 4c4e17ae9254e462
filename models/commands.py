"""What `windvane train` and `windvane pretrain` call. Needs the [models] extra (torch, transformers, scikit-learn)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.settings import Config, load_config, load_pretrain_config

LOG = logging.getLogger(__name__)


def train_command(config: Path, data: Path, out: Path, **changes: Any) -> Path:
    """Train as a TOML file says (or go on with it), then release the result beside the run; its folder is returned.

    `out` gets one folder a configuration's name: checkpoints, run.json, and `release/`. `changes` are fields of the
    configuration that win over the file's (None: not given).
    """
    from models.publish import publish
    from models.train import train

    given = placed(load_config, config, data, out, changes)
    train(given)
    folder = Path(given.work) / "release"
    LOG.info("released %s into %s", publish(Path(given.work), folder, given).version, folder)
    return folder


def pretrain_command(config: Path, data: Path, out: Path, **changes: Any) -> Path:
    """Continue an encoder's pretraining as a TOML file says (or go on with it); returns the new encoder's folder."""
    from models.pretrain import pretrain

    return Path(pretrain(placed(load_pretrain_config, config, data, out, changes)).weights)


def placed(load: Callable[..., Config], file: Path, data: Path, out: Path, changes: dict[str, Any]) -> Config:
    """A configuration with its data folder, its place under `out`, and the changes that were given."""
    given = {key: value for key, value in changes.items() if value is not None}
    name = given.get("name") or load(file, data=str(data), work="").name  # type: ignore[attr-defined]
    return load(file, data=str(data), work=str(out / name), **given)
