"""The stream as a whole: when it spoke, its season, where in the hour its texts come, and how many voices it has."""

import bisect
from typing import Any

import numpy as np

from pipeline.detect.config import BIN_S, BINS_PER_HOUR, CELLS, DAY_S, DetectorConfig

RING_H = 64  # hours of counts kept: a day until final, a day of window before that, and a margin
_PANEL = 8  # more voices than any rule asks for need no remembering
_MINUTE_PRIOR = 10.0  # texts per five minutes of the hour before any are seen
_ARRAYS = ("counts", "negatives", "minute", "profile_k", "profile_h", "season")


def cell_of(hour: int) -> int:
    """Season cell of an hour since the epoch (UTC): weekday 0-23, weekend 24-47. The epoch was a Thursday."""
    weekend = (hour // 24 + 3) % 7 >= 5
    return hour % 24 + (24 if weekend else 0)


WEEK_H = 168
_CELLS = tuple(cell_of(hour) for hour in range(2 * WEEK_H))


def cells_of(first: int, last: int) -> tuple[int, ...]:
    """Season cells of the hours first..last, a week of them at most."""
    at = first % WEEK_H
    return _CELLS[at : at + last - first + 1]


class Stream:
    """All texts, whatever their key. `season` (per cell) and `within` (share of an hour passed after so many bins) are
    taken anew with each learned hour."""

    def __init__(self, config: DetectorConfig) -> None:
        self._c = config
        self.heard: list[int] = []  # hours with a text, from the last learned one on
        self.counts = np.zeros(RING_H, "int64")  # texts per hour
        self.negatives = np.zeros(RING_H, "int64")
        self.minute = np.full(BINS_PER_HOUR, _MINUTE_PRIOR)
        self.profile_k = np.zeros(CELLS)
        self.profile_h = np.zeros(CELLS)
        self.season = np.ones(CELLS)
        self.within = [i / BINS_PER_HOUR for i in range(BINS_PER_HOUR + 1)]
        self.voices: dict[str, int] = {}  # voice -> bin in which it was last heard; the latest few

    def hear(self, hour: int) -> None:
        """The stream spoke in that hour."""
        if not self.heard or hour > self.heard[-1]:
            self.heard.append(hour)
        elif hour not in self.heard[-2 * RING_H :]:
            bisect.insort(self.heard, hour)

    def open(self, hour: int) -> None:
        """The ring's place of that hour is free again."""
        self.counts[hour % RING_H] = 0
        self.negatives[hour % RING_H] = 0

    def count(self, bin_: int, voice: str, negative: bool, texts: int = 1) -> None:
        """One more text, or several alike."""
        self.counts[bin_ // BINS_PER_HOUR % RING_H] += texts
        self.negatives[bin_ // BINS_PER_HOUR % RING_H] += negative * texts
        self.minute[bin_ % BINS_PER_HOUR] += texts
        self.voices[voice] = max(bin_, self.voices.get(voice, 0))
        if len(self.voices) > _PANEL:
            del self.voices[min(self.voices, key=lambda v: (self.voices[v], v))]

    def panel(self, end: int) -> int:
        """How many voices spoke in the last week, as far as it matters."""
        week = self._c.panel_days * DAY_S // BIN_S
        return sum([end - last <= week for last in self.voices.values()])

    def heard_in(self, hours: range) -> int:
        """Texts of those hours, the newest of which are kept."""
        return int(sum(self.counts[hour % RING_H] for hour in hours))

    def usual(self, hours: range) -> float:
        """Texts that those hours usually hold; 0 before anything is known."""
        known = self.profile_h.sum()
        mean = self.profile_k.sum() / known if known else 0.0
        return float(sum(mean * self.season[cell_of(hour)] for hour in hours))

    def learn(self, hour: int) -> None:
        """That hour is final."""
        cell = cell_of(hour)
        self.profile_k[cell] += self.counts[hour % RING_H]
        self.profile_h[cell] += 1.0
        mean = self.profile_k.sum() / self.profile_h.sum()
        if mean > 0:
            kappa = self._c.season_shrink_h
            self.season = (self.profile_k + kappa * mean) / ((self.profile_h + kappa) * mean)
        self.within = [0.0, *np.cumsum(self.minute / self.minute.sum()).tolist()]

    def dump(self) -> dict[str, Any]:
        return {
            "heard": self.heard, "within": self.within, "voices": self.voices,
            "arrays": {name: getattr(self, name).tobytes() for name in _ARRAYS},
        }  # fmt: skip

    def load(self, saved: dict[str, Any]) -> None:
        self.heard, self.within, self.voices = saved["heard"], saved["within"], saved["voices"]
        for name in _ARRAYS:
            setattr(self, name, np.frombuffer(saved["arrays"][name], getattr(self, name).dtype).copy())
