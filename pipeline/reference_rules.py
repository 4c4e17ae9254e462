"""Two alarm rules in wide use, to hold the detector against: an ElastAlert-style spike rule and an EWMA z-score.

`windvane backtest`, the simulator and NAB all take them from here. Arrays are counts per five-minute bin (one bin at
least), times are bin numbers; both rules look at the hour that ends with a bin, and know nothing of seasons, shares or
stories.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from scipy.signal import lfilter

from pipeline.detect.config import BIN_S, BINS_PER_HOUR, DAY_S

REARM_BINS = 12 * BINS_PER_HOUR  # after it spoke, a rule stays silent for as long as Windvane's cool-down
_DAY_BINS = DAY_S // BIN_S


def spike(counts: np.ndarray, times: float, least: int) -> list[int]:
    """ElastAlert's `spike`: bins whose hour holds `least` or more, and `times` the hour before it or more. The first
    two hours fill its windows."""
    hour = _hourly(counts)
    bins = np.arange(2 * BINS_PER_HOUR, len(hour))
    now, before = hour[bins], hour[bins - BINS_PER_HOUR]
    found: list[int] = bins[(now >= least) & (now >= times * before)].tolist()
    return found


def ewma(counts: np.ndarray, *, start: float = 0.0, z: float = 4.0, least: int = 5) -> list[int]:
    """Bins whose hour holds `least` or more, and more than `z` standard deviations over an exponentially weighted mean
    (half-life one day) that begins at `start`, its variance at 1."""
    hour = _hourly(counts)
    keep = 0.5 ** (1 / _DAY_BINS)
    gain = 1 - keep
    mean = _before(lfilter([gain], [1.0, -keep], hour, zi=[keep * start])[0], start)
    away = hour - mean
    var = _before(lfilter([keep * gain], [1.0, -keep], away**2, zi=[keep])[0], 1.0)
    found: list[int] = np.flatnonzero((hour >= least) & (away > z * np.sqrt(np.maximum(var, 0.25)))).tolist()
    return found


def rearmed(bins: Iterable[int], silent: int = REARM_BINS) -> list[int]:
    """The bins in which a rule speaks that then stays silent for `silent` bins."""
    out: list[int] = []
    for b in bins:
        if not out or b - out[-1] >= silent:
            out.append(b)
    return out


def episodes(bins: Iterable[int], quiet: int) -> list[int]:
    """The first of each run of bins that are less than `quiet` apart."""
    out: list[int] = []
    last = None
    for b in bins:
        if last is None or b - last >= quiet:
            out.append(b)
        last = b
    return out


# On negatives per bin (settings of research A3): the bins in which each rule alarms.
ON_NEGATIVES: Mapping[str, Callable[[np.ndarray], list[int]]] = {
    "elastalert_spike_x3_10": lambda negatives: rearmed(spike(negatives, times=3, least=10)),
    "ewma_z4": lambda negatives: rearmed(ewma(negatives)),
}


def _hourly(counts: np.ndarray) -> np.ndarray:
    return np.convolve(counts, np.ones(BINS_PER_HOUR))[: len(counts)]


def _before(values: np.ndarray, start: float) -> np.ndarray:
    """What was known before each bin."""
    return np.concatenate([[start], values[:-1]])
