"""The kinds of rule beside negative_spike: what fires, what does not, and that nothing but the final bins decides."""

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.detect.config import DetectorConfig
from pipeline.detect.detector import Detector
from pipeline.detect.kinds import KINDS
from pipeline.detect.rules import Rule, Scope
from pipeline.records import Alert, Opinion
from tests.unit.detect.make import MONDAY, alerts_of, burst, in_time, opinion, quiet

CRISIS = MONDAY + timedelta(days=5, hours=10)
HOUR = timedelta(hours=1)


def run(opinions: Sequence[Opinion], *rules: Rule, sectors: dict[str, str] | None = None) -> list[Alert]:
    return alerts_of(opinions, Detector(rules, sectors=sectors or {}))


def even(
    days: int, per_hour: int, source: str, entity: str, gap: tuple[datetime, datetime] | None = None
) -> list[Opinion]:
    """Neutral texts of a source about an entity, none within the gap."""
    rng, out = Random(source), []
    for i in range(days * 24 * per_hour):
        at = MONDAY + timedelta(hours=i / per_hour, seconds=rng.randrange(300))
        if gap is None or not gap[0] <= at < gap[1]:
            out.append(opinion(f"{source}-{i}", at, entity=entity, source=source, voice=f"{source} {i % 9}"))
    return out


def test_number_alone_fires_where_the_share_stays() -> None:
    stream = in_time(quiet(7, per_hour=4), burst(24, CRISIS), burst(100, CRISIS, "neutral", tag="n"))
    (fired,) = [a for a in run(stream, Rule(id="v", kind="negative_volume")) if a.event == "fired"][:1]
    assert fired.evidence.tests == ("count",) and fired.evidence.score_share == 0 and fired.evidence.score_count >= 4
    assert "number alone" in fired.evidence.sentence_en and "仅按篇数" in fired.evidence.sentence_zh
    assert not [a for a in run(stream, Rule(id="s", kind="negative_share"))]


def test_share_alone_fires_where_the_number_stays_small() -> None:
    usual = quiet(6, per_hour=12, share=0.15)
    crisis = [
        opinion(f"c{i}", CRISIS + timedelta(days=1, minutes=2.2 * i), "negative" if i % 5 else "neutral")
        for i in range(30)
    ]
    stream = in_time(usual, crisis)
    alerts = run(stream, Rule(id="s", kind="negative_share", windows_h=(1,)))
    assert alerts and alerts[0].evidence.tests == ("share",) and alerts[0].evidence.score_count == 0
    assert alerts[0].evidence.total >= 20 and "share alone" in alerts[0].evidence.sentence_en


def test_a_surge_of_texts_that_nobody_minds() -> None:
    stream = in_time(quiet(7, per_hour=2), burst(120, CRISIS, "positive"))
    assert not run(stream, Rule())
    alerts = run(stream, Rule(id="surge", kind="volume_surge"))
    assert alerts[0].event == "fired" and alerts[0].key == "entity:ACME.US"
    evidence = alerts[0].evidence
    assert evidence.counted == "texts" and evidence.total > evidence.usual_high and evidence.negatives <= 2
    assert evidence.ratio == pytest.approx(evidence.total / evidence.expected, rel=1e-3)
    assert "texts in the last hour" in evidence.sentence_en and "负面" in evidence.sentence_zh


def test_a_silent_source_while_the_rest_speaks() -> None:
    rule = Rule(id="quiet", kind="silence", scope=Scope(kinds=("source",)))
    gap = (CRISIS, CRISIS + 8 * HOUR)
    stream = in_time(even(7, 12, "Wire", "A.US", gap), even(7, 12, "Forum", "B.US"), even(7, 8, "Board", "C.US"))
    alerts = run(stream, rule)
    assert [(a.event, a.key) for a in alerts] == [("fired", "source:Wire"), ("resolved", "source:Wire")]
    fired = alerts[0]
    assert gap[0] + HOUR <= fired.fired_at <= gap[0] + 7 * HOUR and fired.evidence.total == 0
    assert fired.evidence.sentence_en.startswith("Wire: no text in the last")
    assert fired.start <= gap[0] + timedelta(minutes=10) and alerts[1].at > gap[1]


