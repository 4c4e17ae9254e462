"""What `windvane train` and `windvane evaluate` call. Needs the [models] extra (torch, transformers, scikit-learn)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from models.classifier import default_release
from models.engines.choose import load_encoder
from models.evaluate import baseline_scores, evaluate_file, evaluate_release, table
from models.registry import load_release
from models.settings import load_config

LOG = logging.getLogger(__name__)


def train_command(config: Path, data: Path, out: Path) -> Path:
    """Train as a TOML file says (or go on with it), then release the result beside the run; its folder is returned.

    `out` gets one folder a configuration's name: checkpoints, run.json, and `release/`.
    """
    from models.publish import publish
    from models.train import train

    named = load_config(config, data=str(data), work="")
    given = load_config(config, data=str(data), work=str(out / named.name))
    train(given)
    folder = Path(given.work) / "release"
    LOG.info("released %s into %s", publish(Path(given.work), folder, given).version, folder)
    return folder


def evaluate_command(
    model: Path | None, data: Path, file: Path | None = None, name: str | None = None
) -> dict[str, Any]:
    """Scores of a release (None: the one that ships) on every set's validation cut, or on one `file` laid out as the
    set `name`: {"model_version", "engine", "sets": {set: report}, "baseline", "table"}.

    The baseline is the one in the release's manifest when there is one (it depends on the data alone), else computed.
    """
    release = load_release(model or default_release())
    encoder = load_encoder(release, "auto", "auto").encoder
    baselines: dict[str, Any] = {}
    if file is not None:
        if name is None:
            raise ValueError(f"To score {file}, say which set it is laid out as, such as fpb or finfe.")
        reports = {name: evaluate_file(release, encoder, file, name)}
    else:
        reports = evaluate_release(release, encoder, data, LOG.info)
        baselines = release.manifest["metrics"].get("baseline") or baseline_scores(data, LOG.info)
    return {
        "model_version": release.version, "engine": encoder.name, "sets": reports, "baseline": baselines,
        "table": table(reports, baselines),
    }  # fmt: skip
