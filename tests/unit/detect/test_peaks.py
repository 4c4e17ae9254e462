"""What volume_surge remembers of how busy a key gets, and what comes of it."""

import sys
from datetime import timedelta
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.detect.bins import Bin, KeyBins
from pipeline.detect.config import BIN_S, BINS_PER_HOUR, WINDOWS_H, DetectorConfig
from pipeline.detect.detector import Detector
from pipeline.detect.peaks import BLOCK_BINS, Peaks, days_known
from pipeline.detect.rules import Rule
from pipeline.records import Alert, Opinion
from tests.benchmarks import nab
from tests.benchmarks.nab_score import Labelled
from tests.unit.detect.make import MONDAY, opinion

DAY = 288
C = DetectorConfig()
SURGE = Rule(id="surge", kind="volume_surge")


def noted(counts: dict[int, int], config: DetectorConfig = C) -> Peaks:
    bins, peaks = KeyBins(), Peaks()
    for index, k in sorted(counts.items()):
        bins.bins.append(Bin(index, k, k))
        peaks.note(bins, index + 1, config)
    return peaks


def by_hand(counts: dict[int, int], window_h: int, k: int, end: int, days: int) -> int:
    """Straight from the definition: every window that ends with a text, day by day before the present six hours."""
    now = (end - 1) // BLOCK_BINS * BLOCK_BINS
    busy = set()
    for last in counts:
        held = sum(n for at, n in counts.items() if last - window_h * BINS_PER_HOUR < at <= last)
        if last < now and held >= k:
            busy.add((now - 1 - last) // DAY)
    return len([age for age in busy if age < days])


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(st.integers(0, 8 * DAY), st.integers(1, 9), min_size=1, max_size=60),
    st.sampled_from(WINDOWS_H),
    st.integers(1, 15),
    st.integers(0, 3 * DAY),
    st.integers(0, 5),
)
def test_busier_days_are_those_of_the_definition(
    counts: dict[int, int], window_h: int, k: int, back: int, days: int
) -> None:
    five = DetectorConfig(surge_days=5)
    peaks, end = noted(counts, five), max(counts) + 1 - back  # a verdict may look back as far as an episode runs
    assert peaks.busier(window_h, k, end, days) == by_hand(counts, window_h, k, end, days)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(peaks), type=Peaks) == peaks == noted(counts, five)


def test_a_key_is_remembered_in_a_kilobyte() -> None:
    """A key that speaks in every block: the goal for all that is kept of a key is 4 KiB (P9)."""
    peaks = noted({index: 300 for index in range(0, 40 * DAY, 24)})
    assert len(peaks.blocks) == 16 * (4 * (14 + 3) + 1)  # two weeks before an episode that runs for three days
    assert sys.getsizeof(peaks) + sys.getsizeof(peaks.blocks) <= 1400
    assert len(msgspec.msgpack.encode(peaks)) <= 1110


def test_the_present_six_hours_are_left_out() -> None:
    peaks = noted({100 * DAY + i: 5 for i in range(12)})
    assert peaks.busier(1, 60, 100 * DAY + 12, 14) == 0
    assert peaks.busier(1, 60, 100 * DAY + BLOCK_BINS + 1, 14) == 1
    assert peaks.busier(1, 61, 100 * DAY + BLOCK_BINS + 1, 14) == 0


def test_days_known() -> None:
    began = 1000 * BLOCK_BINS + 5
    assert days_known(began, began + 1, C) == 0
    assert days_known(began, began + 2 * DAY, C) in (1, 2)
    assert days_known(began, began + 60 * DAY, C) == C.surge_days


# --- the rule


def counted(days: int, surges: dict[float, int], seed: int = 3) -> np.ndarray:
    """Texts per five minutes: a calm stream, three an hour, with so many within an hour at those days."""
    counts = np.random.default_rng(seed).poisson(0.25, days * DAY)
    for day, n in surges.items():
        counts[int(day * DAY) : int(day * DAY) + 10] += n // 10
    return counts


