"""A training run's state: what it holds, its record, and its checkpoints."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from models.board import Board, NoBoard
from models.network import autocast
from models.runs import FINISHED, RECORD, RUNNING
from models.settings import ConfigError, LoopConfig

LOG = logging.getLogger(__name__)
CHECKPOINT = "checkpoint.pt"
FREE = ("checkpoint_minutes", "tensorboard")  # may differ when a run goes on: they change nothing of what it learns
State = dict[str, torch.Tensor]


@dataclass
class RunRecord:
    """What a run did: written as run.json beside the weights, and printed in the model card."""

    config: dict[str, Any]
    data: dict[str, Any]
    machine: dict[str, Any]
    kind: str = "train"  # or "pretrain"
    started: str = ""  # UTC, the very first start
    state: str = RUNNING  # until it is FINISHED; whether its process still lives, models/runs.py finds out
    stopped: str = ""  # why it ended before its planned steps
    planned: int = 0  # steps
    curve: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, float] = field(default_factory=dict)  # with patience: step, score and validations since
    steps: int = 0
    tokens: int = 0  # real tokens seen, padding left out
    seconds: float = 0.0  # over all starts of the run
    weights: str = ""
    refitted: dict[str, Any] = field(default_factory=dict)  # heads fitted once more afterwards: models/refit.py


@dataclass
class Run:
    """A run in progress. `average` are the averaged weights, {} without averaging; `best` those of the best validation,
    {} before one and without patience; `clock` reads seconds since the very first start."""

    config: LoopConfig
    network: Any  # a torch module with an `encoder`
    optimiser: torch.optim.Optimizer
    record: RunRecord
    work: Path
    device: str
    average: State = field(default_factory=dict)
    best: State = field(default_factory=dict)
    board: Board = field(default_factory=NoBoard)
    started: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.config.ema:
            self.average = {name: value.detach().clone() for name, value in trained(self.network)}

    @property
    def clock(self) -> float:
        """Seconds of wall time spent on this run, over all its starts."""
        return time.monotonic() - self.started

    @property
    def out_of_patience(self) -> bool:
        """Have there been as many validations without a better one as the configuration allows?"""
        return 0 < self.config.patience <= self.record.best.get("since", 0)

    def progress(self, step: int) -> float:
        """Share of the run done: by steps, or by time where the config limits it and time is the shorter."""
        limit = 60 * self.config.minutes
        return max(step / self.record.planned, self.clock / limit if limit else 0.0)

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Move the averaged weights towards the network's."""
        names = [name for name, _ in trained(self.network)]
        values: list[torch.Tensor] = [value for _, value in trained(self.network)]
        torch._foreach_lerp_([self.average[name] for name in names], values, 1.0 - decay)

    @torch.no_grad()
    def put(self, weights: State) -> State:
        """Put weights into the network ({}: leave it as it is); returns copies of those it had."""
        had = {name: value.detach().clone() for name, value in trained(self.network) if name in weights}
        for name, value in trained(self.network):
            if name in weights:
                value.copy_(weights[name])
        return had

    @contextmanager
    def as_kept(self) -> Iterator[None]:
        """Within it, the network has the weights that would be kept now: with patience, the averaged ones."""
        had = self.put(self.average if self.config.patience else {})
        yield
        self.put(had)

    def take_kept(self) -> None:
        """Put the weights to keep into the network: with patience the best, else the averaged ones."""
        self.put(self.best or self.average)

    def judge(self, score: float) -> None:
        """With patience: note one validation's score, and keep the weights when it is the best."""
        if not self.config.patience:
            return
        best = self.record.best
        if best and score <= best["score"]:
            best["since"] += 1
            return
        self.record.best = {"step": self.record.steps, "score": score, "since": 0}
        kept = self.average or dict(trained(self.network))
        self.best = {name: value.detach().clone() for name, value in kept.items()}


def trained(network: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """The parameters that learn."""
    return ((name, value) for name, value in network.named_parameters() if value.requires_grad)


def checkpoint(run: Run) -> None:
    """Write a checkpoint beside the last one, then put it in its place: a kill leaves one whole."""
    state = {
        "network": run.network.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "average": run.average,
        "best": run.best,
        "record": asdict(run.record),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if run.device == "cuda" else [],
    }
    torch.save(state, run.work / "checkpoint.part")
    (run.work / "checkpoint.part").replace(run.work / CHECKPOINT)
    write_record(run)
    run.saved = time.monotonic()


def restore(run: Run) -> None:
    """Take up the work folder's checkpoint when there is one. ConfigError when it is of another configuration, other
    data, or cannot be read."""
    file = run.work / CHECKPOINT
    if not file.exists():
        return
    anew = f"give this run another name or --out, or remove {run.work} to start anew."
    try:
        state = torch.load(file, weights_only=True, map_location="cpu")
        earlier = state["record"]
        if changed := differing(earlier["config"], run.config):
            raise ConfigError(f"{file} is of another configuration ({', '.join(changed)} differ): {anew}")
        if earlier["data"]["sha256"] != run.record.data["sha256"]:
            raise ConfigError(f"{file} was trained on other data (the sets' SHA-256 differs): {anew}")
        run.network.load_state_dict(state["network"])
        run.optimiser.load_state_dict(state["optimiser"])
    except ConfigError:
        raise
    except Exception as error:  # torch raises half a dozen kinds for a damaged file or another shape
        raise ConfigError(
            f"{file} should be a checkpoint of this run, but it cannot be taken up "
            f"({type(error).__name__}: {str(error).strip().splitlines()[0]}): {anew}"
        ) from error
    run.average.update({name: value.to(run.device) for name, value in state["average"].items()})
    run.best = {name: value.to(run.device) for name, value in state.get("best", {}).items()}
    torch.set_rng_state(state["random"])
    if run.device == "cuda" and state.get("random_cuda"):
        torch.cuda.set_rng_state_all(state["random_cuda"])
    kept = ("config", "machine", "planned", "state", "stopped")
    vars(run.record).update({key: value for key, value in earlier.items() if key not in kept})
    run.started -= run.record.seconds
    LOG.info("going on from step %d", run.record.steps)


def differing(earlier: dict[str, Any], config: LoopConfig) -> list[str]:
    """Names of what a recorded configuration has otherwise; a field it did not know yet counts as its default."""
    now, defaults = config.as_dict(), type(config).defaults()
    return [key for key, value in now.items() if key not in FREE and earlier.get(key, defaults.get(key)) != value]


def write_record(run: Run) -> None:
    """run.json in the work folder, whole at every moment."""
    text = json.dumps(asdict(run.record), ensure_ascii=False, indent=1)
    part = run.work / f"{RECORD}.part"
    part.write_text(text, encoding="utf-8")
    part.replace(run.work / RECORD)


def finish(run: Run, weights: Path) -> None:
    """The run has done what it could: note where the weights are, and why it ended early if it did."""
    record = run.record
    record.weights, record.state = str(weights), FINISHED
    if run.out_of_patience:
        record.stopped = f"no better validation than at step {record.best['step']:.0f}"
    elif record.steps < record.planned:
        record.stopped = f"its {run.config.minutes:g} minutes were over"
    write_record(run)
    run.board.close()


def now() -> str:
    """The time, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def machine_facts(device: str) -> dict[str, Any]:
    """What the run ran on, for the record."""
    half = not isinstance(autocast(device), nullcontext)
    return {"device": device, "threads": torch.get_num_threads(), "torch": str(torch.__version__), "bf16": half}