def test_an_outage_of_everything_is_no_silence_of_anyone() -> None:
    gap = (CRISIS, CRISIS + 8 * HOUR)
    stream = in_time(even(7, 12, "Wire", "A.US", gap), even(7, 12, "Forum", "B.US", gap))
    assert not run(stream, Rule(id="q", kind="silence", scope=Scope(kinds=("source", "entity"))))


def test_one_text_of_an_important_source() -> None:
    rule = Rule(id="m", kind="message", scope=Scope(sources=("Regulator",)))
    loud = [opinion(f"r{i}", CRISIS + i * HOUR, "negative", source="Regulator") for i in range(3)]
    others = [opinion("o", CRISIS, "negative", source="forum"), opinion("p", CRISIS, source="Regulator")]
    alerts = run(in_time(quiet(7, per_hour=2), loud, others), rule)
    assert [a.event for a in alerts] == ["fired", "resolved"]  # one episode, however many texts
    assert alerts[0].severity == "S2" and alerts[0].evidence.tests == ()
    assert alerts[0].fired_at - CRISIS <= timedelta(minutes=5)
    assert "at least 90% confidence" in alerts[0].evidence.sentence_en
    assert not run(in_time(loud), replace(rule, confidence=0.95))


def test_a_message_that_comes_late_is_told_at_once() -> None:
    rule = Rule(id="m", kind="message", scope=Scope(tiers=(1,)))
    late = replace(opinion("r", CRISIS - 5 * HOUR, "negative"), attributes={"tier": "1"})
    stream = [*(o for o in quiet(6) if o.published_at < CRISIS), late, *quiet(1, start=CRISIS, seed=4)]
    alerts = run(stream, rule)
    assert alerts[0].event == "fired" and alerts[0].at <= CRISIS + HOUR


def test_the_users_own_number() -> None:
    rule = Rule(id="own", kind="static", count=6, windows_h=(3,), severity={"S3": "S1"})
    after = quiet(1, share=0, start=MONDAY + 24 * HOUR, seed=2)
    stream = in_time(quiet(1, share=0), burst(5, MONDAY + 4 * HOUR), after)
    assert not run(stream, rule)
    alerts = run(in_time(stream, burst(1, MONDAY + 5 * HOUR, tag="x")), rule)  # no warm-up, no baseline
    assert [a.event for a in alerts] == ["fired", "resolved"] and alerts[0].severity == "S1"
    assert "your limit is 6" in alerts[0].evidence.sentence_en and "上限是6篇" in alerts[0].evidence.sentence_zh
    share = Rule(id="share", kind="static", share=0.5, floor=5, windows_h=(1,))
    assert run(stream, share)[0].evidence.share >= 0.5


def test_only_texts_of_the_scope_count() -> None:
    stream = in_time(quiet(7), burst(30, CRISIS))
    assert not run(stream, Rule(id="zh", scope=Scope(languages=("zh",))))
    assert run(stream, Rule(id="en", scope=Scope(languages=("en",))))


def test_thin_entities_are_judged_with_their_sector() -> None:
    entities = [f"B{i}.US" for i in range(12)]
    sectors = dict.fromkeys(entities, "banks")
    usual = [quiet(8, per_hour=1, share=0.04, entity=e, seed=i) for i, e in enumerate(entities)]
    crisis = [o for i, e in enumerate(entities) for o in burst(3, CRISIS + timedelta(days=2), entity=e, tag=f"x{i}")]
    rules = (Rule(), Rule(id="sectors", scope=Scope(kinds=("sector",))))
    detector = Detector(rules, sectors=sectors)
    alerts = alerts_of(in_time(*usual, crisis), detector)
    assert {a.key for a in alerts if a.rule == "sectors"} == {"sector:banks"}
    assert not [a for a in alerts if a.key.startswith("entity:")]
    assert detector.judged_with("B0.US") == "sector:banks"


def test_a_new_model_version_fires_nothing_until_it_is_known() -> None:
    day = CRISIS + timedelta(days=1)
    stream = in_time(quiet(6), (replace(o, model_version="m2") for o in quiet(9, start=day - 24 * HOUR, seed=8)))
    crisis = [replace(o, model_version="m2") for o in burst(30, day)]
    detector = Detector()
    assert not [a for a in alerts_of(in_time((o for o in stream if o.published_at < day), crisis), detector)]
    assert detector.held_until is not None
    later = [replace(o, model_version="m2") for o in burst(40, day + timedelta(days=5), tag="l")]
    assert run(in_time(stream, crisis, later), Rule())[0].event == "fired"


