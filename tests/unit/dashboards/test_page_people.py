"""The pages of subscriptions and deliveries: everything shown in both languages, addresses never, hostile names as
text; what was not sent says why."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from msgspec.structs import replace

from pipeline.control.base import Subscription, Watch
from pipeline.stages.record import Record
from tests.browser.seed import HOSTILE, NOW, World, alert

Fresh = Callable[[], tuple[World, TestClient]]
SLACK = "https://hooks.slack.com/services/T0/B0/abcdefghijklmnopqrst"
FULL = Subscription(
    "ann", "slack", SLACK, name="Property", owner="Ann Li", keys=("watch:w1",), entities=("8888.HK",),
    topics=("credit_default",), languages=("zh",), sources=("财新",), tiers=(1,), severities=("S1",),
    rules=("gone-rule",), zone="Asia/Shanghai", quiet="22:00-07:30", daily_cap=7, escalate_to="duty", escalate_min=15,
)  # fmt: skip


@pytest.fixture
def made(fresh: Fresh) -> tuple[World, TestClient]:
    world, client = fresh()
    world.deps.control.put_watch(Watch("w1", "Rate cuts", "keyword", "cut"))
    for s in (FULL, Subscription("duty", "web"), Subscription("off", "log", active=False, name=HOSTILE)):
        world.deps.control.put_subscription(s)
    return world, client


def fired(world: World, entity: str = "8888.HK") -> str:
    found = alert(entity, NOW - timedelta(hours=2), NOW - timedelta(hours=1), (9, 12, 0, 2))
    Record(world.deps.control, world.deps.clock)([found])
    return found.alert_id


def test_the_list_says_what_where_and_when(made: tuple[World, TestClient]) -> None:
    _, client = made
    for lang, words in (
        ("en", ("Hengyue Property", "Rate cuts", "quiet 22:00-07:30", "at most 7", "Severe", "to duty after 15 min")),
        (
            "zh",
            ("恒岳地产", "免打扰 22:00-07:30", "每天最多 7 条", "15 分钟无人确认则通知 duty", "已暂停"),
        ),
    ):
        page = client.get(f"/subscriptions?lang={lang}").text
        assert [w for w in words if w not in page] == []
        assert "abcdefghijkl" not in page and "<img src=x" not in page and "&lt;img src=x" in page


def test_held_alerts_are_counted_with_their_reason(fresh: Fresh) -> None:
    world, client = fresh()
    held = Subscription("night", "email", "a@example.org", quiet="22:00-07:30", zone="Asia/Shanghai")
    world.deps.control.put_subscription(held)
    fired(world)
    fired(world, "LMRA.US")
    page = client.get("/subscriptions").text
    assert "2 alerts: quiet hours" in page and "2026-11-20 23:30" in page


def test_what_was_let_go_and_is_tried_again_is_not_told_as_held(fresh: Fresh) -> None:
    world, client = fresh()
    held = Subscription("night", "email", "a@example.org", quiet="22:00-07:30", zone="Asia/Shanghai")
    world.deps.control.put_subscription(held)
    alert_id = fired(world)
    assert "quiet hours" in client.get(f"/deliveries?id={alert_id}").text
    [row] = world.deps.control.deliveries(alert_id)
    for state, said in (("retry", "tried, again soon"), ("accepted", "sent")):
        world.deps.control.finish_delivery(row.id, state, "421 Busy.", NOW)
        page = client.get(f"/deliveries?id={alert_id}").text
        assert said in page and "421 Busy." in page and "quiet hours" not in page, state


def test_the_form_shows_every_field_as_it_is(made: tuple[World, TestClient]) -> None:
    _, client = made
    page = client.get("/subscriptions/edit/ann").text
    for piece in (
        'data-value="8888.HK"', 'value="watch:w1" data-list="value" checked', 'value="S1" data-list="value" checked',
        'value="credit_default" data-list="value" checked', 'value="zh" data-list="value" checked',
        'value="gone-rule" data-list="value" checked', ">财新</textarea>", 'value="Asia/Shanghai"', 'value="22:00"',
        'value="07:30"', 'value="7"', '<option value="duty" selected>', 'value="15"',
    ):  # fmt: skip
        assert piece in page, piece
    assert "abcdefghijkl" not in page and 'method="post"' in page  # without JavaScript no address enters a query
    assert client.get("/subscriptions/edit/none").status_code == 404


def test_a_new_one_is_filled_in_from_the_address(fresh: Fresh) -> None:
    _, client = fresh()
    page = client.get("/subscriptions/new?entity=8888.HK&topic=earnings").text
    assert 'data-value="8888.HK"' in page and 'value="earnings" data-list="value" checked' in page


def test_what_is_gone_is_kept_until_somebody_drops_it(made: tuple[World, TestClient]) -> None:
    world, client = made
    world.deps.control.put_subscription(FULL._replace(topics=("old_topic",), keys=("watch:gone", "sector:banks")))
    page = client.get("/subscriptions/edit/ann").text
    assert 'value="old_topic" data-list="value" checked' in page and ">watch:gone\nsector:banks</textarea>" in page


def test_a_form_without_json_changes_nothing(fresh: Fresh) -> None:
    world, client = fresh()
    assert client.post("/subscriptions", data={"id": "a", "channel": "web"}).status_code == 415
    assert world.deps.control.subscriptions() == []


def test_why_it_was_not_sent(made: tuple[World, TestClient]) -> None:
    world, client = made
    alert_id = fired(world, "LMRA.US")
    page = client.get(f"/deliveries?id={alert_id[:8]}").text
    assert "Companies is Hengyue Property; the alert has Lumora Therapeutics" in page
    assert "Severity is Severe; the alert has Serious" in page and "the subscription was off" in page
    assert "公司为 恒岳地产，此预警为 卢莫拉制药" in client.get(f"/deliveries?id={alert_id}&lang=zh").text
    unknown = client.get("/deliveries?id=nothing&lang=en")
    assert unknown.status_code == 404 and "neither an alert nor a delivery nothing" in unknown.text


def test_of_a_short_id_that_several_have_the_page_says_so(made: tuple[World, TestClient]) -> None:
    world, client = made
    first = alert("LMRA.US", NOW - timedelta(hours=2), NOW - timedelta(hours=1), (9, 12, 0, 2))
    both = [first, replace(first, alert_id=f"{first.alert_id[:8]}-other")]
    Record(world.deps.control, world.deps.clock)(both)
    found = client.get(f"/deliveries?id={first.alert_id[:8]}&lang=en")
    assert found.status_code == 422 and "with which 2 begin" in found.text and both[1].alert_id in found.text
    assert "neither an alert" not in found.text and client.get("/deliveries?id=nothing").status_code == 404


def test_names_are_escaped_once(fresh: Fresh) -> None:
    world, client = fresh()
    world.deps.control.put_watch(Watch("w1", "AT&T", "keyword", "att"))
    world.deps.control.put_subscription(Subscription("a", "web", keys=("watch:w1",), sources=("<b>", "Dow & Co")))
    for path in (f"/deliveries?id={fired(world)}", "/subscriptions"):
        page = client.get(path, headers={"accept-language": "en"}).text
        assert "AT&amp;T" in page and "&amp;amp;" not in page and "&amp;lt;" not in page, path
        assert "&lt;b&gt;" in page and "Dow &amp; Co" in page and "<b>," not in page, path


def test_the_providers_answer_is_shown_and_can_be_asked_again(made: tuple[World, TestClient]) -> None:
    world, client = made
    alert_id = fired(world)
    row = next(d for d in world.deps.control.deliveries(alert_id) if d.subscription_id == "duty")
    world.deps.control.finish_delivery(row.id, "dead", "404 <b>no_service</b>")
    page = client.get(f"/deliveries?id={row.id}&lang=en").text
    assert "404 &lt;b&gt;no_service" in page and f'data-retry="{row.id}"' in page and "said asked" in page
    listed = client.get("/deliveries?subscription=duty&state=dead&lang=en").text
    assert "no_service" in listed and listed.count("/deliveries?id=") == 1
    assert "no_service" not in client.get("/deliveries?subscription=duty&state=accepted").text
    assert client.get("/deliveries?state=wrong").status_code == 200


def test_what_a_deleted_one_was_sent_stays_on_record(made: tuple[World, TestClient]) -> None:
    world, client = made
    alert_id = fired(world)
    world.deps.control.remove_subscription("duty")
    assert "The subscription was deleted" in client.get(f"/deliveries?id={alert_id}&lang=en").text
