"""The score of the Numenta Anomaly Benchmark (NAB): early detections in labelled windows earn, the rest costs.

Source: Lavin and Ahmad, "Evaluating real-time anomaly detection algorithms" (2015), and NAB's own sweeper. 0 is a
detector that stays silent, 100 one that speaks at the start of every window and never else. Checked in
tests/unit/detect/test_nab.py by hand-computed cases and by the scores that NAB publishes for `windowedGaussian`.
"""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.errors import WindvaneError

PROBATION = 0.15  # of a file, at most 750 rows: not scored


class Profile(NamedTuple):
    """What a window found, a false detection and a window missed weigh."""

    hit: float
    false: float
    miss: float


PROFILES: Mapping[str, Profile] = {
    "standard": Profile(1.0, 0.11, 1.0),
    "low_fp": Profile(1.0, 0.22, 1.0),
    "low_fn": Profile(1.0, 0.11, 2.0),
}


class Labelled(NamedTuple):
    """One file: times, values, and the first and last row of each labelled window."""

    name: str
    times: tuple[datetime, ...]
    values: np.ndarray
    windows: tuple[tuple[int, int], ...]


class Outcome(NamedTuple):
    """Of one file under one profile: the score that NAB's tables call Score, and what it is made of."""

    score: float
    hits: int
    false: int
    windows: int


def position(relative: float) -> float:
    """The sigmoid: near 1 at the start of a window (-1), 0 at its end (0), near -1 a window's length later (1)."""
    return -1.0 if relative >= 3.0 else 2.0 / (1.0 + math.exp(5.0 * relative)) - 1.0


def probation(rows: int) -> int:
    """Rows at a file's start that are not scored."""
    return min(math.floor(PROBATION * rows), 750)


def outcome(file: Labelled, detections: Sequence[int], profile: Profile) -> Outcome:
    """Score the rows at which a detector spoke."""
    scored = [w for w in file.windows if w[1] >= probation(len(file.values))]
    best = dict.fromkeys(scored, -profile.miss)
    cost, false = 0.0, 0
    for row in detections:
        if row < probation(len(file.values)):
            continue
        inside = next((w for w in scored if w[0] <= row <= w[1]), None)
        if inside is not None:
            first, last = inside
            earned = profile.hit * position(-(last - row + 1) / (last - first + 1)) / position(-1.0)
            best[inside] = max(best[inside], earned)
            continue
        false += 1
        before = [w for w in file.windows if w[1] < row]
        past = (row - before[-1][1]) / (before[-1][1] - before[-1][0]) if before else 3.0
        cost += profile.false * position(past)
    hits = sum(earned > -profile.miss for earned in best.values())
    return Outcome(cost + sum(best.values()), hits, false, len(scored))


def total(outcomes: Sequence[Outcome], profile: Profile) -> float:
    """Normalised over files: 0 silent, 100 perfect."""
    windows = sum(o.windows for o in outcomes)
    silent, perfect = -profile.miss * windows, profile.hit * windows
    return 100.0 * (sum(o.score for o in outcomes) - silent) / (perfect - silent) if windows else 0.0


def read(folder: Path, windows: Path | None = None) -> list[Labelled]:
    """Every labelled CSV (timestamp,value) of a folder. Raises WindvaneError that says what is missing.

    `windows`: NAB's combined_windows.json, {"realTweets/name.csv": [[first, last], …]}; by default the one beside.
    """
    if windows is None:
        beside = [folder / name for name in ("combined_windows.json", "windows.json")]
        windows = next((p for p in beside if p.exists()), beside[0])
    try:
        spans = json.loads(windows.read_text(encoding="utf-8"))
        by_name = {name.rpartition("/")[2]: entry for name, entry in spans.items()}
    except (OSError, ValueError, AttributeError) as e:
        raise WindvaneError(
            f"Windows file {windows}: expected NAB's labels as JSON, {{file: [[first, last], …]}}; {e}. "
            "Name it with --windows."
        ) from e
    files = [_read_file(path, by_name[path.name]) for path in sorted(folder.glob("*.csv")) if path.name in by_name]
    if not files:
        raise WindvaneError(f"{folder}: expected CSV files that {windows.name} has labels for, found none.")
    return files


def _read_file(path: Path, spans: Sequence[Sequence[str]]) -> Labelled:
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    try:
        times = tuple(datetime.fromisoformat(r["timestamp"]) for r in rows)
        values = np.array([float(r["value"]) for r in rows])
        at = {time: i for i, time in enumerate(times)}
        found = tuple(sorted((at[datetime.fromisoformat(a)], at[datetime.fromisoformat(b)]) for a, b in spans))
    except (KeyError, ValueError, TypeError) as e:
        raise WindvaneError(
            f"{path.name}: expected columns timestamp,value and windows that begin and end at its rows; found {e}."
        ) from e
    return Labelled(path.name, times, values, found)
