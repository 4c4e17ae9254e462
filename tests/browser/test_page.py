"""What a reader sees and does, in a real browser."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from playwright.sync_api import Page, expect

from pipeline.errors import WindvaneError
from pipeline.records import encode
from tests.browser.seed import NOW, World, alert, explained, opinion, served

Visit = Callable[..., tuple[Page, list[str]]]


def paths(world: World) -> tuple[str, ...]:
    return ("/", "/key/entity:TSVR.US?range=7d", f"/alerts/{world.crisis_zh}", "/search?q=停工", "/key/all?range=28d")


def test_every_page_loads_without_a_fault_or_a_foreign_request(visit: Visit, world: World) -> None:
    for path in paths(world):
        page, wrong = visit(path)
        if page.locator("#chart").count():
            expect(page.locator("#chart")).to_have_attribute("data-state", "ready")
        expect(page.locator("#pulse")).to_have_attribute("data-state", "replay")
        page.wait_for_timeout(300)
        assert wrong == [], path


@pytest.mark.parametrize("lang", ["en-GB", "zh-CN"])
def test_nothing_sticks_out_at_360_px(visit: Visit, world: World, lang: str) -> None:
    for path in (*paths(world), f"/alerts/{world.crisis_en}", "/nope"):
        page, _ = visit(path, width=360, locale=lang)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_an_alert_appears_by_itself(visit: Visit, world: World) -> None:
    page, wrong = visit("/")
    expect(page.locator("#pulse")).to_have_attribute("data-state", "replay")  # the stream is open
    fired = alert("LMRA.US", NOW - timedelta(hours=1), NOW, (18, 20, 0, 2))
    world.deps.bus.publish("alerts", [(fired.key, encode(fired))])
    world.deps.control.record_alert(fired, [])
    row = page.locator(f'[data-alert="{fired.alert_id}"]')
    expect(row).to_contain_text("18 of 20 negative, usually 0 to 2", timeout=10_000)
    expect(page.locator("#toast")).to_contain_text("New alert: Lumora Therapeutics")
    row.click()
    expect(page.locator("#who-name")).to_have_text("Lumora Therapeutics")
    expect(page.locator("#why-sentence")).to_contain_text("18 of 20 stories")
    assert wrong == []


def publish(world: World, text: str, seed: int = 1) -> None:
    o = opinion(text, NOW - timedelta(seconds=1), "QHVN.US", "negative", Random(seed), source="chirp")
    world.deps.store.write([o])
    world.deps.bus.publish("opinions", [(o.story_id, encode(o))])


def test_texts_flow_in_but_wait_while_they_are_read(visit: Visit, world: World) -> None:
    page, _ = visit("/")
    stream = page.locator("#stream")
    expect(stream.locator("li").first).to_be_visible()
    publish(world, "first fresh text")
    expect(stream.locator("li").first).to_contain_text("first fresh text", timeout=8000)
    stream.hover()
    for i in range(3):
        publish(world, f"waiting text {i}", i)
    expect(page.locator("#fresh")).to_have_text("3 new", timeout=8000)
    expect(stream.locator("li").first).to_contain_text("first fresh text")
    page.locator("#fresh").click()
    expect(stream.locator("li").first).to_contain_text("waiting text 2")


def test_language_switch_is_kept(visit: Visit) -> None:
    page, _ = visit("/")
    expect(page.locator("#open-title")).to_contain_text("Open alerts")
    page.locator("#lang").click()
    expect(page.locator("#open-title")).to_contain_text("当前预警")
    expect(page.locator("#who-name")).to_have_text("恒岳地产")
    page.goto(page.url.split("?", maxsplit=1)[0])
    expect(page.locator("#open-title")).to_contain_text("当前预警")


def test_theme_is_kept(visit: Visit) -> None:
    page, _ = visit("/", color_scheme="light")
    page.locator("#theme").click()
    page.reload()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 22)"


def test_search_a_chinese_word_from_the_bar(visit: Visit) -> None:
    page, wrong = visit("/", locale="zh-CN")
    page.keyboard.press("/")
    page.keyboard.type("停工")
    page.keyboard.press("Enter")
    expect(page.locator("#results mark").first).to_have_text("停工")
    assert page.locator("#results .result").count() == 20
    assert wrong == []


def test_names_and_tickers_are_suggested(visit: Visit) -> None:
    page, _ = visit("/")
    page.locator("#find").fill("恒岳")
    first = page.locator("#found-keys li").first
    expect(first).to_contain_text("Hengyue Property")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#who-name")).to_have_text("Hengyue Property")
    assert "/key/entity%3A8888.HK" in page.url


def test_the_alert_page_shows_its_evidence(visit: Visit, world: World) -> None:
    page, _ = visit(f"/alerts/{world.crisis_zh}")
    for part in (
        "37 / 52",
        "0–5",
        "×14.8",
        "71%",
        "Why this is not chance",
        "once in 30M times",
        "×31",
        "negative_spike v1",
    ):
        expect(page.locator("#alert")).to_contain_text(part)
    expect(page.locator("#alert time").first).to_have_text("20 Nov 2026 19:45")  # Shanghai
    assert page.locator("#alert time").first.get_attribute("title") == "2026-11-20 11:45:20 UTC"
    for link in page.locator("#alert .story .headline a").all():
        assert link.get_attribute("rel") == "noopener noreferrer nofollow"


def test_acknowledge_and_judge(visit: Visit, world: World) -> None:
    page, wrong = visit(f"/alerts/{world.crisis_zh}")
    page.locator('[data-act="ack"]').click()
    expect(page.locator("#done")).to_contain_text("✓ Acknowledged")
    expect(page.locator('[data-act="ack"]')).to_be_disabled()
    page.locator('[data-act="wrong"]').click()
    expect(page.locator('[data-act="wrong"]')).to_have_attribute("aria-pressed", "true")
    episode = world.deps.control.episode(world.crisis_zh)
    assert episode is not None and episode.acked_at == NOW and episode.useful is False
    page.reload()
    expect(page.locator("#done")).to_contain_text("✓ Acknowledged")
    assert wrong == []


def test_assign_resolve_and_silence(visit: Visit, world: World) -> None:
    page, wrong = visit(f"/alerts/{world.crisis_zh}")
    page.locator("#hand summary").click()
    page.locator('[name="by"]').fill("li")
    page.locator('[name="to"]').fill("wang")
    page.locator('[data-form="assign"] button').click()
    expect(page.locator("#assigned")).to_have_text("Assigned to wang")
    page.locator('[data-act="snooze_key"]').click()
    expect(page.locator("#toast")).to_contain_text("Silenced for 24 hours")
    page.locator('[name="reason"]').fill("known since May")
    page.keyboard.press("Enter")
    expect(page.locator("#closed")).to_have_text("Resolved by li: known since May")
    page.reload()
    expect(page.locator("#closed")).to_have_text("Resolved by li: known since May")
    expect(page.locator(".lead")).to_contain_text("All alerts of this are silenced by li until")
    found = world.deps.control.episode(world.crisis_zh)
    assert found is not None and (found.assigned_to, found.resolved_by, found.status) == ("wang", "li", "resolved")
    assert wrong == []


def test_the_keyboard_is_enough(visit: Visit, world: World) -> None:
    page, _ = visit("/")
    expect(page.locator("#chart")).to_have_attribute("data-state", "ready")
    page.keyboard.press("j")
    expect(page.locator("#who-name")).not_to_have_text("Hengyue Property")
    page.keyboard.press("k")
    expect(page.locator("#who-name")).to_have_text("Hengyue Property")
    page.keyboard.press("a")
    expect(page.locator("#alerts .selected")).to_contain_text("acknowledged")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/alerts/{world.crisis_zh}$"), timeout=15_000)


def test_hostile_text_stays_text(visit: Visit) -> None:
    for path in ("/", "/key/entity:8888.HK", "/search?q=onerror"):
        page, wrong = visit(path)
        expect(page.get_by_text("<img src=x onerror=").first).to_be_visible()
        page.wait_for_timeout(300)
        assert page.locator("main img").count() == 0 and page.title() not in ("1", "2")
        assert page.locator('a[href^="javascript:"]').count() == 0
        assert wrong == [], path


def test_a_range_can_be_shared(visit: Visit) -> None:
    page, _ = visit("/key/entity:TSVR.US")
    page.locator('.range[data-range="7d"]').click()
    expect(page.locator('.range[data-range="7d"]')).to_have_attribute("aria-pressed", "true")
    assert page.url.endswith("/key/entity:TSVR.US?range=7d")


def test_a_lost_connection_is_said_and_heals(visit: Visit, world: World) -> None:
    with served(world.deps) as address:
        page, _ = visit(address=address)
        expect(page.locator("#pulse")).to_have_attribute("data-state", "replay")
    expect(page.locator("#pulse")).to_have_attribute("data-state", "offline", timeout=15_000)
    expect(page.locator("#banner-offline")).to_be_visible()
    with served(world.deps, int(address.rpartition(":")[2])):
        expect(page.locator("#banner-offline")).to_be_hidden(timeout=15_000)
        expect(page.locator("#pulse")).to_have_attribute("data-state", "replay", timeout=15_000)


def test_contrast_is_enough_in_both_themes(visit: Visit) -> None:
    """Every token used for text against every ground it stands on: at least 4.5 : 1."""
    pairs = [
        (text, ground)
        for text in ("--text", "--quiet", "--negative", "--positive", "--neutral")
        for ground in ("--panel", "--ground")
    ]
    pairs += [("--negative", "--negative-soft"), ("--text", "--negative-soft"), ("--quiet", "--sunk")]
    pairs += [("--text", "--accent-soft"), ("--quiet", "--accent-soft"), ("--accent", "--panel")]
    pairs += [("--on-accent", "--accent"), ("--text", "--mark")]
    for scheme in ("light", "dark"):
        page, _ = visit("/search", color_scheme=scheme)
        for text, ground in pairs:
            ratio = page.evaluate(CONTRAST, [text, ground])
            assert ratio >= 4.5, f"{scheme}: {text} on {ground} is {ratio:.2f}"


CONTRAST = """([a, b]) => {
  const luminance = (name) => {
    const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
  return (x + 0.05) / (y + 0.05);
}"""


@pytest.mark.parametrize("lang, theme", [("en-GB", "light"), ("zh-CN", "dark")])
def test_a_text_says_why_when_asked(visit: Visit, world: World, lang: str, theme: str) -> None:
    with served(replace(world.deps, explain=explained)) as address:
        page, wrong = visit("/search?q=停工", address=address, locale=lang, color_scheme=theme)
        row = page.locator(".result").first
        row.locator("[data-why]").click()
        box = row.locator(".explained")
        expect(box.locator("mark.for").first).to_be_visible()
        assert box.locator(".marked").inner_text() == explained_text(world, row.get_attribute("data-id"))
        assert "log-odds" in (box.locator("mark").first.get_attribute("title") or "") or lang == "zh-CN"
        expect(box).to_contain_text("93%")
        row.locator("[data-why]").click()
        expect(box).to_be_hidden()
        row.locator("[data-why]").click()
        expect(box).to_be_visible()
        assert wrong == []


def test_why_that_cannot_be_told_is_said_and_can_be_asked_again(visit: Visit, world: World) -> None:
    def broken(*_: object) -> dict[str, object]:
        raise WindvaneError("the model is away")

    with served(replace(world.deps, explain=broken)) as address:
        page, _ = visit("/search?q=停工", address=address)
        row = page.locator(".result").first
        row.locator("[data-why]").click()
        expect(row).to_contain_text("the model is away")
        expect(row.locator(".explained")).to_have_count(0)
        row.locator("[data-why]").click()
        expect(row.locator(".warn")).to_have_count(1)


def explained_text(world: World, text_id: str | None) -> str:
    return world.deps.store.get([text_id or ""])[0].text
