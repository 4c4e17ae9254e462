"""The whole graph in one process: a thread per stage on one durable log. Results and offsets are one transaction."""

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from pipeline.bus.base import Bus
from pipeline.errors import Retry
from pipeline.graph import NODES
from pipeline.records import Alert, Decoder, Post
from pipeline.runners.feeding import Fed, Feeder, in_batches
from pipeline.runners.loop import StageLoop

log = structlog.get_logger(__name__)

MAX_AHEAD = 2_048  # texts a source may be ahead of the slowest stage
LATENESS = timedelta(minutes=10)


class Advancing(Protocol):
    """What the runner asks of the detector besides being a stage."""

    def advance(self, now: datetime) -> list[Alert]: ...

    def reload(self) -> list[Alert] | None: ...


class Embedded:
    """Start, feed, drain, stop. A stage that dies takes the run down with its reason; it is never left half alive."""

    def __init__(self, loops: Iterable[StageLoop], detector: Advancing, bus: Bus, feeder: Feeder) -> None:
        self._loops = {loop.node.name: loop for loop in loops}
        self._detector = detector
        self._bus = bus
        self._feeder = feeder
        self._stop = threading.Event()
        self._advance_to: datetime | None = None
        self._failure: BaseException | None = None
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Rebuild the state of every stage, then start their threads."""
        for loop in self._loops.values():
            loop.recover()
        for loop in self._loops.values():
            run = self._run_detect if loop.node.name == "detect" else loop.run
            thread = threading.Thread(target=self._guard, args=(run,), name=loop.node.name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _guard(self, run: Callable[[threading.Event], None]) -> None:
        try:
            run(self._stop)
        except BaseException as e:
            self._failure = self._failure or e
            log.error("stage died", stage=threading.current_thread().name, error=f"{type(e).__name__}: {e}")
            self._stop.set()

    def _run_detect(self, stop: threading.Event) -> None:
        """The detector's own loop: it alone touches the detector, so its clock is moved here too."""
        loop = self._loops["detect"]
        while not stop.is_set():
            try:
                if (ended := self._detector.reload()) is not None:
                    loop.emit(ended, changed=True)
                if loop.step():
                    continue
            except Retry as e:
                stop.wait(e.after)
                continue
            target = self._advance_to
            if target is not None:
                loop.emit(self._detector.advance(target))
                if self._advance_to == target:
                    self._advance_to = None
            else:
                stop.wait(0.02)

    @property
    def running(self) -> bool:
        return not self._stop.is_set()

    def check(self) -> None:
        """Raise what killed a stage, if anything did."""
        if self._failure is not None:
            raise self._failure

    def behind(self) -> int:
        """Messages waiting, summed over all stages."""
        return sum(self._bus.lag(n.group, n.reads) for n in NODES)

    def feed(self, items: Iterable[tuple[Fed, str]], checkpoint: str, batch: int = 256) -> Iterator[int]:
        """Publish a source's items; each batch and the source's position are one transaction. Waits while the
        stages are more than MAX_AHEAD behind. Yields the number published so far, for progress."""
        sent = 0
        for held, position in in_batches(items, batch):
            if not self.running:
                return
            self._publish(held, checkpoint, position)
            sent += len(held)
            yield sent

    def _publish(self, items: list[Fed], checkpoint: str, position: str) -> None:
        while self.running and self.behind() > MAX_AHEAD:
            self._stop.wait(0.02)
        self.check()
        while True:
            try:
                return self._feeder.publish(items, checkpoint, position)
            except Retry as e:
                log.warning("waiting", stage="source", reason=e.reason, seconds=e.after)
                self._stop.wait(e.after)
                self.check()

    def drain(self, poll_s: float = 0.02) -> None:
        """Return when every stage has done all that was published."""
        while self.running and self.behind():
            self._stop.wait(poll_s)
        self.check()

    def advance(self, now: datetime) -> None:
        """Tell the detector that event time has reached `now` (an idle stream, a replay's end); wait for what comes."""
        self._advance_to = now
        while self.running and self._advance_to is not None:
            self._stop.wait(0.02)
        self.drain()

    def stop(self) -> None:
        """Finish the batches in hand, then return. Called again, it does nothing."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=60)
        self.check()


def closing_time(newest: datetime) -> datetime:
    """The event time by which the bin of the newest text has closed: for a replay's end, and when nothing moves."""
    return newest + 2 * LATENESS + timedelta(minutes=5)


def posts_of(bus: Bus, last: int) -> Iterator[Post]:
    """The last `last` posts on the log, oldest first: what prepare rebuilds its stories from."""
    decode = Decoder(Post)
    for message in bus.read("posts", start=max(0, bus.end("posts") - last)):
        yield decode(message.value)
