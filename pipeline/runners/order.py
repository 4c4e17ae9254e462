"""order: opinions (P partitions) → timeline (one), merged by event time.

Classify workers run at their own pace, so the partitions of `opinions` drift apart: in a quick replay by days of event
time. The detector reads one timeline, in the order in which the texts came, as it does in one process.

The rule. The earliest opinion that waits goes out when no partition can still bring an earlier one: each either has an
opinion waiting, or was *clear* after that opinion came. Partition p is clear at a moment when `classify` has committed
all of `posts` p and everything in `opinions` p was taken: posts that are appended later came later, since `story`
writes them in order. But for one batch: while `story` writes it (or was killed while it did, and does it again), some
partitions have their part of it and others do not. So p is clear for those opinions only whose batch `story` has
committed: for those taken when its offset was c, once it is c + one batch, or the end of `prepared`.

A partition that stays stuck (its classify worker is gone, none takes over) holds the others back for `patience_s` at
most; its texts then are late, which the detector counts and settles within a day. While more than `most_waiting` are
held, only partitions that hold others back are read: what would end the waiting is never left on the bus.
"""

import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from threading import Event
from typing import NamedTuple

import msgspec
import structlog

from pipeline.bus.base import Bus, Consumer, Message
from pipeline.errors import Retry
from pipeline.graph import WORKERS, node

log = structlog.get_logger(__name__)

CHECK_S = 0.1  # how often an empty partition is asked whether it is clear
MOST_WAITING = 50_000  # opinions held back before no more are taken
_STORY = node("story", WORKERS)


class _Glance(msgspec.Struct, frozen=True):
    """All that the order needs of an opinion."""

    published_at: datetime
    post_id: str


class _Waiting(NamedTuple):
    at: datetime | None  # None: no opinion at all; passed on for the detector's worker to reject
    id: str
    seen: int  # how many messages had been taken when this one was
    message: Message


