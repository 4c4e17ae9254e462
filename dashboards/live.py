"""The live stream: what happens now, as server-sent events, read from the bus beside every group.

Order per tick: alerts (never skipped; held back until the control store has them, so that a page that follows the event
finds the alert), opinions (the newest few; what a reader cannot follow is skipped and counted), status when it changed.
The event id is "<opinions offset>.<alerts offset>": a page that comes back goes on there.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic
from typing import Any, NamedTuple

import anyio
from fastapi.sse import ServerSentEvent

from dashboards.deps import WebDeps
from dashboards.desk import Desk
from dashboards.view import Json, alert_view, opinion_view
from pipeline.bus.base import Bus, Message
from pipeline.records import Alert, DecodeError, Decoder, Opinion

PER_TICK = 6  # opinions per tick; with two ticks a second more than anyone reads
BACKLOG = 40  # opinions that a new page, or one that comes back, is given at once
HOLD_S = 10.0  # an alert waits so long for the control store, then goes out all the same
STATUS_S = 2.0

_opinion = Decoder(Opinion)
_alert = Decoder(Alert)


class Position(NamedTuple):
    """The next offset of each topic."""

    opinions: int
    alerts: int

    def __str__(self) -> str:
        return f"{self.opinions}.{self.alerts}"

    @classmethod
    def parse(cls, text: str | None) -> "Position | None":
        """None when it is not one of ours."""
        parts = (text or "").split(".")
        if len(parts) != 2 or not all(p.isascii() and p.isdigit() and len(p) < 19 for p in parts):
            return None
        return cls(int(parts[0]), int(parts[1]))


class Tick(NamedTuple):
    """What one look at the bus found."""

    events: list[tuple[str, Json]]
    position: Position
    skipped: int


class Feed:
    """One reader's place in the stream. `look` is sync: run it in a thread."""

    def __init__(self, deps: WebDeps, desk: Desk, last_event_id: str | None) -> None:
        self.deps = deps
        self.desk = desk
        ends = Position(deps.bus.end("opinions"), deps.bus.end("alerts"))
        asked = Position.parse(last_event_id)
        if asked is None or asked.opinions > ends.opinions or asked.alerts > ends.alerts:
            self.position = Position(max(0, ends.opinions - BACKLOG), ends.alerts)  # new here, or of another log
        else:
            self.position = asked
        self._quota = BACKLOG
        self._held_since: float | None = None

    def look(self) -> Tick:
        """What is new since the last look."""
        events: list[tuple[str, Json]] = []
        alerts_at = self._alerts(events)
        end = self.deps.bus.end("opinions")
        start = max(self.position.opinions, end - self._quota)
        skipped = start - self.position.opinions
        at = start
        for message in read(self.deps.bus, "opinions", start, end):
            at = message.offset + 1
            try:
                events.append(("opinion", opinion_view(_opinion(message.value), self.desk.names)))
            except DecodeError:
                continue  # the index stage dead-letters it with its reason
        self._quota = PER_TICK
        self.position = Position(max(at, self.position.opinions), alerts_at)
        return Tick(events, self.position, skipped)

    def _alerts(self, events: list[tuple[str, Json]]) -> int:
        at = self.position.alerts
        for message in read(self.deps.bus, "alerts", at, self.deps.bus.end("alerts")):
            try:
                alert = _alert(message.value)
            except DecodeError:
                at = message.offset + 1
                continue
            if not self._recorded(alert):
                break
            at = message.offset + 1
            events.append(("alert", alert_view(alert, self.desk.names)))
        return at

    def _recorded(self, alert: Alert) -> bool:
        episode = self.deps.control.episode(alert.alert_id)
        if episode is not None and episode.alert.seq >= alert.seq:
            self._held_since = None
            return True
        if self._held_since is None:
            self._held_since = monotonic()
        if monotonic() - self._held_since > HOLD_S:
            self._held_since = None
            return True
        return False


def read(bus: Bus, topic: str, start: int, end: int) -> list[Message]:
    """The messages of [start, end): the log may go on growing while it is read."""
    if start >= end:
        return []
    out = []
    for message in bus.read(topic, start):
        if message.offset >= end:
            break
        out.append(message)
    return out


async def stream(
    deps: WebDeps, desk: Desk, last_event_id: str | None, gone: Callable[[], Awaitable[bool]]
) -> AsyncIterator[ServerSentEvent]:
    """Events until the reader has gone. Heartbeats are FastAPI's."""
    feed = await anyio.to_thread.run_sync(Feed, deps, desk, last_event_id)
    last: Json = {}
    last_at, skipped = -STATUS_S, 0
    yield ServerSentEvent(retry=2000, comment="windvane")
    while not await gone():
        tick = await anyio.to_thread.run_sync(feed.look)
        skipped += tick.skipped
        for kind, data in tick.events:
            yield ServerSentEvent(event=kind, data=data, id=str(tick.position))
        if monotonic() - last_at >= STATUS_S:
            status: dict[str, Any] = await anyio.to_thread.run_sync(desk.status)
            last_at = monotonic()
            if {**status, "clock": 0} != {**last, "clock": 0} or skipped:
                yield ServerSentEvent(event="status", data={**status, "skipped": skipped}, id=str(tick.position))
                last, skipped = status, 0
        await anyio.sleep(deps.poll_s)
