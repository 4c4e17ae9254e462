"""One feed, polled politely: conditional requests, the pace that it and its host ask for, back-off when it fails."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import aiohttp
import msgspec
import structlog
from yarl import URL

from pipeline.clock import Clock
from pipeline.sources.base import Item
from pipeline.sources.entries import BrokenFeed, Document, read_document
from pipeline.sources.feeds_config import Feed
from pipeline.sources.fields import rejected
from pipeline.sources.http import Answer, Client, Refused, retry_after
from pipeline.sources.robots import Robots

log = structlog.get_logger(__name__)

SLOWEST = 8  # an idle feed is polled at most this many times slower than its interval
LONGEST_S = 86_400.0
SEEN = 300  # ids remembered beyond those in the document
HOST_SPACING_S = 1.0
ACCEPT = "application/atom+xml, application/rss+xml, application/rdf+xml, application/xml;q=0.9, */*;q=0.5"


class FeedState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered of a feed over a restart."""

    etag: str = ""
    modified: str = ""
    seen: tuple[str, ...] = ()  # oldest first


class FeedHealth(NamedTuple):
    """How a feed is doing. `last_new`: when it last had an entry that we had not seen."""

    name: str
    url: str
    last_ok: datetime | None = None
    last_new: datetime | None = None
    last_error: str = ""
    last_error_at: datetime | None = None
    failures: int = 0  # in a row
    next_at: datetime | None = None


class HostGate:
    """Spaces the requests to one host. `seconds` is a monotonic clock."""

    def __init__(self, seconds: Callable[[], float], spacing: float = HOST_SPACING_S) -> None:
        self._seconds = seconds
        self._spacing = spacing
        self._free_at: dict[str, float] = {}

    async def wait(self, url: str, delay: float = 0.0) -> None:
        """Return when the host may be asked; the next caller waits its spacing (or `delay`, at most a minute) more."""
        host = URL(url).host or ""
        now = self._seconds()
        at = max(now, self._free_at.get(host, now))
        self._free_at[host] = at + max(self._spacing, min(delay, 60.0))
        await asyncio.sleep(at - now)


class Surroundings(NamedTuple):
    """What the feeds of one source share."""

    client: Client
    robots: Robots
    gate: HostGate
    clock: Clock


class Trouble(Exception):
    """A poll that failed; the message is a sentence. `after`: do not come back before, in seconds."""

    def __init__(self, reason: str, after: float = 0.0, broken: bytes | None = None) -> None:
        super().__init__(reason)
        self.after = after
        self.broken = broken  # what came instead of a feed


