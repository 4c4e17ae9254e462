"""The embedded log kept to a length: what every reader has done with and is old enough goes, a little at a time.

On Kafka the broker does it. Here a thread beside the stages does, hourly, outside their transactions. A message carries
no time of its own, so the log's end is marked every now and then with the clock: what lies before a mark is at least as
old as the mark.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import msgspec
import structlog

from pipeline.bus.sqlite import SqliteBus
from pipeline.clock import Clock
from pipeline.errors import Retry

log = structlog.get_logger(__name__)

EVERY_S = 3600.0
CHUNK = 2_000  # messages deleted in one transaction: the stages wait for it
MARKS = 100  # in one retention time: how finely age is known


class Mark(NamedTuple):
    """The log ended at `offset` when it was `at`."""

    at: datetime
    offset: int


class Checkpoints(Protocol):
    """Of the control store: where the marks are kept."""

    def checkpoint(self, name: str) -> bytes | None: ...

    def put_checkpoint(self, name: str, value: bytes) -> None: ...


class Trimmer:
    """Trims the topics of `keep`, which says for how long; the others stay for ever. `needed(topic)` is the first
    offset that somebody may still read, committed or not: nothing from there on goes, however old it is."""

    def __init__(
        self,
        bus: SqliteBus,
        control: Checkpoints,
        clock: Clock,
        keep: Mapping[str, timedelta],
        needed: Callable[[str], int],
    ) -> None:
        self._bus = bus
        self._control = control
        self._clock = clock
        self._keep = keep
        self._needed = needed

    def trim(self, stop: threading.Event) -> int:
        """Once through all topics, or until `stop`; how many messages went. Raises Retry with some of them gone."""
        return sum(self._trim(topic, keep, stop) for topic, keep in self._keep.items())

    def _trim(self, topic: str, keep: timedelta, stop: threading.Event) -> int:
        name = f"log:{topic}"
        stored = self._control.checkpoint(name)
        before = msgspec.json.decode(stored, type=list[Mark]) if stored else []
        marks, old = marked(before, Mark(self._clock(), self._bus.end(topic)), keep)
        if marks != before:
            self._control.put_checkpoint(name, msgspec.json.encode(marks))
        upto, gone = min(old, self._needed(topic)), 0
        at = self._bus.end(topic) - self._bus.messages(topic)
        while at < upto and not stop.is_set():
            at = min(at + CHUNK, upto)
            gone += self._bus.truncate_before(topic, at)
            stop.wait(0.01)  # let the stages write
        if gone:
            log.info("log trimmed", topic=topic, messages=gone)
        return gone

    def run(self, stop: threading.Event, every_s: float = EVERY_S) -> None:
        """Now and hourly until `stop`. What an outage left goes the next time; so does what anything else that goes
        wrong left, loudly: a log that is never trimmed again fills the disk."""
        while not stop.is_set():
            try:
                self.trim(stop)
            except Retry as e:
                log.warning("log not trimmed", reason=e.reason)
            except Exception:
                log.exception("the log could not be trimmed; trying again", seconds=every_s)
            stop.wait(every_s)


def marked(marks: Sequence[Mark], now: Mark, keep: timedelta) -> tuple[list[Mark], int]:
    """(the marks with that of now, where it is due; the offset before which every message is older than `keep`)."""
    old = max((mark.offset for mark in marks if mark.at <= now.at - keep), default=0)
    kept = [mark for mark in marks if mark.offset >= old]
    if not kept or now.at - kept[-1].at >= keep / MARKS:
        kept.append(now)
    return kept, old
