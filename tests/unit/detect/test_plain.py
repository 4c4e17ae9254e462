"""Where the count is proof, the share need only agree (decision 5)."""

from datetime import timedelta

import pytest

from pipeline.detect.config import DetectorConfig
from pipeline.detect.detector import Detector
from pipeline.records import Opinion
from tests.unit.detect.make import MONDAY, in_time, opinion, quiet

CRISIS = MONDAY + timedelta(days=40, hours=10)


def crisis(every: int, total: int) -> list[Opinion]:
    """A key of a text in three days, a third of them negative as in the whole stream, of which `total` texts come at
    once: one of `every` is negative."""
    before = [
        opinion(f"b{i}", MONDAY + timedelta(days=3 * i, hours=9), "negative" if i % 3 == 1 else "neutral", entity="T")
        for i in range(12)
    ]
    now = [
        opinion(f"n{i}", CRISIS + timedelta(minutes=i), "negative" if i % every == 0 else "neutral", entity="T")
        for i in range(total)
    ]
    return in_time(quiet(42, share=0.33), before, now)


def fires(opinions: list[Opinion], config: DetectorConfig) -> bool:
    detector = Detector(config=config)
    alerts = [*detector.observe(opinions), *detector.advance(CRISIS + timedelta(hours=3))]
    return any(a.key == "entity:T" and a.event == "fired" for a in alerts)


@pytest.mark.parametrize(("every", "total", "expected"), [(2, 15, True), (3, 24, False), (2, 7, False)])
def test_most_texts_negative_at_ten_times_the_usual(every: int, total: int, expected: bool) -> None:
    assert fires(crisis(every, total), DetectorConfig()) is expected


def test_it_is_that_rule_which_lets_it_through() -> None:
    assert not fires(crisis(2, 15), DetectorConfig(flood_count_score=9.0))