class Poller:
    """Polls one feed; its state moves on only as its items are handed out."""

    def __init__(self, feed: Feed, state: FeedState, around: Surroundings) -> None:
        self.feed = feed
        self.state = state
        self.health = FeedHealth(feed.name, feed.url)
        self.due = around.clock()
        self._around = around
        self._pace = feed.interval

    async def poll(self) -> list[tuple[Item, FeedState]]:
        """The new entries, oldest first, each with the state after it. Never raises for what a feed does wrong: a
        failure is in `health`, and one Rejected when the feed has become something else."""
        now = self._around.clock()
        try:
            answer = await self._fetch()
            found, hint = ([], 0.0) if answer.status == 304 else await self._read(answer)
        except Trouble as e:
            return self._failed(e, now)
        new = bool(found)
        self._pace = self.feed.interval if new else min(self._pace * 1.5, self.feed.interval * SLOWEST)
        self._next(now, max(self._pace, min(hint, self.feed.interval * SLOWEST)))
        self.health = self.health._replace(
            last_ok=now, last_new=now if new else self.health.last_new, last_error="", failures=0, next_at=self.due
        )
        return found

    async def _fetch(self) -> Answer:
        """A 200 or a 304; raises Trouble for everything else."""
        url, around = self.feed.url, self._around
        headers = {"Accept": ACCEPT}
        if self.state.etag:
            headers["If-None-Match"] = self.state.etag
        if self.state.modified:
            headers["If-Modified-Since"] = self.state.modified
        rules = await around.robots.rules(url)
        if rules.trouble:
            raise Trouble(f"{url} is not fetched while its robots.txt cannot be had: {rules.trouble}.")
        if not rules.allows(url):
            raise Trouble(f"robots.txt of {URL(url).host} does not let Windvane fetch {url}.", LONGEST_S)
        await around.gate.wait(url, rules.delay())
        try:
            answer = await around.client.get(url, headers)
        except TimeoutError as e:
            raise Trouble(f"{url} gave no answer in time.") from e
        except (Refused, aiohttp.ClientError) as e:
            raise Trouble(f"{url} cannot be fetched: {e or type(e).__name__}") from e
        if answer.moved:
            log.warning("feed has moved for good; update feeds.toml", feed=self.feed.name, to=answer.url)
        if answer.status in (200, 304):
            return answer
        wait = retry_after(answer.headers, around.clock()) or 0.0
        gone = " It is gone for good; remove it from feeds.toml." if answer.status == 410 else ""
        raise Trouble(f"{url} answered {answer.status}.{gone}", LONGEST_S if gone else min(wait, LONGEST_S))

    async def _read(self, answer: Answer) -> tuple[list[tuple[Item, FeedState]], float]:
        """New entries with the states after them, and how long the feed asks to be left alone."""
        content_type = answer.headers.get("Content-Type", "")
        try:  # in a thread: a large feed takes seconds to parse
            document = await asyncio.to_thread(
                read_document, self.feed, answer.body, content_type, self._around.clock()
            )
        except BrokenFeed as e:
            raise Trouble(str(e), broken=answer.body) from e
        except Exception as e:  # feedparser on hostile input
            raise Trouble(f"{self.feed.url} cannot be parsed ({type(e).__name__}: {e}).", broken=answer.body) from e
        found = _unseen(document, self.state, answer.headers)
        if not found:  # nothing to hand out, so nothing to wait for
            self.state = _with_validators(self.state, answer.headers)
        return found, max(document.ttl_s or 0.0, _max_age(answer.headers))

    def _failed(self, trouble: Trouble, now: datetime) -> list[tuple[Item, FeedState]]:
        first = self.health.failures == 0
        failures = self.health.failures + 1
        self._next(now, max(trouble.after, min(self.feed.interval * 2 ** min(failures, 20), LONGEST_S)))
        self.health = self.health._replace(
            last_error=str(trouble), last_error_at=now, failures=failures, next_at=self.due
        )
        log.warning("feed failed", feed=self.feed.name, reason=str(trouble), failures=failures, next_at=self.due)
        if first and trouble.broken is not None:
            return [(rejected(str(trouble), trouble.broken[:65_536], self.feed.url, now), self.state)]
        return []

    def _next(self, now: datetime, seconds: float) -> None:
        self.due = now + timedelta(seconds=seconds)


def _unseen(document: Document, state: FeedState, headers: Mapping[str, str]) -> list[tuple[Item, FeedState]]:
    """New entries, each with the state after it. Only the last carries the new validators: were the process to die
    before it, a 304 would hide the rest."""
    known = set(state.seen)
    keep = SEEN + len(document.entries)
    found: list[tuple[Item, FeedState]] = []
    for entry in document.entries:
        if entry.key not in known:
            known.add(entry.key)
            state = msgspec.structs.replace(state, seen=(*state.seen, entry.key)[-keep:])
            found.append((entry.item, state))
    if found:
        found[-1] = (found[-1][0], _with_validators(state, headers))
    return found


def _with_validators(state: FeedState, headers: Mapping[str, str]) -> FeedState:
    return msgspec.structs.replace(
        state, etag=headers.get("ETag", "")[:512], modified=headers.get("Last-Modified", "")[:128]
    )


def _max_age(headers: Mapping[str, str]) -> float:
    for part in headers.get("Cache-Control", "").lower().split(","):
        name, _, value = part.strip().partition("=")
        if name == "max-age" and value.isascii() and value.isdigit():
            return float(value[:7])
    return 0.0
