"""Batches, restarts, duplicates and any order within the lateness give identical alerts."""

import itertools
from datetime import timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.detect.detector import Detector
from pipeline.errors import WindvaneError
from pipeline.records import Alert, Opinion
from tests.unit.detect.make import MONDAY, alerts_of, burst, in_time, quiet

CRISIS = MONDAY + timedelta(days=5, hours=10)


@cache
def story() -> tuple[Opinion, ...]:
    """Two entities, one crisis that grows, a quiet end."""
    return tuple(
        in_time(
            quiet(7, per_hour=1),
            quiet(7, per_hour=1, entity="CALM.US", seed=3),
            burst(12, CRISIS, minutes=50),
            burst(60, CRISIS + timedelta(hours=2), minutes=90, tag="c"),
        )
    )


@cache
def expected() -> tuple[Alert, ...]:
    alerts = tuple(alerts_of(story()))
    assert {a.event for a in alerts} >= {"fired", "resolved"}
    return alerts


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 600), min_size=1, max_size=40), st.integers(1, 300))
def test_any_order_within_the_lateness(delays: list[int], batch: int) -> None:
    arrivals = sorted(
        enumerate(story()), key=lambda item: item[1].published_at + timedelta(seconds=delays[item[0] % len(delays)])
    )
    assert tuple(alerts_of([o for _, o in arrivals], batch=batch)) == expected()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 50)), min_size=1, max_size=60), st.integers(1, 300))
def test_duplicates_add_nothing(again: list[tuple[int, int]], batch: int) -> None:
    opinions = list(story())
    for place, back in sorted(again, reverse=True):
        at = place % len(opinions)
        opinions.insert(at + 1, opinions[max(0, at - back)])
    assert tuple(alerts_of(opinions, batch=batch)) == expected()


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
def test_restart_anywhere(stops: list[int]) -> None:
    opinions = story()
    cuts = sorted({s % len(opinions) for s in stops} | {0, len(opinions)})
    detector, alerts = Detector(), []
    for i, j in itertools.pairwise(cuts):
        restored = Detector()
        restored.restore(detector.snapshot())
        detector = restored
        alerts += detector.observe(opinions[i:j])
    alerts += detector.advance(opinions[-1].published_at + timedelta(minutes=10))
    assert tuple(alerts) == expected()


def test_a_restored_detector_has_the_same_snapshot() -> None:
    detector = Detector()
    detector.observe(story())
    again = Detector()
    again.restore(detector.snapshot())
    assert again.snapshot() == detector.snapshot()


@pytest.mark.parametrize("damaged", [b"", b"\xff\xff", b"\x93\x01\x02\x03", b"\x81\xa7version\x63"])
def test_a_damaged_snapshot_is_refused_in_words(damaged: bytes) -> None:
    detector = Detector()
    with pytest.raises(WindvaneError, match="snapshot"):
        detector.restore(damaged)


def test_state_per_key_is_small() -> None:
    detector = Detector()
    detector.observe(list(quiet(4, per_hour=1)))
    one = len(detector.snapshot())
    detector.observe(
        in_time(*(quiet(1, start=MONDAY + timedelta(days=4), per_hour=1, entity=f"E{i}") for i in range(20)))
    )
    detector.observe(list(quiet(4, start=MONDAY + timedelta(days=5), per_hour=1, seed=9)))  # their bins are over
    assert (len(detector.snapshot()) - one) / 20 < 4096
