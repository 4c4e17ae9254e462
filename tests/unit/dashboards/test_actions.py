"""What a person does with an alert is kept; what did not come from the page is refused."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from tests.browser.seed import NOW, World, alert

Fresh = Callable[[], tuple[World, TestClient]]


@pytest.fixture
def one(fresh: Fresh) -> tuple[str, World, TestClient]:
    world, client = fresh()
    fired = alert("8888.HK", NOW - timedelta(hours=2), NOW - timedelta(hours=1), (9, 12, 0, 2))
    world.deps.control.record_alert(fired, [])
    return f"/api/alerts/{fired.alert_id}", world, client


def test_acknowledge_snooze_and_judge(one: tuple[str, World, TestClient]) -> None:
    path, world, client = one
    acked = client.post(f"{path}/ack", json={"by": "li"}).json()
    assert (acked["acked_by"], acked["acked_at"]) == ("li", "2026-11-20T14:35:20.000Z")
    assert client.post(f"{path}/snooze", json={"minutes": 90}).json()["snoozed_until"] == "2026-11-20T16:05:20.000Z"
    assert client.post(f"{path}/useful", json={"useful": False}).json()["useful"] is False
    assert client.post(f"{path}/useful", json={"useful": True, "by": "li"}).json()["useful"] is not None
    feedback = world.deps.control.feedback()
    assert [(f.task, f.value) for f in feedback] == [("alert_useful", "no"), ("alert_useful", "yes")]
    assert {e["action"] for e in world.deps.control.audit()} >= {"acknowledge", "snooze"}


def test_no_such_alert(fresh: Fresh) -> None:
    _, client = fresh()
    for action, body in (("ack", {}), ("snooze", {}), ("useful", {"useful": True})):
        assert client.post(f"/api/alerts/x/{action}", json=body).status_code == 404


def test_a_snooze_ends_in_the_future(one: tuple[str, World, TestClient]) -> None:
    path, _, client = one
    answer = client.post(f"{path}/snooze", json={"until": "2020-01-01T00:00:00Z"})
    assert answer.status_code == 422 and "has passed" in answer.json()["error"]
    assert client.post(f"{path}/snooze", json={"minutes": -5}).status_code == 422
    assert client.post(f"{path}/snooze", json={"minutes": 5, "typo": 1}).status_code == 422


JSON = "application/json"
REFUSED = [
    ({"content-type": "application/x-www-form-urlencoded"}, 415),
    ({"content-type": "text/plain"}, 415),
    ({"content-type": JSON, "origin": "https://evil.example"}, 403),
    ({"content-type": JSON, "origin": "null"}, 403),
    ({"content-type": JSON, "sec-fetch-site": "cross-site"}, 403),
]
TAKEN = [{"content-type": JSON, "origin": "http://127.0.0.1:8710"}, {"content-type": f"{JSON}; charset=utf-8"}]


def test_changes_come_from_the_page_itself(one: tuple[str, World, TestClient]) -> None:
    path, world, client = one
    for headers, status in REFUSED:
        assert client.post(f"{path}/ack", content="{}", headers=headers).status_code == status, headers
        assert world.deps.control.episodes()[0].acked_at is None
    for headers in TAKEN:
        assert client.post(f"{path}/ack", content="{}", headers=headers).status_code == 200, headers
