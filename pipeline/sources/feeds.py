"""RSS and Atom feeds as one source: many feeds, polled in parallel and politely, handed out one entry at a time.

The position holds, for each feed, its validators (ETag, Last-Modified) and the ids already handed out.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from threading import Event

import msgspec

from pipeline.clock import Clock, system_clock
from pipeline.errors import WindvaneError
from pipeline.sources.base import Item
from pipeline.sources.feeds_config import Feed, load_feeds
from pipeline.sources.http import Caps, Client, open_session
from pipeline.sources.poll import HOST_SPACING_S, FeedHealth, FeedState, HostGate, Poller, Surroundings
from pipeline.sources.robots import Robots

__all__ = ["Feed", "FeedSource", "load_feeds"]

PARALLEL = 8
CAPS = Caps(seconds=20.0, bytes=10_000_000, redirects=5)
_TICK_S = 0.5  # how soon a stop is noticed
_Polled = list[tuple[Item, FeedState]]


class FeedSource:
    """Entries of the feeds as they appear, until `stop`; see base.Source. One thread iterates, any may ask `health`."""

    name = "feeds"

    def __init__(
        self,
        feeds: Sequence[Feed],
        stop: Event,
        contact: str | None = None,
        allow_private: bool = False,
        clock: Clock = system_clock,
        spacing: float = HOST_SPACING_S,
    ) -> None:
        self._feeds = feeds
        self._stop = stop
        self._agent = user_agent(contact)
        self._allow_private = allow_private
        self._clock = clock
        self._spacing = spacing
        self._pollers: list[Poller] = []

    @property
    def tiers(self) -> dict[str, int]:
        """How far each feed is trusted, by its name."""
        return {feed.name: feed.tier for feed in self._feeds}

    def items(self, position: str | None) -> Iterator[tuple[Item, str]]:
        """Blocks between polls; ends when `stop` is set. Raises WindvaneError for a position that cannot be read."""
        states = decode_position(position)
        with asyncio.Runner() as runner:
            session = runner.run(self._open())
            try:
                client = Client(session, CAPS, self._allow_private)
                around = Surroundings(
                    client, Robots(client, time.monotonic), HostGate(time.monotonic, self._spacing), self._clock
                )
                self._pollers = [Poller(f, states.get(f.url, FeedState()), around) for f in self._feeds]
                positions = _Positions(states)
                for poller, polled in self._rounds(runner):
                    for item, state in polled:
                        poller.state = state
                        yield item, positions.after(poller.feed.url, state)
            finally:
                runner.run(session.close())

    def health(self) -> list[FeedHealth]:
        """How each feed is doing, in the order of the configuration."""
        known = {p.feed.url: p.health for p in self._pollers}
        return [known.get(f.url, FeedHealth(f.name, f.url)) for f in self._feeds]

    def silent(self, now: datetime, for_intervals: float = 3.0) -> list[FeedHealth]:
        """Feeds that have not answered well for that many of their intervals (or never, though they failed)."""
        interval = {f.url: f.interval for f in self._feeds}
        return [
            h
            for h in self.health()
            if h.failures
            and (h.last_ok is None or now - h.last_ok > timedelta(seconds=for_intervals * interval[h.url]))
        ]

    async def _open(self):  # type: ignore[no-untyped-def]  # a session belongs to the loop it is made in
        return open_session(self._agent, CAPS, self._allow_private)

    def _rounds(self, runner: asyncio.Runner) -> Iterator[tuple[Poller, _Polled]]:
        """Each poll as it ends. Polls run on while others' entries are handed out; a slow feed holds up nobody."""
        running: dict[asyncio.Task[_Polled], Poller] = {}
        try:
            while not self._stop.is_set():
                busy = set(running.values())
                now = self._clock()
                due = sorted((p for p in self._pollers if p not in busy and p.due <= now), key=lambda p: p.due)
                for poller in due[: PARALLEL - len(running)]:
                    running[runner.get_loop().create_task(poller.poll())] = poller
                for task in runner.run(_wait(set(running), self._pause(busy, now))):
                    yield running.pop(task), task.result()
        finally:
            for task in running:
                task.cancel()

    def _pause(self, busy: set[Poller], now: datetime) -> float:
        waits = [(p.due - now).total_seconds() for p in self._pollers if p not in busy]
        return min([_TICK_S, *(max(w, 0.01) for w in waits)])


async def _wait(tasks: set[asyncio.Task[_Polled]], seconds: float) -> set[asyncio.Task[_Polled]]:
    if not tasks:
        await asyncio.sleep(seconds)
        return set()
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    return done


class _Positions:
    """The position after each item: all feeds' states, of which only the one that moved is encoded anew."""

    def __init__(self, states: dict[str, FeedState]) -> None:
        self._encoded = {url: msgspec.Raw(msgspec.json.encode(state)) for url, state in states.items()}

    def after(self, url: str, state: FeedState) -> str:
        self._encoded[url] = msgspec.Raw(msgspec.json.encode(state))
        return msgspec.json.encode(self._encoded).decode()


def decode_position(position: str | None) -> dict[str, FeedState]:
    """The states in a position; raises WindvaneError."""
    try:
        return msgspec.json.decode(position, type=dict[str, FeedState]) if position else {}
    except msgspec.DecodeError as e:
        raise WindvaneError(f"The stored position of the feeds cannot be read ({e}). Use another data folder.") from e


def user_agent(contact: str | None) -> str:
    """Who we are and, when it is set, where we can be reached."""
    try:
        number = version("windvane")
    except PackageNotFoundError:
        number = "0"
    return f"Windvane/{number} (+{contact})" if contact else f"Windvane/{number} (feed reader)"
