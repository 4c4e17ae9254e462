"""A seeded simulator of opinion about a company, with three detectors (Windvane's and the two of
pipeline/reference_rules.py): `python -m tests.benchmarks.simulator --json`.

The generator (research A3): daily and weekly season, AR(1) log-intensity (sd .35), beta-binomial share of negatives
(.18, rho .03). Into it go three-hour bursts: negatives x6, and volume x6 with the share unchanged. Printed per volume:
false alarms per key-week on clean streams, bursts found, volume-only bursts that fired, the median delay in minutes.
It shares its family with the detector's model, so it flatters it; the volume-only column does not depend on that.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from scipy.signal import lfilter

from pipeline.detect.config import BIN_S
from pipeline.detect.detector import Detector
from pipeline.records import Opinion, ScoredMention, Sentiment
from pipeline.reference_rules import ON_NEGATIVES

SHARE, RHO = 0.18, 0.03
BURST_BINS, FACTOR = 36, 6.0  # three hours, sixfold
DAY_BINS, HOUR_BINS = 288, 12
WARM_DAYS = 14
GRACE_BINS = 12  # a burst may be found up to an hour after its end
EVERY_DAYS = 6  # one burst in so many days
AWAKE = (9, 18)  # bursts begin in the hours in which people write; at night a sixfold rise is a handful of texts
START = 1_699_228_800  # a Monday, 00:00 UTC
VOLUMES = (10, 50, 300, 2000)


class Series(NamedTuple):
    """Texts and negatives per 5-minute bin of one key, and where bursts begin: (bin, "negative" | "volume")."""

    total: np.ndarray
    negative: np.ndarray
    bursts: list[tuple[int, str]]


class Noise(NamedTuple):
    """How untidy the stream is: half-life of the AR(1) in bins, and for how many bins a drawn share holds."""

    half_life: int
    share_bins: int


PLAIN = Noise(12, 1)  # research A3 as we read it
HARD = Noise(36, 12)  # moods that last for hours: dispersion grows with the window, as in forums


def series(rng: np.random.Generator, per_day: float, days: int, bursts: bool, noise: Noise = PLAIN) -> Series:
    """One key. Bursts, when asked for, come every sixth day after the warm-up, kinds in turn."""
    bins = np.arange(days * DAY_BINS)
    hour, weekend = bins / HOUR_BINS % 24, bins // DAY_BINS % 7 >= 5
    season = np.exp(0.8 * np.cos((hour - 14) / 24 * 2 * np.pi)) * np.where(weekend, 0.7, 1.0)
    season /= season.mean()
    step, sd = 0.5 ** (1 / noise.half_life), 0.35
    ar = lfilter([1.0], [1.0, -step], rng.normal(0, sd * math.sqrt(1 - step**2), len(bins)))
    rate = per_day / DAY_BINS * season * np.exp(ar - sd**2 / 2)
    strength = 1 / RHO - 1
    drawn = rng.beta(SHARE * strength, (1 - SHARE) * strength, len(bins) // noise.share_bins)
    share = np.repeat(drawn, noise.share_bins)
    negative, other = rate * share, rate * (1 - share)
    found = []
    if bursts:
        for n, day in enumerate(range(WARM_DAYS, days - 1, EVERY_DAYS)):
            at = day * DAY_BINS + int(rng.integers(*AWAKE)) * HOUR_BINS
            kind = "negative" if n % 2 == 0 else "volume"
            negative[at : at + BURST_BINS] *= FACTOR
            if kind == "volume":
                other[at : at + BURST_BINS] *= FACTOR
            found.append((at, kind))
    k = rng.poisson(negative)
    return Series(k + rng.poisson(other), k, found)


def opinions(rng: np.random.Generator, keys: list[Series]) -> Iterator[Opinion]:
    """The texts of several keys in event-time order: every text its own story, voices drawn from five hundred."""
    feelings = {
        True: Sentiment(label="negative", negative=0.9, neutral=0.05, positive=0.05),
        False: Sentiment(label="neutral", negative=0.1, neutral=0.8, positive=0.1),
    }
    n = 0
    for bin_ in range(len(keys[0].total)):
        for key, s in enumerate(keys):
            for i in range(int(s.total[bin_])):
                feeling = feelings[i < s.negative[bin_]]
                at = datetime.fromtimestamp(START + bin_ * BIN_S + n % BIN_S, UTC)
                mention = ScoredMention(entity=f"E{key}", text="E", start=0, end=1, sentiment=feeling, basis="text")
                n += 1
                yield Opinion(
                    post_id=str(n), source="sim", author=f"v{rng.integers(500)}", text=f"text {n}", language="en",
                    published_at=at, fetched_at=at, story_id=str(n), entities=(mention,), sentiment=feeling,
                    unsure=False, model_version="sim", scored_at=at,
                )  # fmt: skip


def ours(rng: np.random.Generator, keys: list[Series]) -> list[list[int]]:
    """Per key, the bins in which the detector fired."""
    detector = Detector()
    fired: list[list[int]] = [[] for _ in keys]
    for opinion in opinions(rng, keys):
        for alert in detector.observe([opinion]):
            if alert.event == "fired" and alert.key.startswith("entity:"):
                fired[int(alert.key.removeprefix("entity:E"))].append(int(alert.fired_at.timestamp() - START) // BIN_S)
    return fired


def score(clean: list[Series], burst: list[Series], fired: tuple[list[list[int]], list[list[int]]]) -> dict[str, Any]:
    """The four numbers of one detector at one volume. `fired` on the clean keys and on those with bursts."""
    warm = WARM_DAYS * DAY_BINS
    false = sum(b >= warm for bins in fired[0] for b in bins)
    weeks = sum(len(s.total) - warm for s in clean) / (7 * DAY_BINS)
    hits: dict[str, list[int | None]] = {"negative": [], "volume": []}
    for s, bins in zip(burst, fired[1], strict=True):
        for at, kind in s.bursts:
            inside = [b - at for b in bins if at <= b < at + BURST_BINS + GRACE_BINS]
            hits[kind].append(min(inside) if inside else None)
    found = [d for d in hits["negative"] if d is not None]
    return {
        "false_per_key_week": round(false / weeks, 4),
        "detected": round(len(found) / max(1, len(hits["negative"])), 3),
        "volume_only_fired": round(sum(d is not None for d in hits["volume"]) / max(1, len(hits["volume"])), 3),
        "delay_min": float(np.median(found)) * 5 if found else None,
    }


def run(
    volumes: tuple[int, ...] = VOLUMES,
    keys: int = 6,
    days: int = 42,
    seed: int = 20261122,
    noise: Noise = PLAIN,
) -> dict[str, dict[str, Any]]:
    """Scores per volume (texts a day) and detector."""
    out: dict[str, dict[str, Any]] = {}
    for volume in volumes:
        rng = np.random.default_rng([seed, volume])
        clean = [series(rng, volume, days, False, noise) for _ in range(keys)]
        burst = [series(rng, volume, days, True, noise) for _ in range(keys)]
        out[str(volume)] = {
            "windvane": score(clean, burst, (ours(rng, clean), ours(rng, burst))),
        }
        for name, alarms in ON_NEGATIVES.items():
            fired = [alarms(s.negative) for s in clean], [alarms(s.negative) for s in burst]
            out[str(volume)][name] = score(clean, burst, fired)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--keys", type=int, default=6, help="keys per volume, clean and with bursts each")
    parser.add_argument("--days", type=int, default=42, help="days per key; the first 14 are not scored")
    parser.add_argument("--volumes", type=int, nargs="+", default=list(VOLUMES), help="texts a day")
    parser.add_argument("--hard", action="store_true", help="moods that last for hours")
    args = parser.parse_args()
    result = run(tuple(args.volumes), args.keys, args.days, noise=HARD if args.hard else PLAIN)
    if args.json:
        json.dump(result, sys.stdout, indent=1)
        print()
        return
    print(f"{'texts/day':>9}  {'detector':24} {'false/key-week':>14} {'found':>6} {'volume-only':>11} {'delay min':>9}")
    for volume, detectors in result.items():
        for name, s in detectors.items():
            delay = "" if s["delay_min"] is None else f"{s['delay_min']:.0f}"
            row = (s["false_per_key_week"], s["detected"], s["volume_only_fired"], delay)
            print(f"{volume:>9}  {name:24} {row[0]:>14} {row[1]:>6} {row[2]:>11} {row[3]:>9}")


if __name__ == "__main__":
    main()
