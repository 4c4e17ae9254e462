"""How busy a key gets: the fullest windows of its last two weeks, by which volume_surge tells news from custom.

A count of all texts has bursts as a matter of course, heavier than any negative binomial: that an hour is improbable
does not make it news. What does is rarity in the key's own past: at most one of the fourteen days before held so full
a window. This is the partial-duration ("peaks over threshold") series of flood statistics with the empirical return
period (Cunnane 1973; Siffer et al. 2017, SPOT, fit its tail): where days are alike, a day is among the fullest two of
fifteen twice in fifteen, whatever the counts' distribution, and a single giant does not hide what comes after it.

Days are counted back from the present six hours (UTC, from 0, 6, 12, 18 h): each is four blocks of six hours. Windows
that end in the present block are left out; while an episode runs, all that end in the block in which it began or
later, so that a surge is not held against itself, for three days (`episode_unlearned_h`): then it is the new normal.

A window is noted when the key is judged, as its texts stand then: those that come later than that are counted in the
windows that end after they came, never in those of their own time.
"""

from struct import Struct
from typing import NamedTuple

import msgspec

from pipeline.detect.bins import KeyBins
from pipeline.detect.config import BINS_PER_HOUR, WINDOWS_H, DetectorConfig

BLOCK_BINS = 6 * BINS_PER_HOUR
_DAY_BLOCKS = 4
_LATE_H = 48  # a verdict looks back until its texts are final: a day, and a margin
_BLOCK = Struct(f"<{1 + len(WINDOWS_H)}I")  # number of the block, most counted in a window of each length


class Peaks(msgspec.Struct, array_like=True):
    """Of one key. Bins are numbers of five minutes since the epoch."""

    blocks: bytearray = msgspec.field(default_factory=bytearray)  # _BLOCK each, oldest first: 16 bytes

    def note(self, bins: KeyBins, end: int, config: DetectorConfig) -> None:
        """Take in the window of each length that ends before bin `end`; keep what a verdict may ask for."""
        block = (end - 1) // BLOCK_BINS
        held = [sum([b.negatives for b in bins.window(end - h * BINS_PER_HOUR, end)]) for h in WINDOWS_H]
        last = len(self.blocks) - _BLOCK.size
        if last >= 0 and (noted := _BLOCK.unpack_from(self.blocks, last))[0] == block:
            _BLOCK.pack_into(self.blocks, last, block, *map(max, noted[1:], held))
        else:
            self.blocks += _BLOCK.pack(block, *held)
        reach_h = 24 * config.surge_days + max(config.episode_unlearned_h, _LATE_H)
        oldest = block - reach_h * BINS_PER_HOUR // BLOCK_BINS
        while _BLOCK.unpack_from(self.blocks)[0] < oldest:
            del self.blocks[: _BLOCK.size]

    def busier(self, window_h: int, k: int, end: int, days: int) -> int:
        """On how many of the `days` days before a window of so many hours held `k` or more."""
        number = 1 + WINDOWS_H.index(window_h)
        block = (end - 1) // BLOCK_BINS
        ages = (block - 1 - b[0] for b in _BLOCK.iter_unpack(self.blocks) if b[0] < block and b[number] >= k)
        return len({age // _DAY_BLOCKS for age in ages if age < days * _DAY_BLOCKS})


class Past(NamedTuple):
    """The days before bin `end`, so many as are known."""

    peaks: Peaks
    end: int
    days: int

    def busier(self, window_h: int, k: int) -> int:
        """On how many of them a window of so many hours held `k` or more."""
        return self.peaks.busier(window_h, k, self.end, self.days)


def days_known(began: int, end: int, config: DetectorConfig) -> int:
    """How many days before bin `end` the stream, begun in bin `began`, can be asked about."""
    return min(((end - 1) // BLOCK_BINS - began // BLOCK_BINS) // _DAY_BLOCKS, config.surge_days)
