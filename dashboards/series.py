"""What is usual for a key, computed from its own roll-ups: the band of the chart and the score of the movers.

Simple on purpose (the detector's baseline is another, see pipeline/detect): quantiles and standardised changes that a
reader can check by hand. All functions are pure; times are epoch seconds.
"""

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.store.base import Bin

HOUR, DAY = 3600, 86400
HISTORY_S = 28 * DAY  # four weeks: every hour of the week is seen four times
FRESH_S = 6 * HOUR  # what is newer may still change, and may be the rise itself
BAND = (0.05, 0.95)  # the middle 90 % is called usual
MIN_WINDOWS = 8  # fewer windows of history: no band
MIN_TEXTS = 20  # fewer texts in them: no band of the share
MIN_SHARE_TEXTS = 3  # a share of one or two texts is noise, not drawn

USUAL_METHOD = (
    "usual_*: 5th to 95th percentile of this key's own windows of window_s in the 28 days before, at the same time of day "
    "(one window either side), the last 6 hours and times of confirmed alerts left out; shares weighted by their texts; "
    "null with fewer than 8 such windows or 20 texts"
)

Span = tuple[int, int]  # [start, end)


class Usual(NamedTuple):
    """The usual range of negatives in a window, and of their share (None: too little history)."""

    negatives: tuple[float, float] | None
    share: tuple[float, float] | None


class History:
    """A key's windows before now: `window_s` wide, empty ones filled in from the first text on."""

    def __init__(self, bins: Sequence[Bin], window_s: int, end: int, exclude: Sequence[Span] = ()) -> None:
        self.window_s = window_s
        first = min((b.start for b in bins), default=end) // window_s * window_s
        self.starts = np.arange(first, end, window_s, dtype=np.int64)
        self.negatives = np.zeros(len(self.starts))
        self.totals = np.zeros(len(self.starts))
        for b in bins:
            i = (b.start - first) // window_s
            if 0 <= i < len(self.starts):
                self.negatives[i] += b.negative
                self.totals[i] += b.total
        self.counts = np.ones(len(self.starts), dtype=bool)
        for start, stop in exclude:
            self.counts &= (self.starts + window_s <= start) | (self.starts >= stop)

    def before(self, at: int) -> npt.NDArray[np.bool_]:
        """Which windows are history at `at`."""
        old = (self.starts + self.window_s <= at - FRESH_S) & (self.starts >= at - HISTORY_S)
        return old & self.counts

    def usual(self, at: int) -> Usual:
        """The band for the window that starts at `at`."""
        pool = self.before(at)
        slots = DAY // self.window_s
        if slots > 3:
            apart = (self.starts // self.window_s - at // self.window_s) % slots
            pool &= np.isin(apart, (0, 1, slots - 1))
        negatives, totals = self.negatives[pool], self.totals[pool]
        if len(negatives) < MIN_WINDOWS:
            return Usual(None, None)
        low, high = np.quantile(negatives, BAND)
        share = _weighted_band(negatives, totals) if totals.sum() >= MIN_TEXTS else None
        return Usual((float(low), float(high)), share)


def _weighted_band(negatives: npt.NDArray[np.float64], totals: npt.NDArray[np.float64]) -> tuple[float, float]:
    some = totals > 0
    shares, weights = negatives[some] / totals[some], totals[some]
    order = np.argsort(shares)
    shares, reached = shares[order], np.cumsum(weights[order]) / weights.sum()
    low, high = (float(shares[min(int(np.searchsorted(reached, q)), len(shares) - 1)]) for q in BAND)
    return low, high


class Move(NamedTuple):
    """How far a key is from usual. `score` is the smaller of two standardised changes, 0 when they disagree:
    volume alone moves the count and not the share; one negative text of one moves the share and not the count."""

    score: float
    negatives: int
    total: int
    expected: float
    usual_share: float


def move(bins: Sequence[Bin], start: int, end: int, exclude: Sequence[Span] = ()) -> Move | None:
    """The move of a key in [start, end) against its hourly `bins` before `start`; None when history is too short.

    Expected negatives are the sum over the hours of the mean at that hour of day, shrunk to the key's mean by three
    hours' weight; the spread is quasi-Poisson (variance = phi × mean, phi measured on the hours, 1.05 to 10).
    """
    history = History([b for b in bins if b.start < start], HOUR, start, exclude)
    pool = history.before(start + FRESH_S)  # the window is not part of its own history, so nothing fresh to drop
    negatives, totals = history.negatives[pool], history.totals[pool]
    if len(negatives) < 2 * 24 or totals.sum() < MIN_TEXTS:
        return None
    now = [b for b in bins if start <= b.start < end]
    k, n = sum(b.negative for b in now), sum(b.total for b in now)
    mean = negatives.mean()
    hours_of_day = history.starts[pool] // HOUR % 24
    expected = 0.0
    for hour in range(start // HOUR, -(-end // HOUR)):
        same = negatives[hours_of_day == hour % 24]
        expected += (same.sum() + 3 * mean) / (len(same) + 3)
    phi = float(np.clip(negatives.var() / mean, 1.05, 10)) if mean > 0 else 1.05
    usual_share = float((negatives.sum() + 1) / (totals.sum() + 5))
    count = (k - expected) / sqrt(phi * max(expected, 0.5))
    share = (k / n - usual_share) / sqrt(1.5 * usual_share * (1 - usual_share) / n) if n else 0.0
    score = 0.0 if count * share <= 0 else float(np.sign(count)) * min(abs(count), abs(share))
    return Move(round(score, 2), k, n, round(expected, 2), round(usual_share, 4))


STEPS = (300, 900, 1800, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY)


def step_for(span_s: float) -> int:
    """The bin width that shows a span in at most 112 bars."""
    return next((s for s in STEPS if span_s / s <= 112), DAY)


def columns(bins: Sequence[Bin], start: int, end: int, step_s: int) -> dict[str, list[int]]:
    """Every step of [start, end) with its counts, empty ones as zeros."""
    held = {b.start: b for b in bins}
    empty = (0, 0, 0, 0)
    out: dict[str, list[int]] = {"t": list(range(start, end, step_s))}
    rows = [held[t][1:] if t in held else empty for t in out["t"]]
    for i, name in enumerate(("negative", "neutral", "positive", "unsure")):
        out[name] = [r[i] for r in rows]
    out["total"] = [sum(r) for r in rows]
    return out


def trailing(values: Sequence[int], width: int, keep: int) -> list[int]:
    """Sums over the last `width` values, for the last `keep` positions."""
    total = np.concatenate([[0], np.cumsum(values)])
    at = np.arange(len(values) - keep + 1, len(values) + 1)
    return [int(v) for v in total[at] - total[np.maximum(at - width, 0)]]
