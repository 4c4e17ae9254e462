"""Subscriptions, deliveries, snoozes, assigning and resolving over the API: kept, audited, explained, and refused with
the field named."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pipeline.control.base import Subscription
from pipeline.stages.record import Record
from tests.browser.seed import NOW, World, alert

Fresh = Callable[[], tuple[World, TestClient]]
SLACK = "https://hooks.slack.com/services/T0/B0/abcdefghijklmnopqrst"


@pytest.fixture
def one(fresh: Fresh) -> tuple[str, World, TestClient]:
    world, client = fresh()
    fired = alert("8888.HK", NOW - timedelta(hours=2), NOW - timedelta(hours=1), (9, 12, 0, 2))
    world.deps.control.put_subscription(Subscription("desk", "webhook", owner="li"))
    world.deps.control.put_subscription(Subscription("other", "webhook", keys=("topic:earnings",)))
    Record(world.deps.control, world.deps.clock)([fired])
    return fired.alert_id, world, client


def audit(client: TestClient) -> list[str]:
    return [row["action"] for row in client.get("/api/audit").json()["items"]]


def test_assign_and_resolve(one: tuple[str, World, TestClient]) -> None:
    alert_id, _, client = one
    path = f"/api/alerts/{alert_id}"
    assert client.post(f"{path}/assign", json={"to": "wang", "by": "li"}).json()["assigned_to"] == "wang"
    assert client.post(f"{path}/assign", json={"to": ""}).json()["assigned_to"] is None
    closed = client.post(f"{path}/resolve", json={"reason": "known since May", "by": "li"}).json()
    assert (closed["status"], closed["resolved_by"], closed["resolve_reason"]) == ("resolved", "li", "known since May")
    assert audit(client)[:3] == ["resolve", "assign", "assign"]
    assert client.post(f"{path}/resolve", json={}).status_code == 422
    assert client.post("/api/alerts/none/resolve", json={"reason": "x"}).status_code == 404


def test_snooze_a_key_and_a_rule_and_lift_them(one: tuple[str, World, TestClient]) -> None:
    alert_id, world, client = one
    path = f"/api/alerts/{alert_id}/snooze"
    found = client.post(path, json={"scope": "key", "minutes": 90, "by": "li", "reason": "results day"}).json()
    assert [(s["scope"], s["subject"], s["by"]) for s in found["snoozes"]] == [("key", "entity:8888.HK", "li")]
    assert found["snoozed_until"] is None
    assert len(client.post(path, json={"scope": "rule", "minutes": 90}).json()["snoozes"]) == 2
    again = alert("8888.HK", NOW - timedelta(minutes=20), NOW - timedelta(minutes=9), (9, 12, 0, 2))
    Record(world.deps.control, world.deps.clock)([again])
    row = next(d for d in world.deps.control.deliveries(again.alert_id) if d.subscription_id == "desk")
    assert (row.state, row.why, row.by) == ("suppressed", "snoozed", "li")
    assert "entity:8888.HK snoozed by li until" in row.reason and "results day" in row.reason
    headers = {"content-type": "application/json"}
    assert client.request("DELETE", "/api/snoozes/key/entity:8888.HK", headers=headers).status_code == 200
    assert client.request("DELETE", "/api/snoozes/key/entity:8888.HK", headers=headers).status_code == 404
    assert [s["scope"] for s in client.get("/api/snoozes").json()["items"]] == ["rule"]
    assert client.post(path, json={"scope": "rule", "minutes": 0}).json()["snoozes"] == []
    assert client.post(path, json={"scope": "company"}).status_code == 422


def test_subscriptions_are_made_shown_masked_changed_and_removed(fresh: Fresh) -> None:
    world, client = fresh()
    made = client.post("/api/subscriptions?by=li", json={"id": "a", "channel": "slack", "target": SLACK})
    assert made.status_code == 201 and "abcdefghijkl" not in made.text
    assert client.post("/api/subscriptions", json={"id": "a", "channel": "web"}).status_code == 409
    changed = client.put(
        "/api/subscriptions/a", json={"channel": "slack", "quiet": "22:00-07:00", "zone": "Asia/Shanghai"}
    )
    assert changed.json()["quiet"] == "22:00-07:00"
    [stored] = world.deps.control.subscriptions()
    assert world.deps.vault.unseal(stored.target) == SLACK
    listed = client.get("/api/subscriptions")
    assert [s["id"] for s in listed.json()["items"]] == ["a"] and "abcdefghijkl" not in listed.text
    headers = {"content-type": "application/json"}
    assert client.request("DELETE", "/api/subscriptions/a?by=li", headers=headers).json() == {"removed": "a"}
    assert client.get("/api/subscriptions/a").status_code == 404
    assert client.request("DELETE", "/api/subscriptions/a", headers=headers).status_code == 404
    assert audit(client)[:3] == ["remove_subscription", "put_subscription", "put_subscription"]
    assert "abcdefghijkl" not in client.get("/api/audit").text


def test_who_saves_what_was_read_before_anothers_change_is_told_so(fresh: Fresh) -> None:
    world, client = fresh()
    client.post("/api/subscriptions", json={"id": "a", "channel": "slack", "target": SLACK})
    read = client.get("/api/subscriptions/a").json()
    assert f'data-version="{read["version"]}"' in client.get("/subscriptions/edit/a").text
    assert client.put("/api/subscriptions/a?by=li", json={**read, "daily_cap": 9}).status_code == 200
    late = client.put("/api/subscriptions/a?by=wang", json={**read, "active": False})
    assert late.status_code == 409 and "changed or removed by somebody else" in late.json()["error"]
    [stored] = world.deps.control.subscriptions()
    assert (stored.daily_cap, stored.active) == (9, True) and world.deps.vault.unseal(stored.target) == SLACK
    assert client.put(
        "/api/subscriptions/a", json={**client.get("/api/subscriptions/a").json(), "active": False}
    ).json()
    assert client.put("/api/subscriptions/a", json={"channel": "web", "version": 1}).status_code == 422
    assert client.put("/api/subscriptions/new", json={**read, "id": "new"}).status_code == 409


WRONG: list[tuple[Any, str]] = [
    ({"id": "a", "channel": "sms"}, "channel: expected"),
    ({"id": "a", "channel": "web", "zone": "Mars"}, "zone: expected an IANA time zone"),
    ({"id": "a", "channel": "web", "typo": 1}, "typo: there is no such field"),
    ({"id": "a", "channel": "slack", "target": "me"}, "target: expected the address that slack gave you"),
    ({"id": "a", "channel": "web", "escalate_to": "x", "escalate_min": 1}, "escalate_to: expected the id of another"),
]


@pytest.mark.parametrize(("body", "says"), WRONG)
def test_a_wrong_subscription_is_refused_with_its_field(fresh: Fresh, body: Any, says: str) -> None:
    world, client = fresh()
    answer = client.post("/api/subscriptions", json=body)
    assert answer.status_code == 422 and says in answer.json()["error"]
    assert world.deps.control.subscriptions() == []


def test_the_test_button_of_what_leads_nowhere(fresh: Fresh) -> None:
    world, client = fresh()
    world.deps.control.put_subscription(Subscription("w", "web"))
    assert client.post("/api/subscriptions/w/test", json={}).json()["outcome"] == "accepted"
    assert client.post("/api/subscriptions/x/test", json={}).status_code == 404


def test_deliveries_are_listed_explained_and_sent_again(one: tuple[str, World, TestClient]) -> None:
    alert_id, world, client = one
    [row] = client.get("/api/deliveries").json()["items"]
    world.deps.control.finish_delivery(row["id"], "dead", "Answered 404.")
    assert client.get("/api/deliveries?state=dead").json()["items"][0]["reason"] == "Answered 404."
    for asked in (alert_id, alert_id[:8], row["id"]):
        found = client.get("/api/deliveries/explain", params={"id": asked}).json()
        said = {s["id"]: s["events"][0] for s in found["subscriptions"]}
        assert said["other"]["mismatches"] == ["keys is topic:earnings; the alert has entity:8888.HK"]
        assert said["desk"]["fits"] and said["desk"]["deliveries"][0]["answer"] == "Answered 404."
    assert client.get("/api/deliveries/explain?id=nothing").status_code == 404
    again = client.post(f"/api/deliveries/{row['id']}/retry?by=li", json={}).json()
    assert (again["state"], again["reason"]) == ("pending", "To be sent again, asked by li.")
    assert client.post(f"/api/deliveries/{row['id']}/retry", json={}).status_code == 409
    assert client.post("/api/deliveries/none/retry", json={}).status_code == 404
    assert audit(client)[0] == "redeliver"
