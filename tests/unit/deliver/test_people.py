"""The dispatcher and what people want: quiet hours, digests, caps, cool-down, endpoint budgets, resolving, escalation,
sending again. On a fake clock; every outcome is a stored fact."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.control.base import Delivery, Snooze
from pipeline.control.sql import SqlControlStore
from pipeline.deliver.base import HeldBack, Message, Outcome
from pipeline.deliver.card import Card
from pipeline.deliver.dispatcher import LEASE_S, Dispatcher, Ways
from pipeline.deliver.limits import Gate, Rate
from pipeline.deliver.sender import Sent
from pipeline.stages.record import Record
from tests.migrated import control_database
from tests.unit.deliver.alerts import make_alert, make_subscription
from tests.unit.deliver.test_dispatcher import ACCEPTED, TRANSIENT, Scripted, Time

NIGHT = datetime(2026, 1, 1, 15, 0, tzinfo=UTC)  # 23:00 in Shanghai
MORNING = datetime(2026, 1, 1, 23, 30, tzinfo=UTC)  # 07:30
SLEEPER = make_subscription(channel="email", zone="Asia/Shanghai", quiet="22:00-07:30")


class Cards(Scripted):
    """A channel that takes digests too."""

    def __init__(self, outcomes: Sequence[Outcome | Exception] = ()) -> None:
        super().__init__(outcomes)
        self.cards: list[tuple[str, Card]] = []

    async def send(self, message: Message) -> Outcome:
        await asyncio.sleep(0)  # the others' sends begin meanwhile
        return await super().send(message)

    async def send_card(self, card: Card, target: str, delivery_id: str) -> Sent:
        self.cards.append((delivery_id, card))
        outcome = next(self._outcomes, ACCEPTED)
        if isinstance(outcome, Exception):
            raise outcome
        return Sent(outcome)


class Office:
    """A store with subscriptions on the channel "email", a clock and a dispatcher."""

    def __init__(self, *subscriptions: Any, outcomes: Sequence[Outcome | Exception] = (), ways: Ways = Ways()) -> None:
        self.time = Time()
        self.time.now = NIGHT
        self.control = SqlControlStore(control_database(), self.time)
        self.channel = Cards(outcomes)
        for s in subscriptions:
            self.control.put_subscription(s)
        self.dispatcher = Dispatcher(
            self.control, {"email": self.channel}, self.time, random.Random(1), lambda a: f"http://p/{a.alert_id}", ways
        )

    def record(self, **alert: Any) -> None:
        Record(self.control, self.time)([make_alert(**alert)])

    def at(self, now: datetime) -> None:
        """Rounds at that time, until nothing is due."""
        self.time.now = now
        while self.dispatcher.run_once():
            pass

    def row(self, alert_id: str = "a1", seq: int = 0, subscription: str = "s1", kind: str = "event") -> Delivery:
        [found] = [d for d in self.control.deliveries(alert_id)
                   if (d.seq, d.subscription_id, d.kind) == (seq, subscription, kind)]  # fmt: skip
        return found


def test_quiet_hours_hold_messages_and_end_in_one():
    office = Office(SLEEPER)
    for n in range(3):
        office.record(alert_id=f"a{n}", severity=f"S{3 - n}" if n < 2 else "S2")
    office.at(NIGHT)
    row = office.row("a0")
    assert (row.state, row.why, row.until, row.next_at) == ("pending", "quiet_hours", MORNING, MORNING)
    assert row.reason == "Quiet hours: due at their end, 2026-01-01T23:30:00+00:00."
    office.at(MORNING - timedelta(seconds=1))
    assert office.channel.sent == office.channel.cards == []
    office.at(MORNING)
    [(bundle, card)] = office.channel.cards
    assert [line.by[:2] for line in card.lines] == ["S2", "S2", "S3"]  # most severe first
    assert {(d.state, d.bundle, d.attempts) for d in office.control.deliveries()} == {("accepted", bundle, 1)}


def test_the_end_of_quiet_hours_says_how_many_were_held_back_and_where_to_see_them():
    office = Office(SLEEPER, ways=Ways(page="http://p"))
    for n in range(3):
        office.record(alert_id=f"a{n}", severity="S2")
    office.record(alert_id="a2", seq=1, event="worse", severity="S2")  # of one alert twice: counted once
    office.record(alert_id="now", severity="S1")
    office.at(NIGHT)
    [passed] = office.channel.sent
    assert passed.held == HeldBack((("quiet_hours", 3),), "http://p/deliveries?subscription=s1")
    office.at(MORNING)
    [(_, card)] = office.channel.cards
    assert card.sentence == "3 alerts came together. Held back: 3 in quiet hours."
    assert card.links[-1].url == "http://p/deliveries?subscription=s1"
    office.record(alert_id="day", severity="S2")
    office.at(MORNING + timedelta(minutes=1))
    assert office.channel.sent[-1].held.counts == ()  # nothing is held any more


def test_only_the_first_try_tells_what_is_held_back_for_it_changes_until_the_next():
    office = Office(SLEEPER, outcomes=[TRANSIENT] * 2)
    office.record(alert_id="now", severity="S1")
    office.record(alert_id="a0", severity="S2")
    office.at(NIGHT)
    office.record(alert_id="a1", severity="S2")
    for minutes in (1, 2):
        office.at(NIGHT + timedelta(minutes=minutes))
    assert [m.delivery.attempts for m in office.channel.sent] == [1, 2, 3]
    assert [m.held.counts for m in office.channel.sent] == [(("quiet_hours", 1),), (), ()]


def test_one_alert_held_alone_says_that_it_was_and_a_chosen_digest_holds_nothing_back():
    office = Office(SLEEPER)
    office.record(alert_id="a1", severity="S2")
    office.at(MORNING)
    assert office.channel.sent[0].held == HeldBack((("quiet_hours", 1),))
    office = Office(SLEEPER._replace(quiet="", digest="hourly"))
    for n in range(2):
        office.record(alert_id=f"a{n}", severity="S2")
    office.record(alert_id="now", severity="S1")
    office.at(NIGHT)
    assert office.channel.sent[0].held.counts == ()
    office.at(NIGHT + timedelta(hours=1))
    assert office.channel.cards[0][1].sentence == "2 alerts came together."


def test_s1_passes_and_one_alone_is_an_ordinary_message():
    office = Office(SLEEPER)
    office.record(alert_id="a1", severity="S1")
    office.record(alert_id="a2", severity="S2")
    office.at(NIGHT)
    assert [m.alert.alert_id for m in office.channel.sent] == ["a1"]
    office.at(MORNING)
    assert [m.delivery.id for m in office.channel.sent[1:]] == [office.row("a2").id] and office.channel.cards == []


def test_what_gets_worse_at_night_is_not_held_up_by_what_is_held():
    office = Office(SLEEPER)
    office.record(severity="S2")
    office.at(NIGHT)
    office.record(seq=1, event="worse", severity="S1")
    office.at(NIGHT + timedelta(hours=1))
    assert [m.event for m in office.channel.sent] == ["worse"]
    office.at(MORNING)
    assert (office.row().state, office.row().why) == ("suppressed", "told")
    assert len(office.channel.sent) == 1


def test_an_end_at_night_is_told_with_its_start():
    office = Office(SLEEPER)
    office.record(severity="S2")
    office.record(seq=1, event="resolved", severity="S2")
    office.at(NIGHT)
    office.at(MORNING)
    [message] = office.channel.sent
    assert message.event == "fired_and_resolved" and message.text.startswith("Fired and already over")
    assert {d.state for d in office.control.deliveries()} == {"accepted"}


def test_a_failed_digest_is_tried_again_as_it_was_and_waits_its_full_time():
    office = Office(SLEEPER, outcomes=[TRANSIENT, RuntimeError("bug"), TRANSIENT])
    office.record(alert_id="a1", severity="S3")
    office.record(alert_id="a2", severity="S3")
    office.at(MORNING)
    for minutes in range(1, 20):
        office.at(MORNING + timedelta(minutes=minutes))
        if minutes == 1:
            office.record(alert_id="a3", severity="S3")  # another message by now
            office.control.snooze("a1", MORNING + timedelta(days=1), "li", NIGHT)  # too late: it may have arrived
    assert len(office.channel.cards) >= 3 and len({b for b, _ in office.channel.cards}) == 1
    assert {len(card.lines) for _, card in office.channel.cards} == {2}
    assert {d.state for d in office.control.deliveries()} == {"accepted"}  # S3 is given an hour from the morning on


def test_a_digest_whose_outcome_is_not_stored_is_sent_again_under_its_id():
    office = Office(SLEEPER)
    for n in range(3):
        office.record(alert_id=f"a{n}", severity="S2")
    office.time.now = MORNING
    office.control.snooze("a0", MORNING + timedelta(hours=9), "li", NIGHT)
    leased = office.control.lease_digest(MORNING, LEASE_S)  # and the process dies
    assert len(leased) == 3
    office.at(MORNING + timedelta(seconds=LEASE_S))
    [(bundle, card)] = office.channel.cards
    assert bundle == leased[0][0].bundle and len(card.lines) == 3


def test_a_snooze_before_the_digest_takes_a_row_out_with_its_reason():
    office = Office(SLEEPER)
    for n in range(3):
        office.record(alert_id=f"a{n}", severity="S2")
    office.control.put_snooze(Snooze("rule", "negative_spike", MORNING - timedelta(1), "li", NIGHT))  # over by then
    office.control.snooze("a0", MORNING + timedelta(hours=9), "li", NIGHT)
    office.at(MORNING)
    assert len(office.channel.cards[0][1].lines) == 2
    row = office.row("a0")
    assert (row.state, row.why, row.by, row.until) == ("suppressed", "snoozed", "li", MORNING + timedelta(hours=9))


def test_hourly_and_daily_digests():
    for digest, due in (("hourly", NIGHT + timedelta(hours=1)), ("daily", datetime(2026, 1, 2, 0, 0, tzinfo=UTC))):
        office = Office(SLEEPER._replace(quiet="", digest=digest))
        office.record(alert_id="a1", severity="S2")
        office.record(alert_id="a2", severity="S1")
        office.at(NIGHT)
        assert [m.alert.alert_id for m in office.channel.sent] == ["a2"]
        assert (office.row("a1").why, office.row("a1").next_at) == ("digest", due)


def test_over_the_daily_cap_goes_into_a_digest_and_the_next_day_begins_anew():
    office = Office(SLEEPER._replace(quiet="", daily_cap=3))
    for n in range(8):
        office.record(alert_id=f"a{n}", severity="S3" if n else "S1")
    office.at(NIGHT)  # 23:00
    assert len(office.channel.sent) == 3  # S1 counts too, and goes first
    assert office.channel.sent[0].alert.alert_id == "a0"
    assert {d.why for d in office.control.deliveries(state="pending")} == {"daily_cap"}
    office.at(NIGHT + timedelta(hours=1))
    [(_, card)] = office.channel.cards
    assert len(card.lines) == 5 and "Held back: 5 over the day's cap." in card.sentence
    office.record(alert_id="b1")
    office.at(NIGHT + timedelta(hours=1, minutes=1))
    assert len(office.channel.sent) == 4


def test_the_cool_down_keeps_other_alerts_of_the_key_silent_unless_they_are_worse():
    office = Office(SLEEPER._replace(quiet="", cooldown_min=60))
    office.record(alert_id="a1", severity="S2")
    office.at(NIGHT)
    office.record(alert_id="a2", severity="S2")
    office.record(alert_id="a4", severity="S2", key="entity:X")
    office.at(NIGHT + timedelta(minutes=30))
    office.record(alert_id="a3", severity="S1")
    office.at(NIGHT + timedelta(minutes=30))
    row = office.row("a2")
    assert (row.state, row.why, row.until) == ("suppressed", "cooldown", NIGHT + timedelta(minutes=60))
    assert {m.alert.alert_id for m in office.channel.sent} == {"a1", "a3", "a4"}
    office.record(alert_id="a2", seq=1, event="resolved")
    office.at(NIGHT + timedelta(minutes=31))
    assert (office.row("a2", 1).why, office.row("a2", 1).state) == ("cooldown", "suppressed")
    office.record(alert_id="a5", severity="S2")
    office.at(NIGHT + timedelta(minutes=95))
    assert office.row("a5").state == "accepted"


def test_what_a_person_resolved_is_told_to_nobody_any_more_and_its_end_to_those_who_heard():
    office = Office(SLEEPER._replace(quiet=""), make_subscription(id="s2", channel="email", digest="hourly"))
    office.record()
    office.at(NIGHT)
    office.control.resolve("a1", "li", NIGHT, "known since May")
    office.record(seq=1, event="resolved")
    office.at(NIGHT + timedelta(hours=1))
    assert [(m.event, m.subscription.id) for m in office.channel.sent] == [("fired", "s1"), ("resolved", "s1")]
    held = office.row(subscription="s2")
    assert (held.state, held.why, held.by) == ("suppressed", "resolved", "li")
    assert held.reason == "Resolved by li: known since May"
    assert office.row(seq=1, subscription="s2").state == "suppressed"


SLOW = {"email": (Rate(1 / 60, 1),)}


def test_over_an_endpoints_budget_the_mild_are_gathered_and_the_severe_go_first():
    office = Office(SLEEPER._replace(quiet="", daily_cap=0), ways=Ways(Gate(SLOW)))
    for n, severity in enumerate(["S3", "S3", "S3", "S2", "S1"]):
        office.record(alert_id=f"a{n}", severity=severity)
    office.at(NIGHT)
    assert [m.alert.severity for m in office.channel.sent] == ["S1"]
    assert {d.why for d in office.control.deliveries(state="pending")} == {"rate_limit"}
    for minutes in range(1, 6):
        office.at(NIGHT + timedelta(minutes=minutes))
    assert [m.alert.severity for m in office.channel.sent] == ["S1", "S2"]
    [(_, card)] = office.channel.cards
    assert len(card.lines) == 3 and {d.state for d in office.control.deliveries()} == {"accepted"}


def test_an_endpoint_that_stays_broken_ends_in_dead_rows_not_in_waiting():
    office = Office(SLEEPER._replace(quiet="", daily_cap=0), outcomes=[TRANSIENT] * 1000, ways=Ways(Gate({})))
    for n in range(9):
        office.record(alert_id=f"a{n}", severity="S3")
    for minutes in range(0, 80, 2):
        office.at(NIGHT + timedelta(minutes=minutes))
    assert {d.state for d in office.control.deliveries()} == {"dead"}
    assert all(d.reason.startswith("Given up after") for d in office.control.deliveries())


DUTY = make_subscription(id="duty", channel="email", rules=("none of them",))
FIRST = make_subscription(channel="email", escalate_to="duty", escalate_min=15)
QUARTER = timedelta(minutes=15)


def test_nobody_acknowledges_so_it_escalates_once():
    office = Office(FIRST, DUTY)
    office.record()
    office.at(NIGHT)
    assert [m.subscription.id for m in office.channel.sent] == ["s1"]
    office.at(NIGHT + QUARTER - timedelta(seconds=1))
    assert len(office.channel.sent) == 1
    for minutes in (15, 16, 40):
        office.at(NIGHT + timedelta(minutes=minutes))
    assert [(m.subscription.id, m.event) for m in office.channel.sent] == [("s1", "fired"), ("duty", "escalated")]
    assert office.channel.sent[1].text == "Nobody has acknowledged this yet: Apple: 3 negatives"
    assert office.row().escalation == "Nobody acknowledged within 15 min: sent to duty too."
    assert office.row(subscription="duty", kind="escalation").state == "accepted"
    assert [r["action"] for r in office.control.audit(1)] == ["escalate"]


def test_it_does_not_escalate_what_somebody_took_or_nobody_wants():
    took = [
        (lambda o: o.control.acknowledge("a1", "li", NIGHT), "Not escalated: Acknowledged by li."),
        (lambda o: o.control.resolve("a1", "li", NIGHT, "old"), "Not escalated: Resolved by li: old"),
        (lambda o: o.record(seq=1, event="resolved"), "Not escalated: It is over."),
        (lambda o: o.control.put_snooze(Snooze("key", "entity:AAPL.US", MORNING, "li", NIGHT)),
         "Not escalated: Key entity:AAPL.US snoozed by li until 2026-01-01T23:30:00+00:00."),
        (lambda o: o.control.remove_subscription("duty"),
         "Not escalated: the subscription no longer escalates to anybody."),
        (lambda o: o.control.put_subscription(DUTY._replace(active=False)),
         "Not escalated: there is no active subscription 'duty' to send it to."),
    ]  # fmt: skip
    for act, says in took:
        office = Office(FIRST, DUTY)
        office.record()
        office.at(NIGHT)
        act(office)
        office.at(NIGHT + QUARTER)
        assert office.row().escalation == says
        assert "duty" not in {m.subscription.id for m in office.channel.sent}


def test_a_message_that_never_arrived_escalates_and_a_circle_ends():
    circle = make_subscription(id="duty", channel="email", escalate_to="s1", escalate_min=15, rules=("x",))
    office = Office(FIRST, circle, outcomes=[Outcome("permanent", "Answered 404.")])
    office.record()
    for minutes in range(0, 120, 5):
        office.at(NIGHT + timedelta(minutes=minutes))
    assert office.row().state == "dead"
    assert [m.subscription.id for m in office.channel.sent] == ["s1", "duty", "s1"]
    assert len(office.control.deliveries()) == 3


def test_an_escalation_that_is_acknowledged_before_it_is_sent_is_suppressed():
    office = Office(FIRST, DUTY._replace(quiet="22:00-07:30", zone="Asia/Shanghai"))
    office.record()
    office.at(NIGHT)
    office.at(NIGHT + QUARTER)
    assert office.row(subscription="duty", kind="escalation").why == "quiet_hours"
    office.control.acknowledge("a1", "li", NIGHT)
    office.at(MORNING)
    row = office.row(subscription="duty", kind="escalation")
    assert (row.state, row.why, row.by) == ("suppressed", "acknowledged", "li")


def test_sent_again_by_hand_it_passes_quiet_hours_and_has_its_full_time():
    office = Office(SLEEPER._replace(quiet=""), outcomes=[Outcome("permanent", "404"), TRANSIENT])
    office.record(severity="S3")
    office.at(NIGHT)
    office.control.put_subscription(SLEEPER)
    later = NIGHT + timedelta(hours=3)
    [again] = office.control.redeliver(None, "li", later)
    office.at(later)
    assert office.row().state == "retry" and again == office.row().id
    office.control.put_subscription(SLEEPER._replace(quiet=""))
    office.at(later + timedelta(minutes=1))
    assert office.row().state == "accepted" and len({m.delivery.id for m in office.channel.sent}) == 1


def test_a_digest_that_failed_and_then_had_to_wait_for_the_endpoint_keeps_its_id():
    office = Office(SLEEPER, outcomes=[TRANSIENT], ways=Ways(Gate(SLOW)))
    for n in range(2):
        office.record(alert_id=f"a{n}", severity="S2")
    office.at(MORNING)  # the minute's only message: it fails
    office.at(MORNING + timedelta(seconds=10))  # over the budget
    assert {d.why for d in office.control.deliveries()} == {"rate_limit"}
    office.record(alert_id="a3", severity="S3")
    office.at(MORNING + timedelta(seconds=11))  # goes into a digest too, for want of room
    office.at(MORNING + timedelta(minutes=2))  # both are due, and do not become one
    first, again = office.channel.cards
    assert first[0] == again[0] and len(again[1].lines) == 2


def test_a_digest_of_one_alert_is_an_ordinary_message_under_the_digests_id():
    office = Office(SLEEPER, outcomes=[TRANSIENT])
    office.record(severity="S2")
    office.record(seq=1, event="worse", severity="S2")
    office.at(MORNING)
    office.at(MORNING + timedelta(seconds=10))
    assert {m.delivery.id for m in office.channel.sent} == {d.bundle for d in office.control.deliveries()}
    assert [m.event for m in office.channel.sent] == ["worse", "worse"] and office.channel.cards == []