# --- every kind at once: nothing but the final bins decides

RULES = (
    Rule(),
    Rule(id="number", kind="negative_volume"),
    Rule(id="part", kind="negative_share"),
    Rule(id="surge", kind="volume_surge"),
    Rule(id="quiet", kind="silence", scope=Scope(kinds=("source",))),
    Rule(id="message", kind="message", scope=Scope(sources=("Regulator",))),
    Rule(id="own", kind="static", count=8, windows_h=(3,)),
)


@cache
def story() -> tuple[Opinion, ...]:
    gap = (CRISIS, CRISIS + 8 * HOUR)
    return tuple(
        in_time(
            even(7, 8, "Wire", "A.US", gap), even(7, 12, "Forum", "B.US"),
            quiet(7, per_hour=1), burst(40, CRISIS, minutes=50),
            [opinion("r", CRISIS + 2 * HOUR, "negative", source="Regulator")],
        )
    )  # fmt: skip


@cache
def expected() -> tuple[Alert, ...]:
    alerts = tuple(run(story(), *RULES))
    assert {r.kind for r in RULES} == set(KINDS)
    for rule in RULES:  # each has something to lose: it fires, and what ends is told
        assert {a.event for a in alerts if a.rule == rule.id} >= {"fired", "resolved"}, rule.id
    return alerts


@settings(max_examples=3, deadline=None)  # one is the whole stream through all seven kinds
@given(
    st.lists(st.integers(0, 600), min_size=1, max_size=40),
    st.sets(st.integers(0, 10**6), max_size=60),
    st.lists(st.integers(0, 10**6), max_size=4),
    st.integers(1, 300),
)
def test_any_order_duplicates_and_restarts(delays: list[int], again: set[int], stops: list[int], batch: int) -> None:
    """At once, for every kind: arrival up to ten minutes late, texts that come twice, stops, batches of any size."""
    n = len(story())
    twice = {i % n for i in again}
    arrived = [
        o
        for i, o in sorted(
            enumerate(story()), key=lambda item: item[1].published_at + timedelta(seconds=delays[item[0] % len(delays)])
        )
        for _ in range(1 + (i in twice))
    ]
    cuts = sorted({0, len(arrived), *(s % len(arrived) for s in stops)})
    detector, alerts = Detector(RULES), []
    for i, j in itertools.pairwise(cuts):
        restored = Detector(RULES)
        restored.restore(detector.snapshot())
        detector = restored
        for at in range(i, j, batch):
            alerts += detector.observe(arrived[at : min(at + batch, j)])
    assert tuple(alerts + detector.advance(story()[-1].published_at + timedelta(minutes=10))) == expected()


# --- rules that change while it runs


def test_a_changed_rules_episode_goes_on_under_its_version() -> None:
    opinions = in_time(quiet(7), burst(30, CRISIS))
    cut = next(i for i, o in enumerate(opinions) if o.published_at > CRISIS + timedelta(minutes=90))
    detector = Detector()
    first = detector.observe(opinions[:cut])
    assert [a.event for a in first if a.key == "entity:ACME.US"][:1] == ["fired"]
    assert detector.use([Rule(version=2, sensitivity="low")]) == []
    after = detector.observe(opinions[cut:])
    assert [(a.event, a.rule_version) for a in after if a.alert_id == first[0].alert_id] == [("resolved", 1)]


def test_a_removed_rules_episode_ends_also_after_a_restart() -> None:
    opinions = [o for o in in_time(quiet(7), burst(30, CRISIS)) if o.published_at < CRISIS + 2 * HOUR]
    other = Rule(id="other", kind="volume_surge")
    detector = Detector()
    fired = detector.observe(opinions)
    again = Detector([other])
    again.restore(detector.snapshot())
    for running in (detector, again):
        ended = running.use([other])
        assert {a.alert_id for a in ended} == {a.alert_id for a in fired} and {a.event for a in ended} == {"resolved"}
        assert running.rules == (other,) and running.use([other]) == []


def test_constants_are_named() -> None:
    assert DetectorConfig().hold_h > DetectorConfig().warmup_h
