"""Polling against a server on this machine: polite, resumable, and no feed can harm another."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from pipeline.errors import WindvaneError
from pipeline.records import Raw, Rejected
from pipeline.sources.base import Item
from pipeline.sources.feeds import Feed, FeedSource, decode_position
from pipeline.sources.http import Caps, Client, open_session
from pipeline.sources.poll import FeedHealth, FeedState, HostGate, Poller, Surroundings
from pipeline.sources.robots import Robots

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def rss(*titles: str, extra: str = "") -> str:
    """Newest first, as feeds are; the ids are the titles."""
    items = "".join(f"<item><title>{t}</title><guid isPermaLink='false'>{t}</guid></item>" for t in titles)
    return f"<?xml version='1.0'?><rss version='2.0'><channel><title>t</title>{extra}{items}</channel></rss>"


class Site:
    """A server whose answers are set as the test goes on. robots.txt allows unless set."""

    def __init__(self, server: HTTPServer) -> None:
        self.server = server
        self.answers: dict[str, Callable[[Request], Response]] = {}
        self.asked: list[Request] = []
        server.expect_request("/robots.txt").respond_with_handler(self._robots)
        self.robots = Response("", status=404)
        self.robots_asked = 0

    def _robots(self, _: Request) -> Response:
        self.robots_asked += 1
        return self.robots

    def set(self, path: str, answer: Response | str | Callable[[Request], Response]) -> Feed:
        if path not in self.answers:
            self.server.expect_request(path).respond_with_handler(lambda r: self._answer(path, r))
        if callable(answer) and not isinstance(answer, Response):
            self.answers[path] = answer
        else:
            self.answers[path] = lambda _: answer if isinstance(answer, Response) else Response(answer)
        return Feed(self.server.url_for(path), path.strip("/"))

    def _answer(self, path: str, request: Request) -> Response:
        self.asked.append(request)
        return self.answers[path](request)


class Polling:
    """One feed polled on a clock that only the test moves."""

    def __init__(self, feed: Feed, caps: Caps = Caps(seconds=5)) -> None:
        self.feed = feed
        self.now = NOW
        self.state = FeedState()
        self.health = FeedHealth(feed.name, feed.url)
        self._caps = caps
        self._poller: Poller | None = None

    def poll(self) -> list[Item]:
        return asyncio.run(self._poll())

    async def _poll(self) -> list[Item]:
        async with open_session("Windvane/test", self._caps, True) as session:
            client = Client(session, self._caps, True)
            around = Surroundings(client, Robots(client, time.monotonic), HostGate(time.monotonic, 0), lambda: self.now)
            if self._poller is None:
                self._poller = Poller(self.feed, self.state, around)
            poller = self._poller
            poller._around = around  # the session belongs to this loop; the poller's memory goes on
            found = await poller.poll()
            for _, poller.state in found:
                pass
            self.health, self.state = poller.health, poller.state
            self.wait = (poller.due - self.now).total_seconds()
            return [item for item, _ in found]


@pytest.fixture(scope="module")
def server() -> Iterator[HTTPServer]:
    with HTTPServer(threaded=True) as server:  # a slow answer must not hold up the server itself
        yield server


@pytest.fixture
def site(server: HTTPServer) -> Site:
    server.clear()
    return Site(server)


def titles(items: list[Item]) -> list[str | None]:
    return [i.title for i in items if isinstance(i, Raw)]


def test_only_new_entries_oldest_first(site: Site):
    polling = Polling(site.set("/a", rss("2", "1")))
    assert titles(polling.poll()) == ["1", "2"]
    assert polling.poll() == []
    site.set("/a", rss("4", "3", "2"))
    assert titles(polling.poll()) == ["3", "4"]
    assert polling.health.failures == 0 and polling.health.last_new == NOW


def test_conditional_requests(site: Site):
    def answer(request: Request) -> Response:
        if request.headers.get("If-None-Match") == '"v1"':
            assert request.headers["If-Modified-Since"] == "Thu, 01 Jan 2026 00:00:00 GMT"
            return Response(status=304)
        return Response(rss("1"), headers={"ETag": '"v1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"})

    polling = Polling(site.set("/a", answer))
    assert titles(polling.poll()) == ["1"]
    assert polling.poll() == [] and polling.health.last_ok == NOW and polling.health.failures == 0
    assert len(site.asked) == 2
    assert site.asked[0].headers["User-Agent"] == "Windvane/test"


def test_a_quiet_feed_is_asked_less_often_and_a_lively_one_again(site: Site):
    polling = Polling(site.set("/a", rss("1")))
    waits = []
    for _ in range(9):
        polling.poll()
        waits.append(polling.wait)
    assert waits[0] == 600 and waits[1:3] == [900, 1350] and waits[-1] == 600 * 8
    site.set("/a", rss("2"))
    polling.poll()
    assert polling.wait == 600


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (Response(rss("1", extra="<ttl>30</ttl>")), 1800),
        (Response(rss("1"), headers={"Cache-Control": "public, max-age=1200"}), 1200),
        (Response(rss("1"), headers={"Cache-Control": "max-age=99999999"}), 4800),
        (Response(rss("1"), headers={"Cache-Control": "max-age=10"}), 600),
    ],
)
def test_the_pace_that_the_feed_asks_for(site: Site, answer, wait):
    polling = Polling(site.set("/a", answer))
    polling.poll()
    assert polling.wait == wait


@pytest.mark.parametrize(
    ("answer", "reason", "wait"),
    [
        (Response("", status=500), "answered 500", 1200),
        (Response("", status=404), "answered 404", 1200),
        (Response("", status=410), "gone for good", 86_400),
        (Response("", status=429, headers={"Retry-After": "7200"}), "answered 429", 7200),
        (Response("", status=503, headers={"Retry-After": "Fri, 02 Jan 2026 02:00:00 GMT"}), "answered 503", 7200),
        (Response("x" * 2_000_000), "more than 1000000 bytes", 1200),
        (Response("", status=302, headers={"Location": "/a"}), "redirects more than", 1200),
    ],
)
def test_failures_back_off_and_are_known(site: Site, answer, reason, wait):
    polling = Polling(site.set("/a", answer), Caps(seconds=5, bytes=1_000_000))
    assert polling.poll() == []
    assert reason in polling.health.last_error and polling.health.failures == 1 and polling.wait == wait
    assert polling.health.last_error_at == NOW and polling.health.last_ok is None
    polling.poll()
    assert polling.health.failures == 2 and polling.wait == max(wait, 2400)
    site.set("/a", rss("1"))
    assert titles(polling.poll()) == ["1"] and polling.health.failures == 0 and polling.health.last_error == ""


def test_a_slow_server(site: Site):
    release = threading.Event()

    def answer(_: Request) -> Response:
        release.wait(5)
        return Response("")

    polling = Polling(site.set("/a", answer), Caps(seconds=0.3))
    assert polling.poll() == [] and "no answer in time" in polling.health.last_error
    release.set()


def test_a_feed_that_became_a_web_page_is_one_dead_letter(site: Site):
    polling = Polling(site.set("/a", "<!DOCTYPE html><html>Sign in</html>"))
    [bad] = polling.poll()
    assert isinstance(bad, Rejected) and "found a web page" in bad.reason and bad.payload.startswith("<!DOCTYPE")
    assert bad.origin == polling.feed.url
    assert polling.poll() == [] and polling.health.failures == 2


@pytest.mark.parametrize(
    ("robots", "allowed"),
    [
        (Response("", status=404), True),
        (Response("", status=401), True),
        (Response("", status=500), False),
        (Response("User-agent: *\nDisallow: /"), False),
        (Response("User-agent: *\nDisallow: /a$"), False),
        (Response("User-agent: *\nDisallow: /\n\nUser-agent: Windvane\nAllow: /a"), True),
        (Response("User-agent: *\nDisallow: /b"), True),
        (Response(b"\xff\xfe rubbish"), True),
    ],
)
def test_robots_txt(site: Site, robots, allowed):
    site.robots = robots
    polling = Polling(site.set("/a", rss("1")))
    assert titles(polling.poll()) == (["1"] if allowed else [])
    assert len(site.asked) == int(allowed)
    if not allowed:
        assert "robots.txt" in polling.health.last_error
        assert polling.wait == (1200 if robots.status_code == 500 else 86_400)


def test_robots_txt_is_held_for_a_day_and_its_failure_for_less(site: Site):
    seconds = [0.0]

    async def ask(*times: float) -> int:
        async with open_session("t", Caps(), True) as session:
            robots = Robots(Client(session, Caps(), True), lambda: seconds[0])
            for seconds[0] in times:
                await asyncio.gather(*(robots.rules(site.server.url_for("/a")) for _ in range(3)))
        return site.robots_asked

    assert asyncio.run(ask(0, 80_000)) == 1
    assert asyncio.run(ask(0, 86_401)) == 3
    site.robots = Response("", status=500)
    assert asyncio.run(ask(0, 1_900)) == 5


def test_requests_to_one_host_are_spaced():
    now = [0.0]
    gate = HostGate(lambda: now[0], 0.05)

    async def ask() -> list[float]:
        began = time.monotonic()
        ended: list[float] = []

        async def one(url: str, delay: float = 0) -> None:
            await gate.wait(url, delay)
            ended.append(round(time.monotonic() - began, 2))

        await asyncio.gather(one("http://a/1"), one("http://a/2", 0.1), one("http://a/3"), one("http://b/1"))
        return sorted(ended)

    first, other, second, third = asyncio.run(ask())
    assert first < 0.04 and other < 0.04 and 0.04 <= second < 0.12 and third >= 0.14


# --- the source: many feeds, positions, stop


def run(feeds: list[Feed], position: str | None = None, take: int = 99, seconds: float = 2.0) -> list[tuple[Item, str]]:
    """Items until `take` are there or for `seconds`."""
    stop = threading.Event()
    timer = threading.Timer(seconds, stop.set)
    timer.start()
    source = FeedSource(feeds, stop, "ops@example.org", allow_private=True, clock=lambda: datetime.now(UTC), spacing=0)
    got = []
    items: Iterator[tuple[Item, str]] = source.items(position)
    for pair in items:
        got.append(pair)
        if len(got) == take:
            stop.set()
    timer.cancel()
    return got


def test_many_feeds_of_which_some_are_broken_or_slow(site: Site):
    release = threading.Event()

    def slow(_: Request) -> Response:
        release.wait(3)
        return Response(rss("late"))

    feeds = [
        site.set("/broken", Response("", status=500)),
        site.set("/page", "<html>no</html>"),
        Feed("http://127.0.0.1:9/nobody", "nobody"),
        site.set("/good", rss("2", "1")),
        site.set("/also", rss("3")),
    ]
    feeds.insert(0, site.set("/slow", slow))
    began = time.monotonic()
    got = run(feeds, take=4)
    release.set()
    assert time.monotonic() - began < 2
    assert sorted(i.title for i, _ in got if isinstance(i, Raw)) == ["1", "2", "3"]
    assert [i.origin for i, _ in got if isinstance(i, Rejected)] == [site.server.url_for("/page")]
    assert site.asked[0].headers["User-Agent"].startswith("Windvane/")
    assert site.asked[0].headers["User-Agent"].endswith("(+ops@example.org)")


def test_every_position_continues_exactly_after_its_item(site: Site):
    """Also between the entries of one document: its ETag must not hide those not handed out yet."""

    def answer(request: Request) -> Response:
        if request.headers.get("If-None-Match") == '"v1"':
            return Response(status=304)
        return Response(rss("3", "2", "1"), headers={"ETag": '"v1"'})

    feeds = [site.set("/a", answer), site.set("/b", rss("5", "4"))]
    full = run(feeds, take=5)
    everything = sorted(i.title for i, _ in full)
    assert everything == ["1", "2", "3", "4", "5"]
    for n, (_, position) in enumerate(full, 1):
        rest = run(feeds, position, take=5 - n or 99, seconds=0.3)
        assert sorted([i.title for i, _ in full[:n]] + [i.title for i, _ in rest]) == everything


def test_what_is_remembered_is_bounded(site: Site):
    polling = Polling(site.set("/a", rss(*(str(n) for n in range(400)))))
    assert len(polling.poll()) == 400
    assert len(polling.state.seen) == 400
    for start in range(400, 1400, 200):
        site.set("/a", rss(*(str(n) for n in range(start, start + 200))))
        assert len(polling.poll()) == 200 and len(polling.state.seen) <= 700


def test_a_position_that_is_none():
    with pytest.raises(WindvaneError, match="position of the feeds cannot be read"):
        decode_position("{")
    assert decode_position(None) == {}


def test_silent_sources(site: Site):
    feeds = [site.set("/good", rss("1")), site.set("/bad", Response("", status=500))]
    stop = threading.Event()
    source = FeedSource(feeds, stop, allow_private=True, spacing=0)
    assert [h.last_ok for h in source.health()] == [None, None] and source.silent(NOW) == []
    for _ in source.items(None):
        threading.Timer(0.3, stop.set).start()
    good, bad = source.health()
    assert good.last_ok and good.last_new and not good.failures
    assert bad.failures == 1 and "answered 500" in bad.last_error
    assert source.silent(datetime.now(UTC)) == [bad]
    assert source.silent(datetime.now(UTC) + timedelta(days=1)) == [bad]
