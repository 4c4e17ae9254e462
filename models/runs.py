"""Recorded training runs: found under a folder, listed, shown, compared. Reads run.json; needs no torch.

A run is running while its process holds the lock in its folder, so that one that was killed is known to have stopped.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline.errors import WindvaneError
from pipeline.locking import held_alone

RECORD, LOCK = "run.json", "run.lock"
RUNNING, FINISHED, STOPPED = "running", "finished", "stopped"
BARS = "▁▂▃▄▅▆▇█"


class RunError(WindvaneError):
    """No such run, or its record cannot be read."""


@dataclass(frozen=True)
class RunSummary:
    """One line about a run. `best` holds the best score of each set over all validations, the final one included;
    `scores` those of the weights that were kept. `data` is the SHA-256 of what it was trained on."""

    name: str
    kind: str  # train or pretrain
    state: str  # running, finished or stopped
    started: str  # UTC; "" in records of earlier versions
    minutes: float
    steps: int
    tokens: int
    seed: int
    data: str
    scores: dict[str, float]
    best: dict[str, float]
    stopped: str  # why it ended before its planned steps, "" when it did not

    @property
    def score(self) -> float | None:
        """Mean of the kept weights' scores; None before the first validation."""
        return sum(self.scores.values()) / len(self.scores) if self.scores else None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for --json."""
        return asdict(self) | {"score": None if self.score is None else round(self.score, 4)}


def hold(work: Path) -> AbstractContextManager[None]:
    """Hold a run's folder for one process. WindvaneError when another one trains in it."""
    return held_alone(
        work / LOCK,
        f"another process is training in {work}. Wait for it, stop it, or give this run another name or --out.",
    )


def is_held(work: Path) -> bool:
    """Does a living process train in this folder?"""
    try:
        with (work / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def find_runs(folder: Path) -> list[RunSummary]:
    """Every run under a folder, at any depth, the newest first. RunError when there is no such folder."""
    if not folder.is_dir():
        raise RunError(f"expected recorded runs under {folder}, found no such folder. "
                       "Give the folder with --runs, or make a run: windvane train CONFIG.")  # fmt: skip
    found = [summary(file.parent, read_record(file), folder) for file in sorted(folder.rglob(RECORD))]
    return sorted(found, key=lambda run: run.started, reverse=True)


def open_run(folder: Path, name: str) -> tuple[RunSummary, dict[str, Any]]:
    """One run under a folder, by name: (its line, its whole record). RunError when there is none of that name."""
    file = folder / name / RECORD
    if not file.is_file():
        names = [run.name for run in find_runs(folder)]
        known = f"there are {', '.join(names)}" if names else "there is none yet"
        raise RunError(f"expected a run called {name} under {folder}; {known}.")
    record = read_record(file)
    return summary(file.parent, record, folder), record


def read_record(file: Path) -> dict[str, Any]:
    """A run.json. RunError when it is not one."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        record["config"]["seed"], record["steps"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{file} should be the record of a training run, but it cannot be read ({type(error).__name__}: {error}). "
            "Remove it, or start its run again."
        ) from error
    return dict(record)


def summary(work: Path, record: dict[str, Any], folder: Path) -> RunSummary:
    """The line about a run whose folder is `work`, named by its way under `folder`."""
    validations = [scores_of(point) for point in record.get("validation", [])]
    best: dict[str, float] = {}
    for scores in validations:
        for name, value in scores.items():
            best[name] = value if name not in best else better(name, best[name], value)
    finished = record.get("state") == FINISHED or ("state" not in record and bool(record.get("weights")))
    return RunSummary(
        name=str(work.relative_to(folder)),
        kind=record.get("kind", "train"),
        state=FINISHED if finished else RUNNING if is_held(work) else STOPPED,
        started=record.get("started", ""),
        minutes=round(record.get("seconds", 0.0) / 60, 1),
        steps=record["steps"],
        tokens=record.get("tokens", 0),
        seed=record["config"]["seed"],
        data=record.get("data", {}).get("sha256", ""),
        scores=validations[-1] if validations else {},
        best=best,
        stopped=record.get("stopped", ""),
    )


def scores_of(validation: dict[str, Any]) -> dict[str, float]:
    """The scores of one validation, without its step and time."""
    return {k: v for k, v in validation.items() if k not in ("step", "seconds") and isinstance(v, float | int)}


def better(name: str, first: float, second: float) -> float:
    """The better of two scores: the higher, or of a loss the lower."""
    return min(first, second) if name.endswith("loss") else max(first, second)


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """A curve in one line of characters, the lowest value the lowest bar; means over equal parts when it is long."""
    if not values:
        return ""
    parts = min(width, len(values))
    edges = [len(values) * part // parts for part in range(parts + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, span = min(means), max(means) - min(means)
    return "".join(BARS[round((mean - low) / span * (len(BARS) - 1)) if span else 0] for mean in means)


def curves(record: dict[str, Any]) -> dict[str, list[float]]:
    """A record's curves by name: its losses, then its validations; parts that are always 0 are left out."""
    found: dict[str, list[float]] = {}
    for point in record.get("curve", []):
        for name, value in point.items():
            if name != "step":
                found.setdefault(name if name == "loss" else f"loss, {name}", []).append(value)
    for point in record.get("validation", []):
        for name, value in scores_of(point).items():
            found.setdefault(name, []).append(value)
    return {name: values for name, values in found.items() if any(values)}


def compare(first: dict[str, Any], second: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs between two runs' configurations, then data and the kept weights' scores: {name: (first, second)}.

    Scores are all there, also the equal ones; None where a run has none.
    """
    rows: dict[str, tuple[Any, Any]] = {}
    one, other = first["config"], second["config"]
    for key in [*one, *(key for key in other if key not in one)]:
        if key not in ("name", "work") and one.get(key) != other.get(key):
            rows[key] = (one.get(key), other.get(key))
    digests = [record.get("data", {}).get("sha256", "")[:12] for record in (first, second)]
    if digests[0] != digests[1]:
        rows["data (SHA-256)"] = (digests[0], digests[1])
    for key in ("steps", "tokens"):
        rows[key] = (first.get(key), second.get(key))
    last = [scores_of(record["validation"][-1]) if record.get("validation") else {} for record in (first, second)]
    for name in [*last[0], *(name for name in last[1] if name not in last[0])]:
        rows[f"score {name}"] = (last[0].get(name), last[1].get(name))
    return rows
