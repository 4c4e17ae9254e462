"""The dispatcher on a fake clock: back-off, order, giving up, crashes, races. The channel's answers are data."""

import asyncio
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.control.base import ControlStore
from pipeline.control.sql import SqlControlStore
from pipeline.database import Database
from pipeline.deliver.base import Message, Outcome
from pipeline.deliver.dispatcher import COMBINED, GIVE_UP, LEASE_S, Dispatcher, after
from pipeline.deliver.log import LogChannel, WebChannel
from pipeline.errors import Retry
from pipeline.stages.record import Record
from tests.migrated import control_database
from tests.unit.deliver.alerts import make_alert, make_delivery, make_subscription

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ACCEPTED = Outcome("accepted", "ok")
TRANSIENT = Outcome("transient", "Answered 500.")
PERMANENT = Outcome("permanent", "Answered 404.")


class Time:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Scripted:
    """Answers from a list (accepted when it is used up) and keeps what it was sent."""

    def __init__(self, outcomes: Sequence[Outcome | Exception] = ()) -> None:
        self._outcomes: Iterator[Outcome | Exception] = iter(outcomes)
        self.sent: list[Message] = []
        self.accepted: list[str] = []

    async def send(self, message: Message) -> Outcome:
        self.sent.append(message)
        outcome = next(self._outcomes, ACCEPTED)
        if isinstance(outcome, Exception):
            raise outcome
        if outcome.kind == "accepted":
            self.accepted.append(message.delivery.id)
        return outcome


class Crash(BaseException):
    """As good as kill -9: nobody catches it."""


class CrashesBeforeFinish:
    """The store, but the process dies when it would store the n-th outcome."""

    def __init__(self, control: ControlStore, n: int) -> None:
        self._control = control
        self._left = n

    def __getattr__(self, name: str) -> Any:
        return getattr(self._control, name)

    def finish_deliveries(self, endings: Any) -> int:
        self._left -= 1
        if self._left == 0:
            raise Crash
        return self._control.finish_deliveries(endings)


class Desk:
    """A store with one subscription, a clock, a channel and a dispatcher."""

    def __init__(self, outcomes: Sequence[Outcome | Exception] = (), db: Database | None = None) -> None:
        self.time = Time()
        self.control = SqlControlStore(db or control_database(), self.time)
        self.channel = Scripted(outcomes)
        self.control.put_subscription(make_subscription())
        self.dispatcher = self.another(self.control)

    def another(self, control: Any) -> Dispatcher:
        return Dispatcher(
            control, {"log": self.channel}, self.time, random.Random(1), lambda a: f"http://p/{a.alert_id}"
        )

    def record(self, **alert: Any) -> None:
        Record(self.control, self.time)([make_alert(**alert)])

    def rows(self) -> list[tuple[int, str]]:
        return sorted((d.seq, d.state) for d in self.control.deliveries())

    def run(self, hours: float = 30, step_s: float = 60) -> None:
        """Rounds until nothing is open, at most `hours`."""
        for _ in range(int(hours * 3600 / step_s)):
            self.dispatcher.run_once()
            if all(state in ("accepted", "dead", "suppressed", "expired") for _, state in self.rows()):
                return
            self.time.pass_(step_s)


def test_accepted_once_and_never_sent_again():
    desk = Desk()
    desk.record()
    assert desk.dispatcher.run_once() == 1 and desk.dispatcher.run_once() == 0
    [message] = desk.channel.sent
    assert (message.event, message.text, message.link) == ("fired", "Apple: 3 negatives", "http://p/a1")
    assert desk.rows() == [(0, "accepted")]


def test_a_transient_failure_is_tried_again_under_the_same_id():
    desk = Desk([TRANSIENT, RuntimeError("bug"), TRANSIENT])
    desk.record()
    desk.run()
    assert desk.rows() == [(0, "accepted")]
    assert len(desk.channel.sent) == 4 and len({m.delivery.id for m in desk.channel.sent}) == 1


def test_backoff_is_full_jitter_and_capped():
    alert, subscription = make_alert(severity="S1"), make_subscription()
    for attempts, most in ((1, 2), (2, 4), (5, 32), (9, 512), (10, 900), (500, 900)):
        row = make_delivery(alert, subscription, NOW)._replace(attempts=attempts)
        waits = [
            (after(row, alert, TRANSIENT, NOW, random.Random(n)).next_at - NOW).total_seconds() for n in range(300)
        ]
        assert min(waits) < most * 0.1 and most * 0.9 < max(waits) <= most


def test_retry_after_is_honoured():
    desk = Desk([Outcome("retry_after", "Answered 429.", 600)])
    desk.record()
    desk.dispatcher.run_once()
    desk.time.pass_(599)
    assert desk.dispatcher.run_once() == 0
    desk.time.pass_(4)
    assert desk.dispatcher.run_once() == 1 and desk.rows() == [(0, "accepted")]


