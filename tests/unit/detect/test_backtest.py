"""The backtest's result: events found, traps, and what counts as false."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from pipeline.backtest import Event, backtest, read_events
from pipeline.errors import WindvaneError
from pipeline.records import Opinion
from tests.unit.detect.make import MONDAY, burst, in_time, quiet

CRISIS = MONDAY + timedelta(days=9, hours=10)
DAY = CRISIS.date()


def event(kind: str = "spike", day: date = DAY, match: str = "acme") -> Event:
    return Event(stream="s", match=match, date=day, what="it broke", kind=kind)  # type: ignore[arg-type]


def watched(opinions: list[Opinion], match: str = "acme") -> list[Opinion]:
    return [replace(o, watches=(match,)) for o in opinions]


def test_a_spike_is_found_and_explains_the_entity_too() -> None:
    opinions = watched(in_time(quiet(14), burst(30, CRISIS)))
    result = backtest(opinions, [event()])
    assert result["texts"] == len(opinions)
    assert set(result) == {"texts", "episodes", "events", "false_episodes_per_key_week"}
    (found,) = result["events"]
    assert set(found) == {"match", "date", "what", "kind", "fired", "fired_at", "delay_s"}
    assert found["fired"] is True and found["date"] == DAY.isoformat() and 0 < found["delay_s"] < 86400
    assert {e["key"] for e in result["episodes"]} == {"watch:acme", "entity:ACME.US"}
    assert set(result["episodes"][0]) == {"key", "rule", "start", "fired_at", "end", "evidence"}
    assert result["episodes"][0]["end"] is not None
    assert result["false_episodes_per_key_week"] == 0.0


def test_an_episode_outside_the_events_days_is_false() -> None:
    opinions = watched(in_time(quiet(14), burst(30, CRISIS)))
    result = backtest(opinions, [event(day=DAY - timedelta(days=3))])
    assert result["events"][0] == {
        "match": "acme", "date": (DAY - timedelta(days=3)).isoformat(), "what": "it broke", "kind": "spike",
        "fired": False, "fired_at": None, "delay_s": None,
    }  # fmt: skip
    weeks = 2 * (opinions[-1].published_at - opinions[0].published_at) / timedelta(weeks=1)
    assert result["false_episodes_per_key_week"] == pytest.approx(2 / weeks)


def test_another_companys_crisis_is_not_explained() -> None:
    opinions = in_time(
        watched(in_time(quiet(14), burst(30, CRISIS))),
        quiet(14, entity="OTHER.US", seed=5),
        burst(30, CRISIS, entity="OTHER.US", tag="o"),
    )
    assert backtest(opinions, [event()])["false_episodes_per_key_week"] > 0


def test_a_trap_that_fired_says_so() -> None:
    opinions = watched(in_time(quiet(14), burst(30, CRISIS)))
    result = backtest(opinions, [event("volume_trap"), event("spam_trap", match="nothing")])
    assert [e["fired"] for e in result["events"]] == [True, False]
    assert result["false_episodes_per_key_week"] > 0


def test_an_empty_stream() -> None:
    result = backtest([], [event()])
    assert (result["texts"], result["episodes"], result["false_episodes_per_key_week"]) == (0, [], 0.0)
    assert result["events"][0]["fired"] is False


def test_events_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_text(
        '[{"stream": "a", "side": "dev", "match": "x", "date": "2020-01-02", "what": "w", "kind": "spike"},'
        ' {"stream": "b", "match": "y", "date": "2020-01-02", "what": "w", "kind": "spam_trap"}]'
    )
    assert [e.match for e in read_events(path)] == ["x", "y"]
    assert [e.match for e in read_events(path, "b")] == ["y"]


@pytest.mark.parametrize(
    "text", ["{", '{"a": 1}', '[{"stream": "a"}]', '[{"stream": "a", "match": "m", "date": "soon"}]']
)
def test_a_file_that_holds_no_events(tmp_path: Path, text: str) -> None:
    path = tmp_path / "events.json"
    path.write_text(text)
    with pytest.raises(WindvaneError, match="expected a list"):
        read_events(path)
    with pytest.raises(WindvaneError, match="cannot be read"):
        read_events(tmp_path / "none.json")
