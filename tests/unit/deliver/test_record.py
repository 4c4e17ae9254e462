"""The record stage: who gets a row, and that recording twice adds nothing."""

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.control.sql import SqlControlStore
from pipeline.deliver.rows import delivery_id
from pipeline.stage import run_batch
from pipeline.stages.record import Record
from tests.migrated import control_database
from tests.unit.deliver.alerts import make_alert, make_subscription

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def control():
    db = control_database()
    yield SqlControlStore(db, lambda: NOW)
    db.close()


def record(control, *alerts, now=NOW):
    return run_batch(Record(control, lambda: now), alerts)


def test_one_row_per_active_matching_subscription(control):
    for subscription in (
        make_subscription(id="all"),
        make_subscription(id="off", active=False),
        make_subscription(id="key", channel="webhook", keys=("entity:AAPL.US",)),
        make_subscription(id="other key", keys=("entity:X",)),
        make_subscription(id="severe", severities=("S1", "S2")),
        make_subscription(id="most severe", severities=("S1",)),
    ):
        control.put_subscription(subscription)
    assert record(control, make_alert()) == ([], [])
    rows = control.deliveries()
    assert {r.subscription_id for r in rows if r.state == "pending"} == {"all", "key", "severe"}
    assert {(r.attempts, r.next_at, r.created_at) for r in rows} == {(0, NOW, NOW)}
    assert [(r.subscription_id, r.why) for r in rows if r.state != "pending"] == [("off", "switched_off")]
    assert control.episode("a1").alert == make_alert()


def test_recording_again_changes_nothing(control):
    control.put_subscription(make_subscription())
    record(control, make_alert())
    [row] = control.deliveries()
    control.finish_delivery(row.id, "accepted", "done")
    record(control, make_alert(), make_alert(), now=NOW + timedelta(hours=1))
    [again] = control.deliveries()
    assert (again.state, again.id, again.created_at) == ("accepted", row.id, NOW)
    assert len(control.alert_events()) == 1


def test_ids_are_the_same_everywhere_and_differ_by_event_subscription_and_channel():
    alert, subscription = make_alert(), make_subscription()
    assert delivery_id(alert, subscription) == "0f14a56d-4adf-5c28-b0d0-21a0d76237d9"
    others = [
        delivery_id(make_alert(seq=1), subscription),
        delivery_id(make_alert(alert_id="a2"), subscription),
        delivery_id(alert, make_subscription(id="s2")),
        delivery_id(alert, make_subscription(channel="web")),
    ]
    assert len({delivery_id(alert, subscription), *others}) == 5


def test_a_snoozed_episode_is_suppressed_and_says_until_when(control):
    control.put_subscription(make_subscription())
    record(control, make_alert())
    control.snooze("a1", NOW + timedelta(hours=2), "ann", NOW)
    record(control, make_alert(seq=1, event="worse"))
    record(control, make_alert(seq=2, event="worse"), now=NOW + timedelta(hours=3))
    fired, worse, later = sorted(control.deliveries("a1"), key=lambda d: d.seq)
    assert (fired.state, worse.state, later.state) == ("pending", "suppressed", "pending")
    assert worse.reason == "Snoozed by ann until 2026-01-02T02:00:00+00:00."
    assert (worse.why, worse.by, worse.until) == ("snoozed", "ann", NOW + timedelta(hours=2))