@pytest.mark.parametrize("severity", ["S1", "S2", "S3"])
def test_given_up_in_time_and_visibly(severity):
    desk = Desk([TRANSIENT] * 10_000)
    desk.record(severity=severity)
    desk.run(step_s=GIVE_UP[severity].total_seconds() / 20)
    [row] = desk.control.deliveries(state="dead")
    gone = desk.time.now - NOW
    assert GIVE_UP[severity] <= gone <= GIVE_UP[severity] * 1.2
    assert row.reason.startswith("Given up after") and "Answered 500." in row.reason


def test_a_permanent_failure_is_dead_at_once():
    desk = Desk([PERMANENT])
    desk.record()
    desk.dispatcher.run_once()
    assert [(d.state, d.reason) for d in desk.control.deliveries()] == [("dead", "Answered 404.")]


def test_an_unknown_channel_is_said():
    desk = Desk()
    desk.control.put_subscription(make_subscription(channel="webhook"))
    desk.record()
    desk.dispatcher.run_once()
    assert desk.control.deliveries()[0].reason == "There is no channel 'webhook' here (known: log)."


def test_a_later_event_waits_for_the_earlier_one():
    desk = Desk([TRANSIENT])
    desk.record()
    desk.record(seq=1, event="worse")
    desk.dispatcher.run_once()
    assert desk.rows() == [(0, "retry"), (1, "pending")]
    desk.run(step_s=1)
    assert [m.delivery.seq for m in desk.channel.sent] == [0, 0, 1]
    assert desk.rows() == [(0, "accepted"), (1, "accepted")]


def test_over_before_it_was_told_gives_one_message():
    desk = Desk()
    desk.record()
    desk.record(seq=1, event="worse")
    desk.record(seq=2, event="resolved")
    desk.run()
    [message] = desk.channel.sent
    assert message.event == "fired_and_resolved" and message.alert.seq == 2 and message.delivery.seq == 0
    assert message.text == "Fired and already over: Apple: 3 negatives"
    assert desk.rows() == [(0, "accepted"), (1, "suppressed"), (2, "suppressed")]
    assert [d.reason for d in desk.control.deliveries(state="accepted")] == [COMBINED]


def test_a_correction_after_such_a_message_is_still_told():
    desk = Desk()
    desk.record()
    desk.record(seq=1, event="resolved")
    desk.run()
    desk.record(seq=2, event="corrected")
    desk.run()
    assert [m.event for m in desk.channel.sent] == ["fired_and_resolved", "corrected"]


def test_a_row_that_was_tried_keeps_its_text():
    """Its first try may have arrived; the receiver would drop "and it is over" under the same id."""
    desk = Desk([TRANSIENT])
    desk.record()
    desk.dispatcher.run_once()
    desk.record(seq=1, event="resolved")
    desk.run(step_s=5)
    assert [m.event for m in desk.channel.sent] == ["fired", "fired", "resolved"]


def test_snoozed_and_switched_off_are_facts_not_silence():
    desk = Desk()
    desk.record()
    desk.control.snooze("a1", NOW + timedelta(hours=1), "ann", NOW)
    desk.dispatcher.run_once()
    assert desk.rows() == [(0, "suppressed")]
    desk.record(alert_id="a2")
    desk.control.put_subscription(make_subscription(active=False))
    desk.dispatcher.run_once()
    assert {d.state for d in desk.control.deliveries("a2")} <= {"suppressed", "expired"}
    assert desk.channel.sent == []


def test_one_failing_row_does_not_cut_off_the_others_sends():
    desk = Desk()

    class Slow(Scripted):
        async def send(self, message: Message) -> Outcome:
            await asyncio.sleep(0.02 if message.alert.alert_id == "a1" else 0)
            return await super().send(message)

    desk.channel = Slow()
    desk.record(alert_id="a0")
    desk.record(alert_id="a1")
    with pytest.raises(Crash):
        desk.another(CrashesBeforeFinish(desk.control, 1)).run_once()
    assert [d.state for d in desk.control.deliveries("a1")] == ["accepted"]


@pytest.mark.parametrize("crash_at", [1, 2, 3])
def test_killed_between_send_and_store_it_is_sent_again_under_the_same_id(crash_at):
    desk = Desk()
    for n in range(3):
        desk.record(alert_id=f"a{n}")
    with pytest.raises(Crash):
        desk.another(CrashesBeforeFinish(desk.control, crash_at)).run_once()
    desk.time.pass_(LEASE_S - 1)
    assert desk.dispatcher.run_once() == 0  # the lease still holds
    desk.time.pass_(2)
    desk.run()
    assert desk.rows() == [(0, "accepted")] * 3
    ids = [m.delivery.id for m in desk.channel.sent]
    assert len(ids) == 4 and len(set(ids)) == 3


