"""Links in messages: opening one changes nothing, its button acts, and what is not whole is refused with a page."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from dashboards.app import create_app
from pipeline.control.base import Subscription
from pipeline.deliver.base import Outcome
from pipeline.deliver.links import ACTIONS, Action, ActionLinks
from pipeline.deliver.sender import Sent
from tests.browser.seed import NOW, World, alert

BASE = "http://127.0.0.1:8710"
LINKS = ActionLinks([b"k" * 32], BASE)
UNTIL = NOW + timedelta(days=1)
Fresh = Callable[[], tuple[World, TestClient]]


class Page:
    """A world with one alert, one subscription and links."""

    def __init__(self, world: World, **changes: Any) -> None:
        self.control = world.deps.control
        self.now = world.deps.clock()
        fired = alert("8888.HK", NOW - timedelta(hours=2), NOW - timedelta(hours=1), (9, 12, 0, 2))
        self.alert_id = fired.alert_id
        self.control.record_alert(fired, [])
        self.control.put_subscription(Subscription(id="duty", channel="email", target="d@example.org", owner="li"))
        self.client = TestClient(create_app(replace(world.deps, actions=LINKS, **changes)), base_url=BASE)

    def link(self, action: Action, until: datetime = UNTIL, subscription: str = "duty") -> str:
        return LINKS.url(action, self.alert_id, subscription, until)

    def unchanged(self) -> bool:
        e = self.control.episode(self.alert_id)
        return e is not None and (e.acked_by, e.snoozed_until, e.resolved_by) == (None, None, None)


@pytest.fixture
def page(fresh: Fresh) -> Page:
    return Page(fresh()[0])


@pytest.mark.parametrize("action", ACTIONS)
def test_opening_asks_and_the_button_acts(page: Page, action: Action) -> None:
    link = page.link(action)
    for method in ("GET", "GET", "HEAD", "OPTIONS"):  # what scanners and previews do
        page.client.request(method, link)
        assert page.unchanged(), method
    asked = page.client.get(link)
    form = asked.text.split('<form class="actions" method="post" action="')[1].split('"')[0].replace("&amp;", "&")
    assert asked.status_code == 200 and "<button" in asked.text and BASE + form == link
    assert asked.headers["referrer-policy"] == "same-origin" and asked.headers["cache-control"] == "no-store"
    done = page.client.post(form, headers={"content-type": "application/x-www-form-urlencoded", "origin": BASE})
    assert done.status_code == 200 and '<form class="actions"' not in done.text
    e = page.control.episode(page.alert_id)
    assert e is not None
    if action == "ack":
        assert e.acked_by == "li"
    elif action == "resolve":
        assert (e.resolved_by, e.status) == ("li", "resolved")
    else:
        hours = 1 if action == "snooze_1h" else 24
        assert e.snoozed_until is not None and e.snoozed_by == "li"
        assert abs(e.snoozed_until - page.now - timedelta(hours=hours)) < timedelta(minutes=1)
    again = page.client.post(form)
    assert again.status_code == 200
    assert any(row["by"] == "li" for row in page.control.audit())


def test_both_languages(page: Page) -> None:
    assert "确认这条预警？" in page.client.get(page.link("ack"), headers={"accept-language": "zh-CN"}).text
    assert "Acknowledge this alert?" in page.client.get(page.link("ack"), headers={"accept-language": "en"}).text


def refused(page: Page, link: str, status: int, says: str) -> None:
    for got in (page.client.get(link), page.client.post(link)):
        assert got.status_code == status and says in got.text, got.text
        assert '<form class="actions"' not in got.text
    assert page.unchanged()


def test_what_is_refused(page: Page) -> None:
    good = page.link("ack")
    refused(page, good[:-1] + ("A" if good[-1] != "A" else "B"), 403, "changed on the way")
    refused(page, good.replace("/ack/", "/resolve/"), 403, "changed on the way")
    refused(page, good.replace("s=duty", "s=boss"), 403, "changed on the way")
    refused(page, good.partition("?")[0], 403, "changed on the way")
    refused(page, good.replace("&m=", "&m=%C2%80"), 403, "changed on the way")
    refused(page, page.link("ack", page.now - timedelta(seconds=1)), 410, "expired")
    refused(page, page.link("ack", subscription="other"), 403, "subscription")
    refused(page, LINKS.url("ack", "no-such-alert", "duty", UNTIL), 410, "no longer kept")


def test_a_subscription_that_is_off_acts_no_more(page: Page) -> None:
    page.control.put_subscription(Subscription(id="duty", channel="email", target="d@example.org", active=False))
    refused(page, page.link("ack"), 403, "has ended")


def test_other_sites_cannot_press_the_button(page: Page) -> None:
    link = page.link("ack")
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        assert page.client.post(link, headers=headers).status_code == 403, headers
        assert page.unchanged()
    assert page.client.post(link, headers={"host": "evil.example"}).status_code == 421 and page.unchanged()


def test_only_these_addresses_take_forms(page: Page) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    for path in (
        f"/api/alerts/{page.alert_id}/ack",
        "/api/deliver/test",
        "/actx/ack/1",
        f"/api/../act2/{page.alert_id}",
    ):
        assert page.client.post(path, headers=form).status_code in (404, 405, 415), path
    assert page.unchanged()


def test_without_a_key_no_link_acts(fresh: Fresh) -> None:
    world, _ = fresh()
    page = Page(world)
    client = TestClient(create_app(world.deps), base_url=BASE)
    assert client.get(page.link("ack")).status_code == 403 and page.unchanged()


class Slack:
    async def send_card(self, card: Any, target: str, delivery_id: str) -> Sent:
        assert "TEST" in card.title or "测试" in card.title
        return Sent(Outcome("permanent", "Answered 404: no_service"), 404, "no_service")


def test_the_test_button_shows_the_answer(fresh: Fresh) -> None:
    client = Page(fresh()[0], outgoing={"slack": Slack()}).client
    got = client.post("/api/deliver/test", json={"channel": "slack", "target": "https://hooks.slack.com/x"})
    assert got.json() == {
        "outcome": "permanent", "reason": "Answered 404: no_service", "status": 404, "said": "no_service",
    }  # fmt: skip
    wrong = client.post("/api/deliver/test", json={"channel": "slack", "target": "nowhere"})
    assert wrong.status_code == 422 and "expected the address" in wrong.json()["error"]
    assert client.post("/api/deliver/test", json={"channel": "pigeon", "target": "x"}).status_code == 422
