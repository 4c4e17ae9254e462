"""A person makes, tries, changes, pauses and deletes a subscription in a real browser, and sees what was sent."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from pipeline.control.base import Subscription
from pipeline.deliver.base import Outcome
from pipeline.deliver.card import Card
from pipeline.deliver.sender import Sent
from pipeline.stages.record import Record
from tests.browser.seed import NOW, World, alert, served

Visit = Callable[..., tuple[Page, list[str]]]
SLACK = "https://hooks.slack.com/services/T0/B0/abcdefghijklmnopqrst"


class Refusing:
    """A channel whose provider says no; keeps where it was asked to send."""

    def __init__(self) -> None:
        self.targets: list[str] = []

    async def send_card(self, card: Card, target: str, delivery_id: str) -> Sent:
        self.targets.append(target)
        return Sent(Outcome("permanent", "Slack: the address is unknown."), 404, "no_service <b>")


def stored(world: World, subscription_id: str) -> Subscription | None:
    return next((s for s in world.deps.control.subscriptions() if s.id == subscription_id), None)


@pytest.mark.parametrize("lang, scheme", [("en-GB", "light"), ("zh-CN", "dark")])
def test_make_try_change_pause_and_delete(visit: Visit, world: World, lang: str, scheme: str) -> None:
    slack = Refusing()
    with served(replace(world.deps, outgoing={"slack": slack})) as address:
        page, wrong = visit("/", address=address, locale=lang, color_scheme=scheme)
        page.locator('a.tool[href="/subscriptions"]').click()
        page.locator('a[href="/subscriptions/new"]').first.click()
        expect(page.locator('[name="zone"]')).to_have_value("Asia/Shanghai")  # the browser's own
        page.locator('[name="name"]').fill("Property desk")
        page.locator('[name="channel"]').select_option("slack")
        page.locator('[name="target"]').fill(SLACK)
        page.locator("#try").click()
        expect(page.locator("#answer pre")).to_have_text("404 no_service <b>")
        expect(page.locator("#answer")).to_contain_text("Slack: the address is unknown.")
        page.locator("#pick").fill("恒岳")
        expect(page.locator("#pick-found li")).to_have_count(1)
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.locator('[name="severities"][value="S1"]').check()
        page.locator('[name="quiet_from"]').fill("22:00")
        page.locator('[name="quiet_to"]').fill("22:00")
        page.locator('button[type="submit"]').click()
        expect(page.locator("#wrong")).to_contain_text("quiet: expected two different times")
        expect(page.locator('[name="quiet_from"]')).to_be_focused()
        page.locator('[name="quiet_to"]').fill("07:30")
        page.keyboard.press("Enter")
        row = page.locator('.subscription[data-id="property-desk"]')
        expect(row).to_contain_text("22:00-07:30")
        made = stored(world, "property-desk")
        assert made is not None
        assert (made.entities, made.severities, made.quiet) == (("8888.HK",), ("S1",), "22:00-07:30")

        row.locator('[data-do="test"]').click()
        expect(row.locator(".answer pre")).to_have_text("404 no_service <b>")
        assert [world.deps.vault.unseal(t) for t in slack.targets] == [SLACK, SLACK]

        row.locator("h2 a").click()
        expect(page.locator("#entities .chip")).to_have_count(1)
        page.locator("#entities .chip button").click()
        page.locator('[name="digest"]').select_option("daily")
        page.locator('[name="digest_at"]').fill("09:15")
        page.locator('button[type="submit"]').click()
        expect(row).to_contain_text("09:15")
        changed = stored(world, "property-desk")
        assert changed is not None and changed.entities == () and world.deps.vault.unseal(changed.target) == SLACK

        row.locator('[data-do="pause"]').click()
        expect(row.locator('[data-do="resume"]')).to_be_visible()
        paused = stored(world, "property-desk")
        assert paused == changed._replace(active=False)
        row.locator('[data-do="remove"]').click()
        page.keyboard.press("Escape")
        assert stored(world, "property-desk") is not None
        row.locator('[data-do="remove"]').click()
        page.locator('#sure button[value="yes"]').click()
        expect(row).to_have_count(0)
        assert stored(world, "property-desk") is None
        allowed = "console: Failed to load resource: the server responded with a status of 422"  # the quiet hours
        assert [w for w in wrong if not w.startswith(allowed)] == []


def test_saving_keeps_names_with_commas_and_is_sent_once(visit: Visit, world: World) -> None:
    control = world.deps.control
    made = Subscription("dow", "web", sources=("Dow Jones & Company, Inc.", "财新、财经"), keys=("sector:a,b",))
    control.put_subscription(made)
    page, wrong = visit("/subscriptions/edit/dow")
    page.locator('[name="digest"]').select_option("daily")
    page.locator('[name="digest_at"]').fill("")
    page.locator('[name="digest"]').select_option("none")  # the empty time is hidden, and in nobody's way
    page.locator('[name="sources"]').focus()
    page.keyboard.press("Control+End")
    page.keyboard.type("\n Reuters \n")
    sent: list[str] = []
    page.on("request", lambda r: sent.append(r.url) if r.method == "PUT" else None)
    page.locator('button[type="submit"]').evaluate("b => { b.click(); b.click(); }")
    expect(page.locator('.subscription[data-id="dow"]')).to_contain_text("Reuters")
    assert stored(world, "dow") == made._replace(sources=(*made.sources, "Reuters"))
    assert len(sent) == 1 and wrong == []


def test_why_it_was_sent_or_not(visit: Visit, world: World) -> None:
    control = world.deps.control
    control.put_subscription(Subscription("desk", "webhook", name="Desk"))
    control.put_subscription(Subscription("other", "webhook", entities=("TSVR.US",)))
    fired = alert("LMRA.US", NOW - timedelta(hours=2), NOW - timedelta(hours=1), (18, 20, 0, 2))
    Record(control, world.deps.clock)([fired])
    [row] = control.deliveries(fired.alert_id)
    control.finish_delivery(row.id, "dead", "Answered 404.")
    page, wrong = visit(f"/alerts/{fired.alert_id}")
    page.locator('a[href^="/deliveries?id="]').click()
    expect(page.locator("#deliveries")).to_contain_text(
        "Companies is Tessaver Semiconductor; the alert has Lumora Therapeutics"
    )
    expect(page.locator("#deliveries")).to_contain_text("Answered 404.")
    page.locator("[data-retry]").click()
    expect(page.locator("[data-retry]")).to_have_count(0)
    again = control.delivery(row.id)
    assert again is not None and again.state == "pending"
    page.locator('a[href="/deliveries?subscription=desk"]').click()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".asked")).to_be_visible()
    assert wrong == []


@pytest.mark.parametrize("lang", ["en-GB", "zh-CN"])
def test_nothing_sticks_out_at_360_px(visit: Visit, world: World, lang: str) -> None:
    world.deps.control.put_subscription(
        Subscription("a-rather-long-name-without-a-break", "slack", SLACK, entities=("NRTH.US", "8888.HK"))
    )
    for path in ("/subscriptions", "/subscriptions/new", "/deliveries"):
        page, wrong = visit(path, width=360, locale=lang)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        assert wrong == []
