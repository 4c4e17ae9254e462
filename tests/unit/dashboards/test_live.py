"""The live stream: nothing lost that must not be, nothing sent twice, and never more than a reader can take."""

from datetime import timedelta
from random import Random

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards.desk import Desk
from dashboards.live import BACKLOG, PER_TICK, Feed, Position, stream
from pipeline.records import encode
from tests.browser.seed import NOW, World, alert, opinion, seeded


def publish(world: World, n: int, start: int = 0) -> None:
    rng = Random(start)
    texts = [opinion(f"text {start + i}", NOW, "8888.HK", "neutral", rng, source="chirp") for i in range(n)]
    world.deps.bus.publish("opinions", [(o.story_id, encode(o)) for o in texts])


def texts_of(events: list) -> list[str]:
    return [data["text"] for kind, data in events if kind == "opinion"]


def test_a_new_page_gets_the_newest_few() -> None:
    world = seeded(empty=True)
    publish(world, BACKLOG + 30)
    feed = Feed(world.deps, Desk(world.deps), None)
    first = feed.look()
    assert texts_of(first.events)[0] == "text 30" and len(first.events) == BACKLOG and first.skipped == 0
    assert feed.look().events == []


def test_a_flood_is_thinned_and_counted() -> None:
    world = seeded(empty=True)
    feed = Feed(world.deps, Desk(world.deps), None)
    feed.look()
    publish(world, 1000)
    tick = feed.look()
    assert texts_of(tick.events) == [f"text {i}" for i in range(1000 - PER_TICK, 1000)]
    assert tick.skipped == 1000 - PER_TICK and tick.position.opinions == 1000


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, PER_TICK), min_size=1, max_size=8), st.data())
def test_coming_back_loses_nothing_and_repeats_nothing(bursts: list[int], data: st.DataObject) -> None:
    world = seeded(empty=True)
    desk = Desk(world.deps)
    feed = Feed(world.deps, desk, None)
    feed.look()
    got: list[str] = []
    total = 0
    for n in bursts:
        publish(world, n, total)
        total += n
        tick = feed.look()
        got += texts_of(tick.events)
        if data.draw(st.booleans()):
            feed = Feed(world.deps, desk, str(tick.position))
    assert got == [f"text {i}" for i in range(total)]


def test_an_alert_waits_until_it_can_be_opened() -> None:
    world = seeded(empty=True)
    feed = Feed(world.deps, Desk(world.deps), None)
    fired = alert("8888.HK", NOW - timedelta(hours=2), NOW - timedelta(hours=1), (9, 12, 0, 2))
    world.deps.bus.publish("alerts", [(fired.key, encode(fired))])
    assert feed.look().events == [] and feed.position.alerts == 0
    world.deps.control.record_alert(fired, [])
    tick = feed.look()
    assert [(kind, data["alert_id"]) for kind, data in tick.events] == [("alert", fired.alert_id)]
    assert feed.look().events == [] and feed.position.alerts == 1


def test_what_cannot_be_read_is_passed_over() -> None:
    world = seeded(empty=True)
    feed = Feed(world.deps, Desk(world.deps), None)
    world.deps.bus.publish("opinions", [("k", b"{}")])
    world.deps.bus.publish("alerts", [("k", b"not json")])
    publish(world, 1)
    assert texts_of(feed.look().events) == ["text 0"] and feed.position == Position(2, 1)


def test_a_foreign_place_in_the_stream_starts_anew() -> None:
    world = seeded(empty=True)
    publish(world, 3)
    for text in (None, "", "x", "1", "1.2.3", "-1.2", "1.x", "９.1", "9" * 30 + ".1", "999.999"):
        assert len(Feed(world.deps, Desk(world.deps), text).look().events) == 3, text


def test_the_stream_sends_status_first_and_ends_with_its_reader() -> None:
    world = seeded(empty=True, poll_s=0.01)
    publish(world, 2)

    async def read() -> list:
        left = 3

        async def gone() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        return [e async for e in stream(world.deps, Desk(world.deps), None, gone)]

    events = anyio.run(read)
    assert [e.event for e in events] == [None, "opinion", "opinion", "status"]
    assert events[1].id == "2.0" and events[-1].data["mode"] == "replay"
