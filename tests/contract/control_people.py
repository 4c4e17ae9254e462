"""What every control store does for people and for the dispatcher: snoozes, resolving, whole subscriptions, leases with
a token, digests, sending again, escalation. control_contract.ControlStoreContract inherits it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipeline.control.base import ControlStore, Delivery, Ending, Held, Snooze, Subscription
from tests.contract.samples import NOON, after, alert

MAIL = Subscription(
    "mail", "email", "sealed:x", keys=("topic:a",), severities=("S1",), language="zh", owner="li", name="Li's",
    entities=("AAPL.US",), topics=("earnings",), languages=("zh",), sources=("财新",), tiers=(1, 2), rules=("r",),
    zone="Asia/Shanghai", quiet="22:00-07:00", digest="daily", digest_at="07:30", s1_at_once=False, daily_cap=3,
    cooldown_min=60, escalate_to="duty", escalate_min=15,
)  # fmt: skip
PLAIN = Subscription("mail", "email")


def row(id_: str, **more: Any) -> Delivery:
    """A row of event 1 of the alert that its id begins with."""
    alert_id, _, _ = id_.partition("/")
    return Delivery(id_, alert_id, 1, "mail", "email", "pending", 0, NOON)._replace(**more)


def held(store: ControlStore, *ids: str, **more: Any) -> None:
    """Record one alert and row each, for PLAIN."""
    store.put_subscription(PLAIN)
    for id_ in ids:
        store.record_alert(alert(id_.partition("/")[0]), [row(id_, **more)])


class PeopleContract:
    """`fresh` gives the store a clock that stands at NOON."""

    @contextmanager
    def fresh(self) -> Iterator[Callable[[], ControlStore]]:
        raise NotImplementedError

    # -- people --------------------------------------------------------------------------------------------------

    def test_of_two_who_swap_a_checkpoint_one_is_told_that_it_came_late(self, store: ControlStore) -> None:
        assert store.swap_checkpoint("c", None, b"1")
        assert not store.swap_checkpoint("c", None, b"2") and not store.swap_checkpoint("c", b"0", b"2")
        assert store.checkpoint("c") == b"1"
        assert store.swap_checkpoint("c", b"1", b"2") and store.swap_checkpoint("c", b"2", b"2")
        assert not store.swap_checkpoint("none", b"1", b"2") and store.checkpoint("none") is None

    def test_what_is_held_back_is_counted_by_reason(self, store: ControlStore) -> None:
        for id_, why in (("a/1", "quiet_hours"), ("b/1", "quiet_hours"), ("b/2", "quiet_hours"), ("c/1", "daily_cap")):
            held(store, id_, why=why, digest=True, next_at=after(ord(id_[0])))
        store.record_alert(alert("b", 2, "worse"), [row("b/3", seq=2, why="quiet_hours", next_at=after(1))])
        held(store, "d/1")  # waits for nothing
        held(store, "e/1", why="quiet_hours", state="suppressed")
        held(store, "g/1", why="quiet_hours", state="retry", attempts=1)  # let go, and its send failed
        store.record_alert(alert("f"), [row("f/1", subscription_id="other", why="digest", next_at=after(5))])
        own = [Held("mail", "daily_cap", 1, after(ord("c"))), Held("mail", "quiet_hours", 2, after(1))]
        assert store.held_back("mail") == own
        assert store.held_back("mail", but="b") == [own[0], Held("mail", "quiet_hours", 1, after(ord("a")))]
        assert store.held_back() == [*own, Held("other", "digest", 1, after(5))]
        assert store.held_back("nobody") == []

    def test_the_newest_deliveries_come_first(self, store: ControlStore) -> None:
        for i, id_ in enumerate(("a/1", "b/1", "c/1")):
            held(store, id_, created_at=after(i), state="dead" if id_ == "b/1" else "pending")
        store.record_alert(alert("d"), [row("d/1", subscription_id="other", created_at=after(9))])
        assert [d.id for d in store.recent_deliveries(2)] == ["d/1", "c/1"]
        assert [d.id for d in store.recent_deliveries(9, "mail")] == ["c/1", "b/1", "a/1"]
        assert [d.id for d in store.recent_deliveries(9, "mail", "dead")] == ["b/1"]

    def test_assigning_and_taking_it_back(self, store: ControlStore) -> None:
        store.record_alert(alert("one"), [])
        assert store.assign("one", "wang", "li", after(1))
        found = store.episode("one")
        assert found is not None and (found.assigned_to, found.assigned_at) == ("wang", after(1))
        assert store.assign("one", "wang", "li", after(2))  # changes nothing
        assert store.assign("one", "", "li", after(3))
        found = store.episode("one")
        assert found is not None and (found.assigned_to, found.assigned_at) == (None, None)
        assert not store.assign("none", "wang", "li", after(1))
        assert [(r["action"], r["detail"]) for r in store.audit()] == [("assign", "to nobody"), ("assign", "to wang")]

    def test_what_a_person_resolved_stays_so_until_it_rises_again(self, store: ControlStore) -> None:
        store.record_alert(alert("one"), [])
        assert store.resolve("one", "li", after(1), "known since May")
        assert store.resolve("one", "wang", after(2), "second")  # the first stands
        store.record_alert(alert("one", 2, "corrected"), [])
        found = store.episode("one")
        assert found is not None and found.status == "resolved"
        assert (found.resolved_by, found.resolved_at, found.resolve_reason) == ("li", after(1), "known since May")
        assert [e.alert.alert_id for e in store.episodes(status="resolved")] == ["one"]
        store.record_alert(alert("one", 3, "worse"), [])
        found = store.episode("one")
        assert found is not None and (found.status, found.resolved_by) == ("firing", None)
        assert not store.resolve("none", "li", after(1), "")
        assert [(r["action"], r["by"], r["detail"]) for r in store.audit()] == [("resolve", "li", "known since May")]

    def test_snoozes_of_keys_and_rules(self, store: ControlStore) -> None:
        key = Snooze("key", "entity:A", after(100), "li", NOON, "results day")
        rule = Snooze("rule", "negative_spike", after(50), "li", NOON)
        store.put_snooze(rule)
        store.put_snooze(key._replace(until=after(10)))
        store.put_snooze(key)
        assert store.snoozes(after(1)) == [key, rule]
        assert store.snoozes(after(50)) == [key]
        assert store.lift_snooze("key", "entity:A", "wang", after(51))
        assert not store.lift_snooze("key", "entity:A", "wang", after(52))
        assert not store.lift_snooze("rule", "negative_spike", "wang", after(52))  # it has run out by itself
        assert store.snoozes(after(1)) == [rule]
        assert [(r["action"], r["by"]) for r in store.audit(2)] == [("lift_snooze", "wang"), ("snooze_key", "li")]

    def test_a_subscription_keeps_every_field(self, store: ControlStore) -> None:
        store.put_subscription(MAIL)
        store.put_subscription(PLAIN._replace(id="other"))
        assert store.subscriptions() == [MAIL, PLAIN._replace(id="other")]
        assert store.remove_subscription("mail", "li")
        assert not store.remove_subscription("mail", "li")
        assert store.subscriptions() == [PLAIN._replace(id="other")]
        assert (store.audit()[0]["action"], store.audit()[0]["by"]) == ("remove_subscription", "li")

    def test_of_two_who_read_a_subscription_the_later_does_not_undo_the_earlier(self, store: ControlStore) -> None:
        store.put_subscription(MAIL)
        assert store.put_subscription(MAIL._replace(daily_cap=9), "li", read=MAIL)
        assert not store.put_subscription(MAIL._replace(active=False), "wang", read=MAIL)
        assert store.subscriptions() == [MAIL._replace(daily_cap=9)]
        assert [r["by"] for r in store.audit()] == ["li", "local"]
        assert not store.put_subscription(PLAIN._replace(id="gone"), "wang", read=PLAIN._replace(id="gone"))

    def test_those_who_escalated_to_one_that_is_removed_escalate_to_nobody(self, store: ControlStore) -> None:
        other = MAIL._replace(id="other", escalate_to="boss", active=False)
        for s in (MAIL, MAIL._replace(id="web", channel="web", active=False), other, Subscription("duty", "email")):
            store.put_subscription(s)
        before = len(store.audit())
        assert not store.remove_subscription("none", "li")
        assert store.remove_subscription("duty", "li")
        silent = MAIL._replace(escalate_to="", escalate_min=0)
        assert store.subscriptions() == [silent, other, silent._replace(id="web", channel="web", active=False)]
        assert [(r["action"], r["by"], r["subject"], r["detail"]) for r in store.audit()][:-before] == [
            ("remove_subscription", "li", "duty", ""),
            ("put_subscription", "li", "web", "web, off, escalates to nobody: duty is removed"),
            ("put_subscription", "li", "mail", "email, on, escalates to nobody: duty is removed"),
        ]

    # -- leases --------------------------------------------------------------------------------------------------

    def test_a_slow_twin_cannot_finish_anothers_row(self, store: ControlStore) -> None:
        held(store, "one/1")
        [(slow, _, _)] = store.lease_deliveries(after(0), 9, 60)
        [(quick, _, _)] = store.lease_deliveries(after(60), 9, 60)
        for state in ("accepted", "dead", "retry"):
            assert store.finish_deliveries([Ending(slow.id, state, "slow", lease=slow.lease)]) == 0
        assert store.finish_deliveries([Ending(quick.id, "retry", "503", after(70), quick.lease)]) == 1
        assert store.finish_deliveries([Ending(slow.id, "accepted", "slow", lease=slow.lease)]) == 0  # nobody's now
        found = store.delivery("one/1")
        assert found is not None and (found.state, found.reason, found.attempts) == ("retry", "503", 2)

    def test_a_lease_that_sent_nothing_is_no_attempt_and_says_what_holds_the_row(self, store: ControlStore) -> None:
        held(store, "one/1")
        [(leased, _, _)] = store.lease_deliveries(after(0), 9, 60)
        quiet = Ending(
            leased.id, "pending", "Quiet hours.", after(500), leased.lease, sent=False, why="quiet_hours",
            until=after(500), digest=True,
        )  # fmt: skip
        assert store.finish_deliveries([quiet]) == 1
        found = store.delivery("one/1")
        assert found is not None and (found.attempts, found.lease, found.why, found.until, found.digest) == (
            0, 1, "quiet_hours", after(500), True,
        )  # fmt: skip
        [(again, _, _)] = store.lease_digest(after(500), 60)
        store.finish_deliveries([Ending(again.id, "accepted", "250 OK", lease=again.lease)])
        found = store.delivery("one/1")
        assert found is not None and (found.attempts, found.why, found.answer) == (1, "quiet_hours", "250 OK")
        assert found.ended_at == NOON  # the store's clock

    def test_endings_are_stored_together(self, store: ControlStore) -> None:
        held(store, "one/1", "two/1")
        leased = [d for d, _, _ in store.lease_deliveries(after(0), 9, 60)]
        assert store.finish_deliveries([Ending(d.id, "accepted", "ok", lease=d.lease) for d in leased]) == 2
        assert {d.state for d in store.deliveries()} == {"accepted"}

    def test_a_digest_is_leased_whole_to_one_and_again_as_it_was(self, store: ControlStore) -> None:
        held(store, "one/1", "two/1", digest=True, next_at=after(10))
        assert store.lease_deliveries(after(10), 9, 60) == [] == store.lease_digest(after(9), 60)
        first = [d for d, _, _ in store.lease_digest(after(10), 60)]
        assert [d.id for d in first] == ["one/1", "two/1"]
        assert store.lease_digest(after(11), 60) == []
        [bundle] = {d.bundle for d in first}
        held(store, "three/1", digest=True, next_at=after(10))  # too late for that digest
        again = [d for d, _, _ in store.lease_digest(after(70), 60)]
        assert ([d.id for d in again], {d.bundle for d in again}) == (["one/1", "two/1"], {bundle})
        [(other, _, _)] = store.lease_digest(after(70), 60)
        assert other.id == "three/1" and other.bundle not in ("", bundle)
        store.finish_deliveries([Ending(d.id, "retry", "503", after(80), d.lease) for d in again])
        third = [d for d, _, _ in store.lease_digest(after(80), 60)]
        assert {(d.bundle, d.attempts) for d in third} == {(bundle, 3)}

    # -- beside sending ------------------------------------------------------------------------------------------

    def test_dead_rows_are_sent_again_under_the_same_ids(self, store: ControlStore) -> None:
        held(store, "one/1", "two/1", "three/1")
        store.finish_delivery("one/1", "dead", "404")
        store.finish_delivery("two/1", "suppressed", "snoozed")
        store.finish_delivery("three/1", "accepted", "ok")
        assert store.redeliver(None, "li", after(5)) == ["one/1"]
        assert store.redeliver(["two/1", "three/1", "none"], "li", after(5)) == ["two/1"]
        found = store.delivery("one/1")
        assert found is not None and (found.state, found.next_at, found.retried_at) == ("pending", after(5), after(5))
        assert sorted(d.id for d, _, _ in store.lease_deliveries(after(5), 9, 60)) == ["one/1", "two/1"]
        assert [(r["action"], r["subject"]) for r in store.audit(2)] == [("redeliver", "two/1"), ("redeliver", "one/1")]

    def test_what_was_sent_is_counted_and_told(self, store: ControlStore) -> None:
        held(store, "one/1", "two/1")
        held(store, "three/1", kind="escalation")
        store.finish_deliveries([Ending(f"{a}/1", "accepted", "ok") for a in ("one", "three")])
        assert store.sent_since("mail", NOON) == 1  # an escalation is not the person's own
        assert store.sent_since("mail", after(1)) == store.sent_since("other", NOON) == 0
        told = store.told_of_key("mail", "entity:AAPL.US", NOON)
        assert sorted((a.alert_id, at) for a, at in told) == [("one", NOON), ("three", NOON)]
        assert (
            store.told_of_key("mail", "entity:X", NOON) == store.told_of_key("mail", "entity:AAPL.US", after(1)) == []
        )

    def test_an_escalation_is_decided_once(self, store: ControlStore) -> None:
        held(store, "one/1", "two/1", escalate_at=after(60))
        store.put_subscription(Subscription("duty", "email"))
        assert store.due_escalations(after(59), 9) == []
        assert [d.id for d, _, _ in store.due_escalations(after(60), 1)] == ["one/1"]
        to = row("one/1/up", subscription_id="duty", kind="escalation")
        assert store.escalate("one/1", "to duty", after(60), to)
        assert not store.escalate("one/1", "to duty", after(60), to)
        assert store.escalate("two/1", "acknowledged", after(60))
        assert store.due_escalations(after(60), 9) == []
        assert [(d.id, d.kind, d.escalation) for d in store.deliveries()] == [
            ("one/1", "event", "to duty"), ("one/1/up", "escalation", ""), ("two/1", "event", "acknowledged"),
        ]  # fmt: skip
        [row_] = [r for r in store.audit() if r["action"] == "escalate"]
        assert (row_["subject"], row_["detail"], row_["by"]) == ("one", "to duty", "windvane")

    def test_escalations_of_a_subscription_that_is_gone_end(self, store: ControlStore) -> None:
        held(store, "one/1", escalate_at=after(60))
        store.remove_subscription("mail")
        assert store.due_escalations(after(60), 9) == []
        found = store.delivery("one/1")
        assert found is not None and "gone" in found.escalation and found.escalate_at is None

    def test_the_backlog(self, store: ControlStore) -> None:
        assert store.backlog(NOON) == {"oldest_due_s": 0.0, "dead": 0}
        held(store, "one/1", "two/1", "three/1", next_at=after(10))
        store.finish_delivery("three/1", "dead", "404")
        assert store.backlog(after(9)) == {"oldest_due_s": 0.0, "dead": 1}
        assert store.backlog(after(25)) == {"oldest_due_s": 15.0, "dead": 1}

    @pytest.mark.parametrize("gone", [True, False])
    def test_a_digest_to_nobody_is_suppressed(self, store: ControlStore, gone: bool) -> None:
        held(store, "one/1", digest=True)
        if gone:
            store.remove_subscription("mail")
        else:
            store.put_subscription(PLAIN._replace(active=False))
        assert store.lease_digest(after(0), 60) == []
        found = store.delivery("one/1")
        assert found is not None and (found.state, found.why, found.ended_at) == ("suppressed", "switched_off", NOON)
