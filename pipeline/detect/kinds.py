"""The seven kinds of rule: what each counts, which tests it asks, and its defaults. One row a kind; docs/alerts.md."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pipeline.detect.config import WINDOWS_H

Kind = Literal["negative_spike", "negative_volume", "negative_share", "volume_surge", "silence", "message", "static"]
Counted = Literal["negatives", "texts"]
Test = Literal["count", "share"]


class Defaults(NamedTuple):
    """Of one kind. `scores`: -log10 p asked at sensitivity low, normal, high; empty where nothing is tested."""

    counted: Counted
    tests: tuple[Test, ...]
    windows_h: tuple[int, ...]
    floor: int  # fewest negatives, or texts, that may fire; silence: fewest expected
    scores: tuple[float, float, float] | None
    voices: bool  # several must speak
    warmup: bool  # a new stream and a new key must first be known


KINDS: Mapping[str, Defaults] = {
    "negative_spike": Defaults("negatives", ("count", "share"), WINDOWS_H, 5, (4.0, 3.0, 2.0), True, True),
    # one test alone must carry the proof, so it is asked for a power of ten more (research A4)
    "negative_volume": Defaults("negatives", ("count",), WINDOWS_H, 5, (5.0, 4.0, 3.0), True, True),
    "negative_share": Defaults("negatives", ("share",), WINDOWS_H, 20, (5.0, 4.0, 3.0), True, True),
    # one test, but rarity is asked too (peaks.py); a sudden rise shows in an hour, a broad one in six
    "volume_surge": Defaults("texts", ("count",), (1, 6), 10, (5.0, 3.0, 2.0), False, True),
    "silence": Defaults("texts", ("count",), (1, 6, 24), 20, (5.0, 4.0, 3.0), False, True),
    "message": Defaults("negatives", (), (24,), 1, None, False, False),
    "static": Defaults("negatives", (), (1,), 1, None, False, False),
}
