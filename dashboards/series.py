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
HISTORY_DAYS = 28  # every weekday is seen four times
BAND = (0.05, 0.95)  # the middle 90 % is called usual
WINDOWS = (HOUR, 6 * HOUR)  # the detector's
WINDOW_TEXTS = 5  # a window is wide enough when it usually holds so many texts
MIN_WINDOWS = 8  # fewer windows of history: no band
MIN_SHARE_WINDOWS = 24  # these overlap, so more of them are needed
MIN_SHARE_TEXTS = 3  # a share of one or two texts is noise, not drawn

USUAL_METHOD = (
    "5th to 95th percentile of this key's own windows of window_s over the 28 days before, times of confirmed alerts "
    "left out. usual_low/high, of the number of negatives: windows that end at the same time of day, an hour earlier "
    "or later. usual_share_low/high: windows of any hour, with at least 3 texts. null with fewer than 8 (share: 24) "
    "windows. window_s: 1 h where that usually holds 5 texts, else 6 h; at least step_s"
)
MIN_MOVE_TEXTS = 20  # a key with fewer texts in its history is not called moved

Span = tuple[int, int]  # [start, end)
Floats = npt.NDArray[np.float64]


class Usual(NamedTuple):
    """The usual range of negatives in a window, and of their share (None: too little history)."""

    negatives: tuple[float, float] | None
    share: tuple[float, float] | None


class History:
    """A key hour by hour, from its first text on; hours inside a confirmed alert are unknown."""

    def __init__(self, bins: Sequence[Bin], end: int, exclude: Sequence[Span] = ()) -> None:
        self.first = min((b.start for b in bins), default=end) // HOUR * HOUR
        hours = max(0, -(-(end - self.first) // HOUR))
        self.starts = self.first + HOUR * np.arange(hours, dtype=np.int64)
        self.negatives, self.totals = np.zeros(hours), np.zeros(hours)
        for b in bins:
            if b.start < end:
                self.negatives[(b.start - self.first) // HOUR] += b.negative
                self.totals[(b.start - self.first) // HOUR] += b.total
        self.known = np.ones(hours, dtype=bool)
        for start, stop in exclude:
            self.known &= (self.starts + HOUR <= start) | (self.starts >= stop)
        self._sums = [np.concatenate([[0], np.cumsum(v)]) for v in (self.negatives, self.totals, ~self.known)]

    def window(self) -> int:
        """The first of WINDOWS that usually holds enough texts; the last when none does."""
        known = self.known.sum()
        rate = float(self.totals[self.known].sum() / known) if known else 0.0
        return next((w for w in WINDOWS if rate * w / HOUR >= WINDOW_TEXTS), WINDOWS[-1])

    def usual(self, end: int, window_s: int) -> Usual:
        """The band for the window of `window_s` that ends at `end`."""
        at, width = end // HOUR * HOUR, -(-window_s // HOUR)
        shifts = (0,) if window_s >= DAY else (-HOUR, 0, HOUR)
        same = [at - d * DAY + shift for d in range(1, HISTORY_DAYS + 1) for shift in shifts]
        negatives, _ = self._ending(np.array(same), width)
        counts = _band(negatives, MIN_WINDOWS)
        k, n = self._ending(np.arange(at - HISTORY_DAYS * DAY, at - DAY + 1, HOUR), width)
        enough = n >= MIN_SHARE_TEXTS
        return Usual(counts, _band(k[enough] / n[enough], MIN_SHARE_WINDOWS))

    def _ending(self, ends: npt.NDArray[np.int64], width: int) -> tuple[Floats, Floats]:
        """Negatives and texts of the windows of `width` hours that end at `ends` and are known throughout."""
        i = (ends - self.first) // HOUR
        i = i[(i >= width) & (i <= len(self.starts))]
        negatives, totals, unknown = (total[i] - total[i - width] for total in self._sums)
        return negatives[unknown == 0], totals[unknown == 0]


def _band(values: Floats, least: int) -> tuple[float, float] | None:
    if len(values) < least:
        return None
    low, high = np.quantile(values, BAND)
    return float(low), float(high)


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
    history = History([b for b in bins if b.start < start], start, exclude)
    negatives, totals = history.negatives[history.known], history.totals[history.known]
    if len(negatives) < 2 * 24 or totals.sum() < MIN_MOVE_TEXTS:
        return None
    now = [b for b in bins if start <= b.start < end]
    k, n = sum(b.negative for b in now), sum(b.total for b in now)
    mean = negatives.mean()
    hours_of_day = history.starts[history.known] // HOUR % 24
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