class Order:
    """One worker of stage `order`, with the verbs of a StageLoop. `ticks` is a monotonic clock, in seconds."""

    def __init__(
        self,
        bus: Bus,
        patience_s: float,
        ticks: Callable[[], float] = time.monotonic,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self.node = node("order", WORKERS)
        self.waiting = ""  # why nothing moves
        self._bus = bus
        self._patience = patience_s
        self._ticks = ticks
        self._most_waiting = most_waiting
        self._consumer: Consumer = bus.consumer(self.node.group, self.node.reads, sole=True)
        self._decode = msgspec.json.Decoder(_Glance)
        self._reset(0, None)

    def _reset(self, partitions: int, generation: int | None) -> None:
        """Nothing is held. `generation` None: the next step asks how many partitions there are."""
        self._generation = generation
        self._queues: dict[int, deque[_Waiting]] = {p: deque() for p in range(partitions)}
        self._next: dict[int, int] = {}  # per partition: the offset after the last taken message
        self._clear: dict[int, int] = {}  # per partition: it was clear for the messages taken before this count
        self._whole = 0  # so many messages were taken when the last was of a batch that `story` has finished since
        self._unfinished: tuple[int, int] | None = None  # messages taken, and the offset of `story` that finishes them
        self._given_up: set[int] = set()  # stuck for too long; waited for again once they bring something
        self._taken = 0
        self._held = 0
        self._blocked_since: float | None = None
        self._checked = float("-inf")

    def step(self) -> int:
        """Take, release, publish, commit; returns how many messages were taken or released."""
        taken = self._take()
        ready = self._release()
        if ready:
            self._bus.publish(self.node.writes or "", [(m.key, m.value) for m in ready])  # 3 write results
            self._consumer.commit(ready)  # 4 commit the input offset
        return taken + len(ready)

    def _take(self) -> int:
        only = self._holding_back(self._earliest()[0]) if self._held >= self._most_waiting else None
        messages = self._consumer.poll(self.node.batch, only) if only != [] else []  # 1 poll
        if self._generation != self._consumer.generation:
            self._consumer.rewind()  # another worker may have gone on: what was held is read again from its offsets
            generation = self._consumer.generation
            self._reset(self._bus.partitions(self.node.reads), generation)
            return 0
        for message in messages:
            self._taken += 1
            self._next[message.partition] = message.offset + 1
            self._given_up.discard(message.partition)
            at, id_ = self._glance(message.value)
            self._queues.setdefault(message.partition, deque()).append(_Waiting(at, id_, self._taken, message))
        self._held += len(messages)
        return len(messages)

    def _glance(self, value: bytes) -> tuple[datetime | None, str]:
        try:
            glance = self._decode.decode(value)
        except msgspec.DecodeError:
            return None, ""
        return glance.published_at, glance.post_id

    def _release(self) -> list[Message]:  # 2 process
        ready: list[Message] = []
        while self._held and len(ready) < self.node.batch:
            queue = self._earliest()
            first = queue[0]
            if self._holding_back(first) and not self._check(first) and not self._out_of_patience(first):
                break
            queue.popleft()
            self._held -= 1
            ready.append(first.message)
        if ready or not self._held:
            self._blocked_since = None
            self.waiting = ""
        return ready

    def _earliest(self) -> deque[_Waiting]:
        """The queue with the earliest opinion; at least one is held."""
        return min((queue for queue in self._queues.values() if queue), key=lambda queue: _when(queue[0]))

    def _holding_back(self, first: _Waiting) -> list[int]:
        """The partitions that may still bring something earlier."""
        return [
            p
            for p, queue in self._queues.items()
            if not queue and p not in self._given_up and self._clear.get(p, -1) < first.seen
        ]

    def _check(self, first: _Waiting) -> bool:
        """Ask the empty partitions whether they are clear, not too often; True when none holds `first` back now."""
        now = self._ticks()
        if self._blocked_since is None:
            self._blocked_since = now
        if now - self._checked < CHECK_S:
            return False
        self._checked = now
        whole = self._finished_by_story()
        for p in self._holding_back(first):
            done = self._bus.committed("classify", "posts", p) >= self._bus.end("posts", p)
            here = self._next.get(p)
            if here is None:
                here = self._bus.committed(self.node.group, self.node.reads, p)
            if done and here >= self._bus.end(self.node.reads, p):
                self._clear[p] = whole
        return not self._holding_back(first)

    def _finished_by_story(self) -> int:
        """How many messages had been taken when all of them, by now, are of batches that `story` has committed."""
        done = self._bus.committed(_STORY.group, _STORY.reads)
        if self._unfinished is None:
            self._unfinished = self._taken, min(done + _STORY.batch, self._bus.end(_STORY.reads))
        taken, upto = self._unfinished
        if done >= upto:
            self._whole, self._unfinished = taken, None
        return self._whole

    def _out_of_patience(self, first: _Waiting) -> bool:
        since = self._ticks() - (self._blocked_since or 0.0)
        stuck = self._holding_back(first)
        self.waiting = f"texts of an earlier time are still being classified (partitions {stuck}), for {since:.0f} s"
        if since < self._patience:
            return False
        log.warning("partitions of opinions are stuck; their texts will be late", partitions=stuck, waited_s=since)
        self._given_up.update(stuck)
        return True

    def run(self, stop: Event, idle_s: float = 0.02) -> None:
        """Step until `stop`. An outage is waited out; what was not committed is read again."""
        while not stop.is_set():
            try:
                if self.step() == 0:
                    stop.wait(idle_s)
            except Retry as e:
                self.waiting = e.reason
                log.warning("waiting", stage=self.node.name, reason=e.reason, seconds=e.after)
                self._consumer.rewind()
                self._consumer.wait(e.after)
                self._reset(0, None)

    def close(self) -> None:
        """Leave the group; what was not committed goes to another member."""
        self._consumer.close()


def _when(waiting: _Waiting) -> tuple[bool, float, str]:
    """What cannot be read goes first; ties by id."""
    return (waiting.at is not None, waiting.at.timestamp() if waiting.at else 0.0, waiting.id)
