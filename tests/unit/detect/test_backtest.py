"""The backtest's result: events found, traps, and what counts as false."""

import io
from datetime import date, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from pipeline.backtest import Event, backtest, read_events
from pipeline.cli.show import comparison
from pipeline.errors import WindvaneError
from pipeline.records import Opinion
from pipeline.reference_rules import ON_NEGATIVES
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
    assert set(result) == {"texts", "episodes", "events", "false_episodes_per_key_week", "detectors"}
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


def test_each_detector_is_judged_alike_on_the_same_opinions() -> None:
    steady = (quiet(14), quiet(14, entity="OTHER.US", seed=5))
    result = backtest(watched(in_time(*steady, burst(30, CRISIS))), [event(), event("volume_trap", match="nothing")])
    assert list(result["detectors"]) == ["windvane", "elastalert_spike_x3_10", "ewma_z4"]
    for name, figures in result["detectors"].items():
        assert (figures["found"], figures["to_find"]) == (1, 1), name
        assert (figures["traps_fired"], figures["traps"]) == (0, 1), name
        assert figures["false_episodes_per_key_week"] == 0.0, name
        assert [e["fired"] for e in figures["events"]] == [True, False], name
        assert figures["median_delay_s"] == figures["events"][0]["delay_s"] > 0, name
    own = result["detectors"]["windvane"]
    assert own["events"] == result["events"]
    assert own["false_episodes_per_key_week"] == result["false_episodes_per_key_week"]


def test_the_plain_rules_fire_on_volume_and_windvane_does_not() -> None:
    """Negatives rise with everything else: an earnings day."""
    busy = in_time(burst(60, CRISIS, "neutral", minutes=50, tag="n"), burst(14, CRISIS, minutes=50))
    trap = event("volume_trap")
    result = backtest(watched(in_time(quiet(14, per_hour=6, share=0.2), busy)), [trap])["detectors"]
    assert result["windvane"]["traps_fired"] == 0 and result["windvane"]["false_episodes_per_key_week"] == 0
    for name in ("elastalert_spike_x3_10", "ewma_z4"):
        assert result[name]["traps_fired"] == 1, name
        assert result[name]["median_delay_s"] is None and result[name]["to_find"] == 0
        assert result[name]["false_episodes_per_key_week"] == pytest.approx(2 / 4, rel=0.05)  # entity, watch; 4 weeks


def test_no_plain_rule_fires_in_a_keys_first_two_days_and_none_counts_a_text_twice() -> None:
    early = watched(in_time(quiet(6), burst(30, MONDAY + timedelta(days=1, hours=20), minutes=30)))
    first = backtest(early, [event(day=early[0].published_at.date())])["detectors"]
    assert not any(first[name]["found"] for name in ON_NEGATIVES)
    few = watched(in_time(quiet(14, share=0), burst(4, CRISIS)))
    twice = [o for o in few for _ in range(3)]
    for figures in backtest(twice, [event()])["detectors"].values():
        assert figures["found"] == 0
    unsure = [replace(o, unsure=True) for o in burst(30, CRISIS)]
    for figures in backtest(watched(in_time(quiet(14, share=0), unsure)), [event()])["detectors"].values():
        assert figures["found"] == 0


def test_the_time_of_a_plain_rule_is_the_end_of_its_five_minutes() -> None:
    crisis = burst(30, CRISIS, minutes=30)  # one a minute: the tenth in the second five minutes
    (found,) = backtest(watched(in_time(quiet(14, share=0), crisis)), [event()])["detectors"][
        "elastalert_spike_x3_10"
    ]["events"]  # fmt: skip
    assert found["fired_at"] == "2026-03-11T10:10:00Z"


def test_one_table_shows_all_three() -> None:
    result = backtest(watched(in_time(quiet(14), burst(30, CRISIS))), [event(), event("spam_trap")])
    console = Console(width=220, file=io.StringIO(), record=True)
    console.print(comparison(result))
    lines = console.export_text().splitlines()
    assert any(all(name in line for name in result["detectors"]) for line in lines)
    told = next(line for line in lines if "spam_trap" in line)
    assert told.count("✗") == 3
    assert any("events found" in line and line.count("1 of 1") == 3 for line in lines)
    assert any("traps fired" in line and line.count("1 of 1") == 3 for line in lines)
    assert any("false episodes per key-week" in line and line.count("0.0000") == 3 for line in lines)


def test_an_empty_stream() -> None:
    result = backtest([], [event()])
    assert (result["texts"], result["episodes"], result["false_episodes_per_key_week"]) == (0, [], 0.0)
    assert result["events"][0]["fired"] is False
    assert all(not d["found"] and d["to_find"] == 1 for d in result["detectors"].values())


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
