"""How far NAB's score of volume_surge hangs on its constants. The files are the ones on which they were chosen.

    python -m tests.benchmarks.nab_constants --data DIR [--windows FILE] [--table one|five] [--jobs 1]

one     one constant at a time, the others as they stand: standard and low-FP over all files (27 runs)
five    days, busier days and score chosen on all files but one, by standard + low-FP, and scored on that one; the
        scores of the files left out, together (100 runs; the files' outcomes are kept, so each run is made once)

A run is the rule on every file, as in `python -m tests.benchmarks.nab`: ten to twenty seconds of one core.
"""

import argparse
import itertools
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pipeline.detect.config import DetectorConfig
from pipeline.detect.rules import Rule
from tests.benchmarks.nab import ours
from tests.benchmarks.nab_score import PROFILES, Labelled, Outcome, outcome, read, total

SHOWN = ("standard", "low_fp")
Outcomes = tuple[list[Outcome], ...]  # of each profile of SHOWN, file by file


class Scored(Rule, frozen=True, kw_only=True):
    """A rule whose score is not one of its kind's three."""

    asked: float

    @property
    def score(self) -> float:
        return self.asked


class Constants(NamedTuple):
    """As they stand."""

    days: int = DetectorConfig().surge_days
    busier: int = DetectorConfig().surge_busier
    score: float = Rule(kind="volume_surge").score
    ratio: float = DetectorConfig().surge_ratio
    quiet_h: float = Rule(kind="volume_surge").cooldown_h
    windows_h: tuple[int, ...] = Rule(kind="volume_surge").windows


ONE = [
    *(Constants(days=n) for n in (7, 10, 12, 14, 16, 18, 21, 28)),
    *(Constants(busier=n) for n in (0, 2)),
    *(Constants(score=x) for x in (0, 1, 2, 2.5, 3.5, 4, 5, 6)),
    *(Constants(ratio=x) for x in (1, 1.8, 2)),
    *(Constants(quiet_h=h) for h in (6, 8, 16, 24)),
    *(Constants(windows_h=w) for w in ((1,), (6,))),
]
GRID = [Constants(*c) for c in itertools.product((7, 10, 14, 21, 28), range(5), (0, 2, 3, 4))]


def rule_of(c: Constants) -> Rule:
    return Scored(kind="volume_surge", asked=c.score, cooldown_h=c.quiet_h, windows_h=c.windows_h)


def scored(files: Sequence[Labelled], c: Constants) -> Outcomes:
    """One run."""
    config = DetectorConfig(surge_days=c.days, surge_busier=c.busier, surge_ratio=c.ratio)
    found = [ours(file, rule_of(c), config) for file in files]
    return tuple([outcome(f, rows, PROFILES[p]) for f, rows in zip(files, found, strict=True)] for p in SHOWN)


def scores(outcomes: Outcomes) -> tuple[float, ...]:
    return tuple(total(of, PROFILES[p]) for of, p in zip(outcomes, SHOWN, strict=True))


def left_out(runs: Sequence[Outcomes]) -> tuple[list[int], Outcomes]:
    """(of each file the number of the run that is best on the others, the outcomes of the files under those)."""
    files = range(len(runs[0][0]))

    def others(run: Outcomes, file: int) -> float:
        return sum(scores(tuple(of[:file] + of[file + 1 :] for of in run)))

    chosen = [max(range(len(runs)), key=lambda n: others(runs[n], file)) for file in files]
    return chosen, tuple([runs[chosen[file]][p][file] for file in files] for p in range(len(SHOWN)))


def show(files: Sequence[Labelled], table: str, pool: Executor) -> None:
    constants = ONE if table == "one" else GRID
    runs = []
    for c, outcomes in zip(constants, pool.map(partial(scored, files), constants), strict=True):
        runs.append(outcomes)
        changed = {k: v for k, v in c._asdict().items() if v != getattr(Constants(), k)}
        print("{:6.1f} {:6.1f}".format(*scores(outcomes)), changed or "as they stand", flush=True)
    if table == "five":
        chosen, outcomes = left_out(runs)
        for file, n in zip(files, chosen, strict=True):
            print(f"without {file.name}: {constants[n]}")
        print("{:6.1f} {:6.1f} the files left out, together".format(*scores(outcomes)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of NAB csv files (timestamp,value)")
    parser.add_argument("--windows", type=Path, help="combined_windows.json; default: the one beside the data")
    parser.add_argument("--table", choices=("one", "five"), default="one")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each in a process")
    args = parser.parse_args()
    with ProcessPoolExecutor(args.jobs) as pool:
        show(read(args.data, args.windows), args.table, pool)


if __name__ == "__main__":
    main()
