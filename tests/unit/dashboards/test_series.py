"""What is usual: checked against counting by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import series as s
from pipeline.store.base import Bin

DAY0 = 1_700_006_400  # a midnight, UTC


def hourly(days: int, negative: int = 1, other: int = 9) -> list[Bin]:
    return [Bin(DAY0 + h * s.HOUR, negative, other, 0, 0) for h in range(24 * days)]


def test_the_band_is_the_range_of_the_days_before() -> None:
    bins = [b._replace(negative=(b.start - DAY0) // s.DAY % 5) for b in hourly(20)]
    end = DAY0 + 20 * s.DAY
    usual = s.History(bins, end).usual(end, s.HOUR)
    assert usual.negatives == (0, 4)
    assert usual.share is not None and usual.share[1] == pytest.approx(4 / 13)


def test_a_confirmed_alert_does_not_become_usual() -> None:
    end = DAY0 + 10 * s.DAY
    storm = (end - 2 * s.DAY, end - s.DAY)
    bins = [b._replace(negative=90) if storm[0] <= b.start < storm[1] else b for b in hourly(10)]
    with_it, without = s.History(bins, end), s.History(bins, end, [storm])
    assert with_it.usual(end, s.HOUR).negatives[1] > 50  # type: ignore[index]
    assert without.usual(end, s.HOUR).negatives == (1, 1)


def test_too_little_history_says_nothing() -> None:
    end = DAY0 + 2 * s.DAY
    assert s.History(hourly(2), end).usual(end, s.HOUR) == s.Usual(
        None, s.History(hourly(2), end).usual(end, s.HOUR).share
    )
    assert s.History([], end).usual(end, s.HOUR) == s.Usual(None, None)
    assert s.History([], end).window() == 6 * s.HOUR


def test_the_window_widens_for_rare_keys() -> None:
    end = DAY0 + 9 * s.DAY
    assert s.History(hourly(9), end).window() == s.HOUR
    assert s.History([b for b in hourly(9, 0, 1)], end).window() == 6 * s.HOUR


def test_a_move_needs_count_and_share() -> None:
    start = DAY0 + 14 * s.DAY
    usual = hourly(14, 1, 9)

    def now(negative: int, other: int) -> list[Bin]:
        return [*usual, *(Bin(start + h * s.HOUR, negative, other, 0, 0) for h in range(6))]

    def score(negative: int, other: int) -> float:
        moved = s.move(now(negative, other), start, start + 6 * s.HOUR)
        assert moved is not None
        return moved.score

    assert score(6, 9) > 4
    assert 0 < score(7, 60) < 0.5  # volume alone: the share is about as usual
    assert score(1, 9) == pytest.approx(0, abs=0.3)
    assert score(0, 10) < -0.5
    assert s.move(usual[-24:], start, start + s.HOUR) is None


def test_columns_fill_the_gaps() -> None:
    got = s.columns([Bin(600, 1, 2, 3, 4)], 0, 1200, 300)
    assert got["t"] == [0, 300, 600, 900] and got["total"] == [0, 0, 10, 0] and got["unsure"] == [0, 0, 4, 0]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.data())
def test_trailing_is_a_sum_of_the_last(values: list[int], data: st.DataObject) -> None:
    width = data.draw(st.integers(1, len(values)))
    keep = data.draw(st.integers(1, len(values)))
    got = s.trailing(values, width, keep)
    at = range(len(values) - keep, len(values))
    assert got == [sum(values[max(0, i - width + 1) : i + 1]) for i in at]


@given(st.integers(60, 90 * 86400))
def test_a_span_is_at_most_112_bars(span: int) -> None:
    assert np.ceil(span / s.step_for(span)) <= 112 or s.step_for(span) == s.DAY
