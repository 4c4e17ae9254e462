"""When the detector fires, and when it must not."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from pipeline.detect.detector import Detector
from pipeline.detect.rules import Rule, Scope
from pipeline.records import Alert, TopicScore
from tests.unit.detect.make import MONDAY, alerts_of, burst, in_time, opinion, quiet, told

CRISIS = MONDAY + timedelta(days=9, hours=10)
AFTER = CRISIS + timedelta(days=1)


def test_a_burst_of_negatives_fires_once_and_resolves() -> None:
    alerts = alerts_of(in_time(quiet(12), burst(30, CRISIS)))
    assert told(alerts)[0] == "fired"
    assert told(alerts).count("fired") == 1
    assert told(alerts)[-1] == "resolved"
    fired = alerts[0]
    assert CRISIS < fired.fired_at < CRISIS + timedelta(hours=1)
    assert fired.seq == 1 and fired.end is None
    resolved = next(a for a in alerts if a.event == "resolved" and a.key == fired.key)
    assert resolved.alert_id == fired.alert_id and resolved.seq > 1 and resolved.end == resolved.at
    assert resolved.at - CRISIS > timedelta(hours=2)


def test_the_evidence_says_what_was_seen() -> None:
    fired = alerts_of(in_time(quiet(10), burst(30, CRISIS)))[0]
    e = fired.evidence
    assert e.negatives >= 5 and e.negatives <= e.total
    assert e.ratio == pytest.approx(e.negatives / e.expected, rel=1e-3)
    assert e.share == pytest.approx(e.negatives / e.total, abs=1e-4)
    assert e.score_count >= 3 and e.score_share >= 3
    assert e.usual_low <= e.expected <= e.usual_high < e.negatives
    assert abs(e.rise_began_at - CRISIS) <= timedelta(minutes=30)
    assert e.sources >= 3 and e.spread >= e.negatives
    assert e.model_version == "m1"
    assert f"{e.negatives} negative of {e.total}" in e.sentence_en
    assert f"{e.negatives}篇负面（共{e.total}篇" in e.sentence_zh


def test_a_volume_burst_with_the_usual_share_does_not_fire() -> None:
    crowd = [
        opinion(f"x{i}", CRISIS + timedelta(minutes=i), "negative" if i % 7 == 0 else "neutral") for i in range(120)
    ]
    assert alerts_of(in_time(quiet(12), crowd)) == []


def test_copies_of_one_story_are_one_story() -> None:
    copies = [opinion(f"c{i}", CRISIS + timedelta(minutes=i % 60), "negative", story="s0") for i in range(300)]
    assert alerts_of(in_time(quiet(12), copies)) == []


def test_short_words_of_many_people_are_not_copies() -> None:
    shouts = [opinion(f"c{i}", CRISIS + timedelta(minutes=i), "negative", story="跌停", text="跌停") for i in range(40)]
    assert told(alerts_of(in_time(quiet(12), shouts)))[:1] == ["fired"]


def test_one_angry_voice_is_not_a_crowd() -> None:
    angry = [opinion(f"a{i}", CRISIS + timedelta(minutes=i), "negative", voice="one") for i in range(40)]
    assert alerts_of(in_time(quiet(12, share=0), angry)) == []


def test_unsure_is_never_negative() -> None:
    unsure = [opinion(f"u{i}", CRISIS + timedelta(minutes=i), "negative", unsure=True) for i in range(60)]
    assert alerts_of(in_time(quiet(12), unsure)) == []


def test_nothing_against_nothing() -> None:
    assert alerts_of([]) == []
    assert alerts_of(list(quiet(20, share=0.0))) == []
    assert Detector().advance(MONDAY) == []


def test_a_stream_never_fires_in_its_first_two_days() -> None:
    early = MONDAY + timedelta(hours=40)
    assert alerts_of(in_time(quiet(2), burst(60, early))) == []


def test_a_new_key_in_an_old_stream_needs_overwhelming_evidence() -> None:
    few = burst(7, CRISIS, entity="NEW.US")
    assert alerts_of(in_time(quiet(12), few)) == []
    many = burst(60, CRISIS, entity="NEW.US")
    assert told(alerts_of(in_time(quiet(12), many)), "entity:NEW.US")[:1] == ["fired"]


def test_an_episode_grows_worse_once_per_step() -> None:
    rise = burst(16, CRISIS, minutes=55) + burst(160, CRISIS + timedelta(hours=1), minutes=120, tag="c")
    events = told(alerts_of(in_time(quiet(11, per_hour=20), rise)))
    assert events[0] == "fired" and "worse" in events and events.count("fired") == 1


def test_the_same_severity_stays_silent_after_a_resolve() -> None:
    again = burst(25, CRISIS + timedelta(hours=16), tag="again")
    alerts = alerts_of(in_time(quiet(13), burst(25, CRISIS), again))
    assert told(alerts).count("fired") == 1
    later = burst(25, CRISIS + timedelta(days=2), tag="again")
    assert told(alerts_of(in_time(quiet(13), burst(25, CRISIS), later))).count("fired") == 2


def test_silence_of_the_stream_resolves_nothing() -> None:
    detector = Detector()
    opinions = in_time(quiet(9), burst(30, CRISIS - timedelta(hours=11), minutes=30))
    assert told(alerts_of(opinions, detector))[-1] != "resolved"
    assert detector.advance(AFTER + timedelta(days=5)) == []


def test_an_outage_is_not_learned_as_calm() -> None:
    def expected(days_out: int) -> float:
        detector = Detector()
        alerts_of(list(quiet(14)), detector)
        back = MONDAY + timedelta(days=14 + days_out)
        later = in_time(quiet(3, start=back, seed=2), burst(40, back + timedelta(days=2, hours=10)))
        return next(a for a in alerts_of(later, detector) if a.event == "fired").evidence.expected

    assert expected(14) == pytest.approx(expected(0), rel=0.35)


def test_late_texts_count_for_a_day_and_then_only_as_late() -> None:
    detector = Detector()
    alerts_of(list(quiet(12)), detector)
    assert detector.observe([opinion("old", CRISIS, "negative")]) == []
    assert detector.late_dropped == 1


def test_late_calm_takes_an_alert_back() -> None:
    detector = Detector()
    before = CRISIS + timedelta(minutes=61)
    normal = list(quiet(14))
    first = [o for o in in_time(normal, burst(14, CRISIS)) if o.published_at <= before]
    alerts = alerts_of(first, detector)
    assert told(alerts)[:1] == ["fired"]
    late = [opinion(f"l{i}", CRISIS + timedelta(minutes=i % 60, seconds=i)) for i in range(600)]
    alerts = detector.observe(late)
    alerts += alerts_of([o for o in normal if o.published_at > before], detector)
    assert "corrected" in told(alerts)


def test_late_negatives_fire_at_last() -> None:
    detector = Detector()
    normal = list(quiet(14))
    now = CRISIS + timedelta(hours=20)
    assert alerts_of([o for o in normal if o.published_at <= now], detector) == []
    alerts = detector.observe(burst(30, CRISIS, minutes=30))
    alerts += alerts_of([o for o in normal if o.published_at > now], detector)
    assert told(alerts)[:1] == ["fired"]
    assert alerts[0].fired_at < CRISIS + timedelta(hours=1, minutes=5) or alerts[0].evidence.window_s == 86400


def test_scope_and_sensitivity_are_the_rules_own() -> None:
    stream = in_time(quiet(12), burst(30, CRISIS))
    elsewhere = Rule(scope=Scope(entities=("OTHER.US",)))
    assert alerts_of(stream, Detector((elsewhere,))) == []
    mild = in_time(quiet(12), burst(6, CRISIS))
    found = {level: bool(alerts_of(mild, Detector((Rule(sensitivity=level),)))) for level in ("low", "normal", "high")}
    assert found["high"] >= found["normal"] >= found["low"] and found["high"] and not found["low"]


def test_an_entitys_alert_speaks_for_its_topics() -> None:

    def about(o):  # type: ignore[no-untyped-def]
        return replace(o, topics=(TopicScore(label="earnings", p=0.9),))

    alerts = alerts_of([about(o) for o in in_time(quiet(12), burst(30, CRISIS))])
    keys = {a.key for a in alerts if a.event == "fired"}
    assert "entity:ACME.US" in keys and "entity_topic:ACME.US|earnings" not in keys


def test_a_watch_is_judged_the_same_whatever_else_is_watched() -> None:
    stream = in_time(quiet(12), burst(30, CRISIS))
    grumbling = list(quiet(12, share=0.9, seed=8, entity="GRUMBLE.US"))

    def alerts(*others: str) -> list[Alert]:
        mine = [replace(o, watches=("mine",)) for o in stream]
        return [a for a in alerts_of(in_time(mine, [replace(o, watches=others) for o in grumbling])) if "mine" in a.key]

    assert told(alerts(), "watch:mine")[:1] == ["fired"]
    assert alerts() == alerts("grumbling")


def test_where_the_count_is_proof_the_share_need_only_agree() -> None:
    def day(bad: int, texts: int) -> list[str]:
        mixed = [
            opinion(
                f"m{i}",
                CRISIS + timedelta(minutes=i),
                "negative" if i * bad // texts < (i + 1) * bad // texts else "neutral",
            )
            for i in range(texts)
        ]
        # an entity with one text a day, three of ten of them negative, in a stream that is busy with others
        rare = [o for o in quiet(12, per_hour=1, share=0.3, seed=4) if o.published_at.hour == 12]
        return told(alerts_of(in_time(rare, quiet(12, entity="OTHER.US"), mixed)))

    assert day(14, 22)[:1] == ["fired"]
    assert day(7, 22) == []
