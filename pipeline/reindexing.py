"""`windvane reindex`: the opinion store built anew from the `opinions` topic, while everything else goes on.

1 every text on the topic is written into a second set of indices, which no reader sees
2 in one step readers and writers see the new set, and the old one is gone
3 what came onto the topic meanwhile is written too, where the workers have not yet

A topic that has forgotten its oldest texts (Kafka's retention) cannot give them back: then, before 1, the old store's
texts are carried over, and the topic's versions overwrite them.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Protocol, runtime_checkable

from pipeline.bus.base import Bus
from pipeline.errors import WindvaneError
from pipeline.records import DecodeError, Decoder, Opinion
from pipeline.store.base import Rejection

TOPIC = "opinions"
BATCH = 2000

Move = Callable[[int, str], None]  # (done, in words): a progress bar


class NewSet(Protocol):
    """A store under construction."""

    def write(self, opinions: Sequence[Opinion]) -> list[Rejection]: ...

    def publish(self) -> None:
        """Take the place of the old one, in one step."""

    def discard(self) -> None: ...


@runtime_checkable
class Rebuildable(Protocol):
    """An opinion store that can be built anew beside itself."""

    def rebuild(self) -> NewSet: ...

    def scan(self) -> Iterator[Opinion]: ...

    def get(self, ids: Sequence[str]) -> list[Opinion]: ...

    def write(self, opinions: Sequence[Opinion]) -> list[Rejection]: ...


class Reindexed(NamedTuple):
    """What a rebuild came to."""

    texts: int  # read from the topic and written, the same one as often as it lay there
    carried: int  # from the old store, because the topic no longer reaches back to them
    refused: int  # the store will never take them; `reason` is the last one's
    unreadable: int  # messages that are no opinions: they are left out
    reason: str = ""


class _Topic:
    """The topic's opinions over all partitions in the order of their scoring, so that of two versions the later one
    is written last, whichever partitions they lie in. Remembers how far it has read."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._decode = Decoder(Opinion)
        partitions = range(bus.partitions(TOPIC))
        self.first = {p: bus.committed("reindex", TOPIC, p) for p in partitions}  # never commits: the first still there
        self.next = dict(self.first)
        self.read = 0
        self.unreadable = 0

    @property
    def held(self) -> int:
        """How many messages it has now."""
        return sum(self._bus.end(TOPIC, p) - first for p, first in self.first.items())

    def opinions(self) -> Iterator[Opinion]:
        """From where it stands to the end as it is now."""
        return heapq.merge(*map(self._partition, self.next), key=lambda o: o.scored_at)

    def _partition(self, partition: int) -> Iterator[Opinion]:
        for message in self._bus.read(TOPIC, self.next[partition], partition):
            self.next[partition] = message.offset + 1
            self.read += 1
            try:
                yield self._decode(message.value)
            except DecodeError:
                self.unreadable += 1


def messages(bus: Bus) -> int:
    """How many messages a rebuild will read, about: for a progress bar."""
    return _Topic(bus).held


def _unseen(done: int, text: str) -> None:
    """No progress bar."""


def reindex(bus: Bus, store: Rebuildable, move: Move = _unseen, *, topic_only: bool = False) -> Reindexed:
    """Build the store anew. `move(messages read, words)` is called after each batch. `topic_only`: leave out what the
    topic has forgotten instead of carrying it over."""
    topic = _Topic(bus)
    if not topic.held:
        raise WindvaneError(
            f"expected texts on the topic {TOPIC}, found none. The store stays as it is; check kafka.servers and "
            "kafka.prefix."
        )
    new = store.rebuild()
    refused: list[Rejection] = []
    carried = 0
    try:
        if any(topic.first.values()) and not topic_only:
            for some in _batches(store.scan()):
                refused += new.write(some)
                carried += len(some)
                move(0, f"{carried} texts carried over")
        for some in _batches(topic.opinions()):  # 1
            refused += new.write(some)
            move(topic.read, "")
    except BaseException:
        new.discard()
        raise
    new.publish()  # 2
    for some in _batches(topic.opinions()):  # 3
        refused += store.write(_newer(store, some))
        move(topic.read, "")
    return Reindexed(
        topic.read - topic.unreadable, carried, len(refused), topic.unreadable, refused[-1].reason if refused else ""
    )


def _newer(store: Rebuildable, opinions: Sequence[Opinion]) -> list[Opinion]:
    """Those that a worker has not written in the meantime, in this version or a later one."""
    held = {o.opinion_id: o.scored_at for o in store.get([o.opinion_id for o in opinions])}
    return [o for o in opinions if o.opinion_id not in held or held[o.opinion_id] < o.scored_at]


def _batches(opinions: Iterable[Opinion]) -> Iterator[list[Opinion]]:
    opinions = iter(opinions)
    while some := list(islice(opinions, BATCH)):
        yield some
