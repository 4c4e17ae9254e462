"""The two rules that the detector is held against, by hand and against a bin-by-bin version of the moving average."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reference_rules import ON_NEGATIVES, episodes, ewma, rearmed, spike

HOUR = 12


def counts(hours: int, **at: int) -> np.ndarray:
    """Empty bins of so many hours, but for `b30=7`: seven texts in bin 30."""
    out = np.zeros(hours * HOUR, int)
    for name, n in at.items():
        out[int(name.removeprefix("b"))] = n
    return out


def test_a_spike_is_the_hour_against_the_hour_before() -> None:
    assert spike(counts(6, b30=10), times=3, least=10) == list(range(30, 42))  # as long as its hour holds them
    assert spike(counts(6, b30=9), times=3, least=10) == []
    assert spike(counts(6, b30=12, b42=35), times=3, least=13) == []  # 35 of 12: not three times as many
    assert spike(counts(6, b30=12, b42=36), times=3, least=13)[0] == 42
    assert spike(counts(6, b5=50), times=3, least=10) == []  # its windows are not full yet
    assert spike(counts(6, b23=50), times=3, least=10)[0] == 24


def test_the_moving_average_by_hand() -> None:
    assert ewma(counts(6, b30=5))[:2] == [30, 31]  # mean 0, variance 1: five of its roots above
    assert ewma(counts(6, b30=4)) == []  # fewer than five never are
    assert ewma(counts(6, b0=5), start=5.0) == []
    assert ewma(np.tile([9] + [0] * 11, 30), start=9.0) == []  # every hour as usual


@given(st.lists(st.integers(0, 40), min_size=1, max_size=400), st.integers(0, 20))
def test_the_moving_average_is_that_of_the_textbook(values: list[int], start: int) -> None:
    keep, mean, var, scores = 0.5 ** (1 / 288), float(start), 1.0, []
    for bin_ in range(len(values)):
        hour = sum(values[max(0, bin_ - 11) : bin_ + 1])
        scores.append((hour - mean) / math.sqrt(max(var, 0.25)) if hour >= 5 else -1.0)
        var = keep * (var + (1 - keep) * (hour - mean) ** 2)
        mean += (1 - keep) * (hour - mean)
    found = ewma(np.array(values), start=float(start))
    assert all(scores[b] > 4 - 1e-9 for b in found)
    assert set(found) >= {b for b, z in enumerate(scores) if z > 4 + 1e-9}


def test_a_rule_that_spoke_stays_silent() -> None:
    assert rearmed([5, 6, 148, 149, 150, 400]) == [5, 149, 400]
    assert rearmed([], 3) == [] and rearmed([1, 2, 3, 4], 2) == [1, 3]


def test_an_episode_is_a_run_of_near_bins() -> None:
    assert episodes([5, 6, 148, 149, 150, 400], 144) == [5, 400]  # each is near the one before it
    assert episodes([], 3) == [] and episodes([0, 3, 5], 3) == [0, 3]


@pytest.mark.parametrize("name", ON_NEGATIVES)
def test_both_find_a_plain_burst_and_alarm_once(name: str) -> None:
    usual = np.tile([0, 0, 0, 1, 0, 0], 24 * 2 * 5)
    burst = usual.copy()
    burst[1000:1036] += 2
    assert ON_NEGATIVES[name](usual) == []
    (found,) = ON_NEGATIVES[name](burst)
    assert 1000 <= found < 1036
