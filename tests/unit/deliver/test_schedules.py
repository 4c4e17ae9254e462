"""No schedule of failures, crashes, wishes and human acts loses a delivery: at the end each row is accepted by the
channel, or visibly dead, or suppressed with a stored reason."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.control.base import Snooze
from pipeline.control.sql import SqlControlStore
from pipeline.deliver.base import Message, Outcome
from pipeline.deliver.card import Card
from pipeline.deliver.dispatcher import LEASE_S, Dispatcher, Ways
from pipeline.deliver.limits import Gate, Rate
from pipeline.deliver.sender import Sent
from pipeline.stages.record import Record
from tests.migrated import control_database
from tests.unit.deliver.alerts import make_alert, make_subscription
from tests.unit.deliver.test_dispatcher import ACCEPTED, PERMANENT, TRANSIENT, Crash, CrashesBeforeFinish, Time

SEVERITIES = ("S1", "S2", "S3")
WISHES: tuple[dict[str, Any], ...] = (
    {},
    {"quiet": "22:00-07:30", "zone": "Asia/Shanghai"},
    {"digest": "hourly"},
    {"digest": "daily", "digest_at": "09:00"},
    {"daily_cap": 1},
    {"cooldown_min": 120},
    {"active": False},
    {"s1_at_once": False, "quiet": "01:00-23:00"},
)
BUDGET = {"email": (Rate(1 / 30, 1),)}


class Post:
    """The channel: answers from a list, then accepts; keeps what it accepted: id to the alerts under it."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self._outcomes = iter(outcomes)
        self.accepted: Counter[str] = Counter()
        self.told: dict[str, set[str]] = {}
        self.order: list[tuple[str, str, int]] = []  # alert, subscription, seq of each first acceptance

    def _answer(self, id_: str, alerts: set[str]) -> Outcome:
        outcome = next(self._outcomes, ACCEPTED)
        if outcome.kind == "accepted":
            self.accepted[id_] += 1
            self.told.setdefault(id_, set()).update(alerts)
        return outcome

    async def send(self, message: Message) -> Outcome:
        d = message.delivery
        outcome = self._answer(d.id, {d.alert_id})
        if outcome.kind == "accepted" and self.accepted[d.id] == 1 and d.kind == "event":
            self.order.append((d.alert_id, d.subscription_id, d.seq))
        return outcome

    async def send_card(self, card: Card, target: str, delivery_id: str) -> Sent:
        return Sent(self._answer(delivery_id, {line.url for line in card.lines}))


class World:
    """Two people, one behind the other, three keys, a clock; every step is data."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.time = Time()
        self.control = SqlControlStore(control_database(), self.time)
        self.post = Post(outcomes)
        self.crashes = 0
        self.seqs: dict[str, int] = {}
        self.first = make_subscription(channel="email", escalate_to="s2", escalate_min=20)
        self.control.put_subscription(self.first)
        self.control.put_subscription(make_subscription(id="s2", channel="email", severities=("S1",)))
        self.gate = Gate(BUDGET)
        self.dispatcher = self.another(self.control)

    def another(self, control: Any) -> Dispatcher:
        ways = Ways(self.gate)
        return Dispatcher(control, {"email": self.post}, self.time, random.Random(1), lambda a: a.alert_id, ways)

    def event(self, alert: int, event: str, severity: int) -> None:
        id_ = f"alert-{alert}"
        seq = self.seqs[id_] = self.seqs.get(id_, -1) + 1
        kind = "fired" if seq == 0 else event
        found = make_alert(alert_id=id_, seq=seq, event=kind, severity=SEVERITIES[severity], key=f"entity:{alert % 2}")
        Record(self.control, self.time)([found])

    def wish(self, n: int) -> None:
        self.control.put_subscription(self.first._replace(**WISHES[n]))

    def act(self, alert: int, what: int) -> None:
        now, id_ = self.time(), f"alert-{alert}"
        until = now + timedelta(hours=2)
        acts: list[Callable[[], object]] = [
            lambda: self.control.acknowledge(id_, "li", now),
            lambda: self.control.resolve(id_, "li", now, "known"),
            lambda: self.control.snooze(id_, until, "li", now),
            lambda: self.control.put_snooze(Snooze("key", f"entity:{alert % 2}", until, "li", now)),
            lambda: self.control.lift_snooze("key", f"entity:{alert % 2}", "li", now),
            lambda: self.control.redeliver(None, "li", now),
        ]
        acts[what]()

    def round(self) -> None:
        self.dispatcher.run_once()

    def crash(self, nth: int) -> None:
        self.crashes += 1
        with suppress(Crash):
            self.another(CrashesBeforeFinish(self.control, nth)).run_once()

    def sleep(self, seconds: int) -> None:
        self.time.pass_(seconds)

    def to_the_end(self) -> None:
        self.control.put_subscription(self.first)
        for _ in range(400):
            self.round()
            if all(d.state not in ("pending", "leased", "retry") for d in self.control.deliveries()):
                return
            self.time.pass_(LEASE_S + 600)
        raise AssertionError("something waits for ever")


KINDS = st.sampled_from(["worse", "resolved", "corrected"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("event"), st.integers(0, 3), KINDS, st.integers(0, 2)),
        st.tuples(st.just("wish"), st.integers(0, len(WISHES) - 1)),
        st.tuples(st.just("act"), st.integers(0, 3), st.integers(0, 5)),
        st.tuples(st.just("round")),
        st.tuples(st.just("crash"), st.integers(1, 4)),
        st.tuples(st.just("sleep"), st.sampled_from([1, 31, 130, 1300, 4000, 30_000])),
    ),
    max_size=30,
)  # fmt: skip
OUTCOMES = st.lists(
    st.sampled_from([ACCEPTED, ACCEPTED, TRANSIENT, Outcome("retry_after", "429", 90.0), PERMANENT]), max_size=20
)


@settings(max_examples=25, deadline=None)
@given(STEPS, OUTCOMES)
def test_no_schedule_loses_a_delivery(steps, outcomes):
    world = World(outcomes)
    for step, *args in steps:
        getattr(world, step)(*args)
    world.to_the_end()
    rows = world.control.deliveries()
    events = {(e.alert_id, e.seq) for e in world.control.alert_events()}
    assert {(d.alert_id, d.seq) for d in rows if d.subscription_id == "s1" and d.kind == "event"} == events
    for d in rows:
        if d.state == "accepted":
            told = [id_ for id_ in (d.id, d.bundle) if d.alert_id in world.post.told.get(id_, ())]
            assert told, d
        elif d.state in ("suppressed", "expired"):
            assert d.why and d.reason, d
        else:
            assert d.state == "dead" and d.reason, d
        assert d.ended_at is not None, d
    if not world.crashes:
        assert set(world.post.accepted.values()) <= {1}
    told = {}
    for alert, subscription, seq in world.post.order:
        again = any(d.retried_at for d in rows if d.alert_id == alert)  # a person's wish goes before the order
        assert again or told.get((alert, subscription), -1) < seq
        told[alert, subscription] = seq
