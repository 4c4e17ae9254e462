"""What every control store does. A backend inherits ControlStoreContract and supplies `fresh`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.control.base import ControlStore, Delivery, Episode, Subscription, Watch
from pipeline.records import Alert, Feedback
from tests.contract.control_people import PeopleContract
from tests.contract.samples import NOON, after, alert

WEB = Subscription("web", "web", keys=("entity:AAPL.US",), severities=("S1",), language="zh")
HISTORY = [  # two episodes, every kind of event
    alert("one", 1),
    alert("one", 2, "worse", severity="S1"),
    alert("one", 3, "resolved"),
    alert("one", 4, "corrected"),
    alert("two", 1, fired_at=after(500), key="watch:w"),
    alert("two", 2, "resolved", fired_at=after(500), key="watch:w"),
]


class ControlStoreContract(PeopleContract):
    """`fresh` gives the store a clock that stands at NOON."""

    @contextmanager
    def fresh(self) -> Iterator[Callable[[], ControlStore]]:
        """An empty store. Each call of what is yielded opens it anew, as after a restart."""
        raise NotImplementedError

    @pytest.fixture
    def store(self) -> Iterator[ControlStore]:
        with self.fresh() as open_store:
            yield open_store()

    def test_an_episode_follows_its_events(self, store: ControlStore) -> None:
        for event, status in zip(HISTORY[:4], ["firing", "firing", "resolved", "firing"], strict=True):
            store.record_alert(event, [])
            assert store.episode("one") == Episode(event, status)
        assert store.alert_events("one") == HISTORY[:4]

    def test_a_closed_episode_that_is_corrected_stays_closed(self, store: ControlStore) -> None:
        store.record_alert(alert(seq=1, event="corrected", end=after(60)), [])
        assert [e.status for e in store.episodes()] == ["resolved"]

    def test_episodes_are_listed_newest_first_and_filtered(self, store: ControlStore) -> None:
        for event in HISTORY:
            store.record_alert(event, [])
        assert [e.alert.alert_id for e in store.episodes()] == ["two", "one"]
        assert [e.alert.alert_id for e in store.episodes(limit=1)] == ["two"]
        assert [e.alert.alert_id for e in store.episodes(status="firing")] == ["one"]
        assert [e.alert.alert_id for e in store.episodes(key="watch:w")] == ["two"]
        assert store.episode("three") is None

    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(order=st.permutations(range(len(HISTORY))), again=st.lists(st.integers(0, len(HISTORY) - 1), max_size=8))
    def test_any_order_and_repetition_comes_to_the_same(self, order: list[int], again: list[int]) -> None:
        with self.fresh() as open_store:
            store = open_store()
            store.put_subscription(WEB)
            for i in [*order, *again]:
                store.record_alert(HISTORY[i], [delivery(HISTORY[i])])
                newest = {e.alert.alert_id: e.alert.seq for e in store.episodes()}
                assert newest[HISTORY[i].alert_id] >= HISTORY[i].seq
            assert store.alert_events() == HISTORY
            assert [(e.alert, e.status) for e in store.episodes()] == [(HISTORY[5], "resolved"), (HISTORY[3], "firing")]
            assert store.deliveries() == [delivery(event)._replace(created_at=NOON) for event in HISTORY]

    def test_an_alert_seen_before_changes_nothing(self, store: ControlStore) -> None:
        store.put_subscription(WEB)
        store.record_alert(alert(), [delivery(alert())])
        store.lease_deliveries(after(0), 10, 60)
        store.finish_delivery(delivery(alert()).id, "accepted", "200")
        store.record_alert(alert(evidence=HISTORY[1].evidence), [delivery(alert()), delivery(alert(), "other")])
        assert store.alert_events() == [alert()]
        assert [(d.id, d.state) for d in store.deliveries()] == [("episode/1/web", "accepted")]

    def test_leases_go_to_the_most_severe_then_the_oldest(self, store: ControlStore) -> None:
        store.put_subscription(WEB)
        events = [alert("mild", severity="S3", at=after(0)), alert("newest", severity="S1", at=after(20)),
                  alert("oldest", severity="S1", at=after(10))]  # fmt: skip
        for event in events:
            store.record_alert(event, [delivery(event)])
        (first, about, to), (second, _, _) = store.lease_deliveries(after(30), 2, lease_s=60)
        assert (first.alert_id, second.alert_id) == ("oldest", "newest")
        assert (first.state, first.attempts, about, to) == ("leased", 1, events[2], WEB)
        assert [d.alert_id for d, _, _ in store.lease_deliveries(after(30), 9, 60)] == ["mild"]
        assert store.lease_deliveries(after(30), 9, 60) == []

    def test_a_lease_that_ran_out_is_given_again_and_counted(self, store: ControlStore) -> None:
        store.put_subscription(WEB)
        store.record_alert(alert(), [delivery(alert())])
        assert len(store.lease_deliveries(after(0), 9, lease_s=60)) == 1
        assert store.lease_deliveries(after(59), 9, 60) == []
        [(again, _, _)] = store.lease_deliveries(after(60), 9, 60)
        assert again.attempts == 2

    def test_a_retry_waits_for_its_time(self, store: ControlStore) -> None:
        store.put_subscription(WEB)
        store.record_alert(alert(), [delivery(alert())])
        [(leased, _, _)] = store.lease_deliveries(after(0), 9, 60)
        store.finish_delivery(leased.id, "retry", "503", next_at=after(100))
        assert [(d.state, d.reason, d.next_at) for d in store.deliveries(state="retry")] == [
            ("retry", "503", after(100))
        ]
        assert store.lease_deliveries(after(99), 9, 60) == []
        assert len(store.lease_deliveries(after(100), 9, 60)) == 1

    @pytest.mark.parametrize("state", ["accepted", "dead", "expired", "suppressed"])
    def test_what_is_over_is_never_leased(self, store: ControlStore, state: str) -> None:
        store.put_subscription(WEB)
        store.record_alert(alert(), [delivery(alert())])
        [(leased, _, _)] = store.lease_deliveries(after(0), 9, 60)
        store.finish_delivery(leased.id, state, "over")
        assert store.lease_deliveries(after(1e6), 9, 60) == []

    def test_accepted_stays_accepted(self, store: ControlStore) -> None:
        store.put_subscription(WEB)
        store.record_alert(alert(), [delivery(alert())])
        store.finish_delivery("episode/1/web", "accepted", "200")
        store.finish_delivery("episode/1/web", "retry", "a slower twin", next_at=after(0))
        assert [(d.state, d.reason) for d in store.deliveries("episode")] == [("accepted", "200")]

    def test_what_goes_to_nobody_is_suppressed_with_its_reason(self, store: ControlStore) -> None:
        store.put_subscription(WEB._replace(active=False))
        store.record_alert(alert(), [delivery(alert()), delivery(alert(), "gone")])
        assert store.lease_deliveries(after(0), 9, 60) == []
        states = {(d.state, "switched off" in d.reason) for d in store.deliveries()}
        assert states == {("suppressed", True)}

    def test_acknowledging_and_snoozing_are_kept_through_later_events(self, store: ControlStore) -> None:
        store.record_alert(alert("one"), [])
        assert store.acknowledge("one", "li", after(1))
        assert store.acknowledge("one", "wang", after(2))  # true, and the first stands
        assert store.snooze("one", after(900), "li", after(3))
        store.record_alert(HISTORY[1], [])
        found = store.episode("one")
        assert found == Episode(HISTORY[1], "firing", "li", after(1), after(900), snoozed_by="li")
        assert not store.acknowledge("none", "li", after(1))
        assert not store.snooze("none", after(900), "li", after(1))

    def test_subscriptions_and_watches_are_put_and_replaced(self, store: ControlStore) -> None:
        store.put_subscription(WEB)
        store.put_subscription(WEB._replace(language="en", active=False, keys=()))
        assert store.subscriptions() == [WEB._replace(language="en", active=False, keys=())]
        watch = Watch("w", "茅台", "phrase", "贵州茅台")
        store.put_watch(watch)
        store.put_watch(watch._replace(pattern="茅台"))
        assert store.watches() == [watch._replace(pattern="茅台")]
        assert store.remove_watch("w")
        assert not store.remove_watch("w")
        assert store.watches() == []

    def test_everything_people_do_is_in_the_audit(self, store: ControlStore) -> None:
        hook = Subscription("hook", "webhook", "https://example.org/secret-token")
        store.record_alert(alert("one"), [])
        for _ in range(2):  # the second time nothing changes, and nothing is written
            store.acknowledge("one", "li", after(1))
            store.snooze("one", after(900), "li", after(2))
            store.put_subscription(hook)
            store.put_watch(Watch("w", "name", "keyword", "k"))
            store.add_feedback(label("f1", "yes", 3))
        store.remove_watch("w")
        done = [(row["action"], row["subject"]) for row in store.audit()]
        assert done == [("remove_watch", "w"), ("label", "one"), ("put_watch", "w"), ("put_subscription", "hook"),
                        ("snooze", "one"), ("acknowledge", "one")]  # fmt: skip
        assert store.audit()[-1] == {
            "at": after(1).isoformat(), "by": "li", "action": "acknowledge", "subject": "one", "detail": "",
        }  # fmt: skip
        assert "secret" not in str(store.audit())
        assert len(store.audit(limit=2)) == 2

    def test_labels_are_appended_once(self, store: ControlStore) -> None:
        second = msgspec.structs.replace(label("f2", "no", 1), opinion_id="two")
        for feedback in (label("f1", "yes", 2), second, label("f1", "changed", 2)):
            store.add_feedback(feedback)
        assert store.feedback() == [second, label("f1", "yes", 2)]  # oldest first
        assert store.feedback("two") == [second]

    def test_the_last_word_says_whether_an_alert_was_useful(self, store: ControlStore) -> None:
        store.record_alert(alert("one"), [])
        assert useful(store) is None
        store.add_feedback(label("f2", "no", 2))
        store.add_feedback(label("f1", "yes", 1))  # arrives later, was said earlier
        assert useful(store) is False
        store.add_feedback(label("f3", "yes", 3))
        assert useful(store) is True

    def test_a_checkpoint_is_the_last_value_put(self, store: ControlStore) -> None:
        assert store.checkpoint("detector") is None
        for value in (b"one", b"", b"\x00two"):
            store.put_checkpoint("detector", value)
            assert store.checkpoint("detector") == value
        assert store.checkpoint("other") is None

    def test_it_survives_a_restart(self) -> None:
        with self.fresh() as open_store:
            store = open_store()
            store.put_subscription(WEB)
            store.record_alert(alert(), [delivery(alert())])
            store.put_checkpoint("x", b"y")
            again = open_store()
            assert again.subscriptions() == [WEB]
            assert again.episodes() == [Episode(alert(), "firing")]
            assert again.checkpoint("x") == b"y"
            assert len(again.lease_deliveries(after(0), 9, 60)) == 1


def delivery(event: Alert, subscription: str = "web") -> Delivery:
    id_ = f"{event.alert_id}/{event.seq}/{subscription}"
    return Delivery(id_, event.alert_id, event.seq, subscription, "web", "pending", 0, NOON)


def label(id_: str, value: str, second: float) -> Feedback:
    at = NOON + timedelta(seconds=second)
    return Feedback(feedback_id=id_, opinion_id="one", task="alert_useful", value=value, by="li", at=at)


def useful(store: ControlStore) -> bool | None:
    found = store.episode("one")
    assert found is not None
    return found.useful
