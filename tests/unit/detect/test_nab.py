"""NAB's scorer: by hand, and by the scores that NAB publishes for a detector anyone can rebuild."""

import json
import math
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import WindvaneError
from tests.benchmarks.nab import RULE, ours
from tests.benchmarks.nab_constants import Constants, left_out, rule_of
from tests.benchmarks.nab_score import PROFILES, Labelled, Outcome, outcome, position, probation, read, total

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "nab"
STANDARD = PROFILES["standard"]

# NAB, results/windowedGaussian/windowedGaussian_standard_scores.csv: file -> (score, rows detected outside windows)
PUBLISHED = {
    "AAPL": (1.5139968362565832, 24),
    "AMZN": (1.5584829945714498, 20),
    "CVS": (0.77368206139354, 18),
    "FB": (0.11975027819081463, 15),
    "KO": (-0.914196106944424, 33),
    "UPS": (-2.205164668202926, 63),
}


def file(rows: int, *windows: tuple[int, int]) -> Labelled:
    times = tuple(datetime(2026, 3, 2) + timedelta(minutes=5 * i) for i in range(rows))
    return Labelled("x.csv", times, np.zeros(rows), windows)


def test_the_sigmoid() -> None:
    assert position(-1.0) == pytest.approx(0.98661, abs=1e-5)
    assert position(-0.5) == pytest.approx(0.84828, abs=1e-5)
    assert position(0.0) == 0.0
    assert position(1.0) == pytest.approx(-0.98661, abs=1e-5)
    assert position(3.0) == -1.0


def test_a_silent_detector_is_0_and_a_perfect_one_100() -> None:
    labelled = file(1000, (300, 399), (600, 699))
    for profile in PROFILES.values():
        assert total([outcome(labelled, [], profile)], profile) == 0.0
        assert total([outcome(labelled, [300, 600], profile)], profile) == pytest.approx(100.0)


def test_one_window_by_hand() -> None:
    labelled = file(1000, (300, 399))
    middle = outcome(labelled, [349], STANDARD)  # 51 rows of 100 are left: position -.51
    assert middle.score == pytest.approx((2 / (1 + math.exp(-2.55)) - 1) / position(-1.0))
    assert outcome(labelled, [349, 380, 390], STANDARD).score == middle.score  # the earliest counts, the rest is free
    early = outcome(labelled, [200], STANDARD)  # before any window: a false alarm at its full price, and a miss
    assert early.score == pytest.approx(-1 - 0.11) and (early.hits, early.false) == (0, 1)
    just_after = outcome(labelled, [400], STANDARD)  # a row after the window costs hardly anything
    assert just_after.score == pytest.approx(-1 + 0.11 * (2 / (1 + math.exp(5 / 99)) - 1))
    assert outcome(labelled, [200], PROFILES["low_fp"]).score == pytest.approx(-1.22)
    assert outcome(labelled, [200], PROFILES["low_fn"]).score == pytest.approx(-2.11)


def test_constants_are_chosen_on_the_other_files() -> None:
    def run(*scores: float) -> tuple[list[Outcome], ...]:
        return ([Outcome(s, 1, 0, 1) for s in scores], [Outcome(s, 1, 0, 1) for s in scores])

    good, bad = run(0.9, 0.5, 0.8), run(0.1, 0.9, 0.7)  # on the first file, second, third
    chosen, outcomes = left_out([good, bad])
    assert chosen == [1, 0, 0]  # without the first file the other is better
    assert [o.score for o in outcomes[0]] == [0.1, 0.5, 0.8]


def test_the_constants_as_they_stand_are_the_rules() -> None:
    rule = rule_of(Constants())
    assert (rule.score, rule.windows, rule.cooldown_s) == (RULE.score, RULE.windows, RULE.cooldown_s)


def test_the_first_rows_are_not_scored() -> None:
    assert (probation(1000), probation(15902)) == (150, 750)
    assert outcome(file(1000, (300, 399)), [149], STANDARD).false == 0
    assert outcome(file(1000, (300, 399)), [150], STANDARD).false == 1


def test_files_that_are_no_benchmark(tmp_path: Path) -> None:
    with pytest.raises(WindvaneError, match="Windows file"):
        read(tmp_path)
    (tmp_path / "windows.json").write_text(json.dumps({"realTweets/a.csv": [["2026-01-01 00:00:00", "x"]]}))
    with pytest.raises(WindvaneError, match="found none"):
        read(tmp_path)
    (tmp_path / "a.csv").write_text("timestamp,value\n2026-01-01 00:00:00,3\n")
    with pytest.raises(WindvaneError, match=r"a\.csv"):
        read(tmp_path)


def windowed_gaussian(values: np.ndarray) -> list[int]:
    """NAB's windowedGaussian at its published threshold of 1: the normal tail over the mean of 6 400 rows that move on
    by a hundred. Its scores were stored with twelve digits: 1 is what lies less than 5e-13 under it."""
    held, waiting, mean, sd, rows = list[float](), list[float](), 0.0, 1.0, []
    for row, x in enumerate(values):
        if row and x >= mean and 0.5 * math.erfc((x - mean) / sd / math.sqrt(2)) < 5e-13:
            rows.append(row)
        if len(held) < 6400:
            held.append(x)
        else:
            waiting.append(x)
            if len(waiting) < 100:
                continue
            held, waiting = held[100:] + waiting, []
        mean, sd = float(np.mean(held)), float(np.std(held)) or 1e-6
    return rows


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/nab")
def test_the_scores_that_nab_publishes_for_windowed_gaussian() -> None:
    for labelled in read(DATA):
        ticker = labelled.name.removesuffix(".csv").rpartition("_")[2]
        # UPS is 7e-8 apart: NAB scored a row exactly three windows behind by the sigmoid then, as -1 now
        found = outcome(labelled, windowed_gaussian(labelled.values), STANDARD)
        assert (found.score, found.false) == (pytest.approx(PUBLISHED[ticker][0], abs=1e-7), PUBLISHED[ticker][1])


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/nab")
def test_volume_surge_keeps_its_score() -> None:
    files = read(DATA)
    fired = [ours(file) for file in files]
    standard, low_fp = (
        total([outcome(f, rows, profile) for f, rows in zip(files, fired, strict=True)], profile)
        for profile in (STANDARD, PROFILES["low_fp"])
    )
    assert standard >= 84 and low_fp >= 75  # the goals of ../shared/design and of the issue; 88.5 and 83.0 measured
