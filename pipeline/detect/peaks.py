"""How busy a key gets: the fullest windows of its last two weeks, by which volume_surge tells news from custom.

A count of all texts has bursts as a matter of course, heavier than any negative binomial: that an hour is improbable
does not make it news. What does is rarity in the key's own past: at most one of the fourteen days before held so full
a window. This is the partial-duration ("peaks over threshold") series of flood statistics with the empirical return
period (Cunnane 1973; Siffer et al. 2017, SPOT, fit its tail): where days are alike, a day is among the fullest two of
fifteen twice in fifteen, whatever the counts' distribution, and a single giant does not hide what comes after it.

Days are counted back from the present six hours: each is four blocks of six hours. Windows that end in the present
block are left out, so that a surge is not held against itself.
"""

import msgspec

from pipeline.detect.bins import KeyBins
from pipeline.detect.config import BINS_PER_HOUR, WINDOWS_H, DetectorConfig

BLOCK_BINS = 6 * BINS_PER_HOUR
_DAY_BLOCKS = 4


class Peaks(msgspec.Struct, array_like=True):
    """Of one key. Bins are numbers of five minutes since the epoch."""

    blocks: list[list[int]] = []  # [block, most counted in a window of each length of WINDOWS_H], oldest first

    def note(self, bins: KeyBins, end: int, days: int) -> None:
        """Take in the windows that end before bin `end`; keep what a verdict of up to a day ago may ask for."""
        block = (end - 1) // BLOCK_BINS
        held = [sum([b.negatives for b in bins.window(end - h * BINS_PER_HOUR, end)]) for h in WINDOWS_H]
        if self.blocks and self.blocks[-1][0] == block:
            self.blocks[-1] = [block, *map(max, self.blocks[-1][1:], held)]
        else:
            self.blocks.append([block, *held])
        oldest = block - (days + 2) * _DAY_BLOCKS
        while self.blocks[0][0] < oldest:
            del self.blocks[0]

    def busier(self, window_h: int, k: int, end: int, days: int) -> int:
        """On how many of the `days` days before a window of so many hours held `k` or more."""
        number = 1 + WINDOWS_H.index(window_h)
        block = (end - 1) // BLOCK_BINS
        ages = (block - 1 - b[0] for b in self.blocks if b[0] < block and b[number] >= k)
        return len({age // _DAY_BLOCKS for age in ages if age < days * _DAY_BLOCKS})


def days_known(began: int, end: int, config: DetectorConfig) -> int:
    """How many days before bin `end` the stream, begun in bin `began`, can be asked about."""
    return min(((end - 1) // BLOCK_BINS - began // BLOCK_BINS) // _DAY_BLOCKS, config.surge_days)