def test_a_leased_row_of_a_dead_dispatcher_comes_back():
    desk = Desk()
    desk.record()
    assert desk.control.lease_deliveries(desk.time(), 10, LEASE_S)
    assert desk.dispatcher.run_once() == 0
    desk.time.pass_(LEASE_S + 1)
    assert desk.dispatcher.run_once() == 1 and desk.rows() == [(0, "accepted")]


def test_a_dispatcher_that_slept_past_its_lease_sends_nothing():
    desk = Desk()
    desk.record()

    class Sleepy:
        def __getattr__(self, name: str) -> Any:
            return getattr(desk.control, name)

        def lease_deliveries(self, *args: Any) -> Any:
            leased = desk.control.lease_deliveries(*args)
            desk.time.pass_(LEASE_S)
            assert desk.dispatcher.run_once() == 1  # another one takes over
            return leased

    desk.another(Sleepy()).run_once()
    assert len(desk.channel.sent) == 1 and desk.rows() == [(0, "accepted")]


def test_two_dispatchers_racing_send_each_row_once(tmp_path):
    path = tmp_path / "w.sqlite3"
    desk = Desk(db=control_database(path))
    for n in range(40):
        desk.record(alert_id=f"a{n:02}")
    others = [desk.another(SqlControlStore(Database(path), desk.time)) for _ in range(2)]
    barrier = threading.Barrier(2)

    def work(dispatcher: Dispatcher) -> None:
        barrier.wait()
        while dispatcher.run_once(limit=3):
            pass

    threads = [threading.Thread(target=work, args=(d,)) for d in others]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(desk.channel.accepted) == sorted({d.id for d in desk.control.deliveries()})
    assert desk.rows() == [(0, "accepted")] * 40


def test_run_waits_out_an_outage_and_a_bug_and_stops():
    desk = Desk()
    desk.record()
    stop = threading.Event()

    class Outage:
        left = 2
        errors: ClassVar = [RuntimeError("bug"), Retry("locked", after=0.001)]

        def __getattr__(self, name: str) -> Any:
            return getattr(desk.control, name)

        def lease_deliveries(self, *args: Any) -> Any:
            self.left -= 1
            if self.left >= 0:
                raise self.errors[self.left]
            leased = desk.control.lease_deliveries(*args)
            if not leased:
                stop.set()
            return leased

    desk.another(Outage()).run(stop, idle_s=0.001, after_bug_s=0.001)
    assert desk.rows() == [(0, "accepted")]


EVENTS = st.lists(st.sampled_from(["worse", "resolved", "corrected"]), max_size=3)
OUTCOMES = st.lists(st.sampled_from([ACCEPTED, TRANSIENT, Outcome("retry_after", "429", 30.0), PERMANENT]), max_size=12)


@settings(max_examples=20, deadline=None)
@given(EVENTS, OUTCOMES, st.lists(st.integers(1, 4), max_size=3), st.integers(0, 3))
def test_no_schedule_of_failures_loses_a_message_or_its_order(events, outcomes, crashes, told_first):
    desk = Desk(outcomes)
    desk.record(severity="S1")
    for seq, event in enumerate(events, 1):
        if seq == told_first:
            desk.dispatcher.run_once()
        desk.record(seq=seq, event=event, severity="S1")
    for n in crashes:
        with suppress(Crash):
            desk.another(CrashesBeforeFinish(desk.control, n)).run_once()
        desk.time.pass_(LEASE_S + 1)
    desk.run(step_s=200)
    states = dict(desk.rows())
    assert set(states.values()) <= {"accepted", "dead", "suppressed"} and len(states) == len(events) + 1
    accepted = {m.delivery.seq for m in desk.channel.sent if m.delivery.id in desk.channel.accepted}
    assert {seq for seq, state in states.items() if state == "accepted"} <= accepted
    told_both = any(m.both for m in desk.channel.sent)
    assert told_both or "suppressed" not in states.values()
    order = [m.delivery.seq for m in desk.channel.sent]
    assert order == sorted(order)


def test_log_and_web():
    class Lines:
        def __init__(self) -> None:
            self.lines: list[tuple[str, dict[str, Any]]] = []

        def warning(self, event: str, **fields: Any) -> None:
            self.lines.append((event, fields))

    lines = Lines()
    desk = Desk()
    desk.control.put_subscription(make_subscription(id="w", channel="web"))
    desk.control.put_subscription(make_subscription(language="zh"))
    desk.record()
    channels = {"log": LogChannel(lines), "web": WebChannel()}
    Dispatcher(desk.control, channels, desk.time, random.Random(1), lambda a: "http://p/a1").run_once()
    assert desk.rows() == [(0, "accepted")] * 2
    [(text, fields)] = lines.lines
    assert text == "苹果：3 条负面"
    assert fields == {
        "event_kind": "fired", "key": "entity:AAPL.US", "severity": "S2", "ratio": 6.0, "alert_id": "a1",
        "link": "http://p/a1",
    }  # fmt: skip
