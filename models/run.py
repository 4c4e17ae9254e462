"""A training run's state: what it holds, its record, and its checkpoints."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from models.network import Network, autocast
from models.settings import TrainConfig

LOG = logging.getLogger(__name__)


@dataclass
class RunRecord:
    """What a run did: written as run.json beside the weights, and printed in the model card."""

    config: dict[str, Any]
    data: dict[str, Any]
    machine: dict[str, Any]
    curve: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0
    tokens: int = 0  # real tokens seen, padding left out
    seconds: float = 0.0  # over all starts of the run
    weights: str = ""


@dataclass
class Run:
    """A run in progress. `average` are the averaged weights; `clock` reads seconds since the very first start."""

    config: TrainConfig
    network: Network
    optimiser: torch.optim.Optimizer
    average: dict[str, torch.Tensor]
    record: RunRecord
    device: str
    total: int  # steps planned
    unknown: int = 0  # token id that stands in for a dropped token
    started: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)

    @property
    def clock(self) -> float:
        """Seconds of wall time spent on this run, over all its starts."""
        return time.monotonic() - self.started

    def progress(self, step: int) -> float:
        """Share of the run done: by steps, or by time where the config limits it and time is the shorter."""
        limit = 60 * self.config.minutes
        return max(step / self.total, self.clock / limit if limit else 0.0)

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Move the averaged weights towards the network's."""
        names = [name for name, _ in trained(self.network)]
        values: list[torch.Tensor] = [value for _, value in trained(self.network)]
        torch._foreach_lerp_([self.average[name] for name in names], values, 1.0 - decay)

    @torch.no_grad()
    def take_average(self) -> None:
        """Put the averaged weights into the network."""
        for name, value in trained(self.network):
            value.copy_(self.average[name])


def trained(network: Network) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """The parameters that learn."""
    return ((name, value) for name, value in network.named_parameters() if value.requires_grad)


def checkpoint(run: Run) -> None:
    """Write a checkpoint beside the last one, then put it in its place: a kill leaves one whole."""
    work = Path(run.config.work)
    state = {
        "network": run.network.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "average": run.average,
        "record": vars(run.record),
        "random": torch.get_rng_state(),
    }
    torch.save(state, work / "checkpoint.part")
    (work / "checkpoint.part").replace(work / "checkpoint.pt")
    write_record(run)
    run.saved = time.monotonic()


def restore(run: Run) -> None:
    """Take up the work folder's checkpoint when there is one; ValueError when it is of another configuration."""
    file = Path(run.config.work) / "checkpoint.pt"
    if not file.exists():
        return
    state = torch.load(file, weights_only=True)
    if state["record"]["config"] != run.record.config:
        raise ValueError(f"{file} is of another configuration; give another work folder, or remove it to start anew.")
    run.network.load_state_dict(state["network"])
    run.optimiser.load_state_dict(state["optimiser"])
    run.average.update(state["average"])
    torch.set_rng_state(state["random"])
    vars(run.record).update(state["record"])
    run.started -= run.record.seconds
    LOG.info("going on from step %d", run.record.steps)


def write_record(run: Run) -> None:
    """run.json in the work folder."""
    text = json.dumps(vars(run.record), ensure_ascii=False, indent=1)
    (Path(run.config.work) / "run.json").write_text(text, encoding="utf-8")


def machine_facts(device: str) -> dict[str, Any]:
    """What the run ran on, for the record."""
    half = not isinstance(autocast(device), nullcontext)
    return {"device": device, "threads": torch.get_num_threads(), "torch": str(torch.__version__), "bf16": half}