def spoken(counts: np.ndarray) -> list[Opinion]:
    rng = Random(1)
    return [
        opinion(f"{at}-{i}", MONDAY + timedelta(seconds=int(at) * BIN_S + i), voice=f"v{rng.randrange(40)}")
        for at, n in enumerate(counts)
        for i in range(int(n))
    ]


def told(opinions: list[Opinion]) -> list[Alert]:
    detector = Detector([SURGE])
    return [a for a in detector.observe(opinions) if a.event == "fired"]


def fired(surges: dict[float, int], days: int) -> list[float]:
    return [round((a.fired_at - MONDAY) / timedelta(days=1), 1) for a in told(spoken(counted(days, surges)))]


@pytest.mark.parametrize("began", ["04:30", "05:30", "06:30"])
def test_a_surge_is_not_held_against_itself(began: str) -> None:
    """As much in each of nine hours: whether six hours UTC end within it decides nothing."""
    hours, minutes = map(int, began.split(":"))
    counts = counted(9, {})
    first = 6 * DAY + (hours * 60 + minutes) // 5
    counts[first : first + 9 * BINS_PER_HOUR] += 8
    alerts = [a for a in Detector([SURGE]).observe(spoken(counts)) if a.event in ("fired", "resolved")]
    assert [a.event for a in alerts] == ["fired", "resolved"]
    lasted = alerts[1].at - MONDAY - timedelta(minutes=5 * first)
    assert timedelta(hours=12) < lasted < timedelta(hours=18)


def test_a_long_episode_becomes_the_new_normal() -> None:
    counts = counted(9, {})
    counts[6 * DAY :] += 8
    detector = Detector([SURGE], DetectorConfig(episode_unlearned_h=24))
    ended = [a.at for a in detector.observe(spoken(counts)) if a.event == "resolved"]
    assert timedelta(days=7) < ended[0] - MONDAY < timedelta(days=7.5)  # with 72 hours it runs to the end, 8.9


def test_what_comes_every_few_days_is_no_news() -> None:
    assert fired({6.5: 160, 9.5: 130, 12.5: 100, 15.5: 70}, 17) == [6.5]


def test_a_giant_does_not_hide_what_comes_after_it() -> None:
    assert fired({3.5: 900, 16.5: 80}, 18) == [3.5, 16.5]


def test_the_sentence_says_how_rare() -> None:
    alerts = told(spoken(counted(18, {3.5: 900, 16.5: 80})))
    assert "None of the 3 days before was as busy." in alerts[0].evidence.sentence_en
    assert "Only 1 of the 14 days before was as busy." in alerts[1].evidence.sentence_en
    assert (
        "此前3天从未如此" in alerts[0].evidence.sentence_zh and "此前14天只有1天如此" in alerts[1].evidence.sentence_zh
    )


def test_a_rule_that_comes_later_knows_the_past() -> None:
    """The memory is the key's, not the rule's: another rule on all texts has let it grow."""
    stream = spoken(counted(11, {4.5: 160, 6.5: 130, 9.5: 80}))
    cut = next(i for i, o in enumerate(stream) if o.published_at > MONDAY + timedelta(days=8))
    detector = Detector([Rule(id="quiet", kind="silence")])
    detector.observe(stream[:cut])
    detector.use([SURGE])
    assert not [a for a in detector.observe(stream[cut:]) if a.event == "fired"]


def test_the_benchmark_is_the_detector() -> None:
    """NAB's counts go into the book by the bin: the same alarms as of the texts one by one."""
    counts = counted(12, {4.5: 60, 6.2: 300, 10.4: 900})
    times = tuple((MONDAY + timedelta(seconds=BIN_S * i)).replace(tzinfo=None) for i in range(len(counts)))
    rows = nab.ours(Labelled("x.csv", times, counts.astype(float), ()))
    ends = [int((a.fired_at - MONDAY).total_seconds()) // BIN_S for a in told(spoken(counts))]
    assert [row + 1 for row in rows] == ends and len(rows) >= 2
