"""The bus contract: a durable, ordered log per topic and partition; groups read and commit offsets. At least once."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, Protocol

from pipeline.errors import WindvaneError

MESSAGE_LIMIT = 8 << 20  # bytes of one message, key and value: no bus takes more


class TooLarge(WindvaneError):
    """The entry at `index` is larger than the bus takes, and always will be. Nothing was published."""

    def __init__(self, sentence: str, index: int) -> None:
        super().__init__(sentence)
        self.index = index


def too_large(topic: str, key: str, value: bytes) -> str:
    """Why no bus takes this message, as a sentence; "" when it does."""
    size = len(key.encode()) + len(value)
    if size <= MESSAGE_LIMIT:
        return ""
    return (
        f"expected messages of at most {MESSAGE_LIMIT:,} bytes on topic {topic}, found one of {size:,} "
        f"(key {key[:80]!r}). Shorten it: prepare.max_text_bytes bounds texts."
    )


def check_sizes(topic: str, entries: Sequence[tuple[str, bytes]]) -> None:
    """TooLarge for the first entry that no bus takes."""
    for i, (key, value) in enumerate(entries):
        if why := too_large(topic, key, value):
            raise TooLarge(why, index=i)


class Message(NamedTuple):
    """One message as it lies on a topic. Offsets rise by one within a partition."""

    topic: str
    partition: int
    offset: int
    key: str
    value: bytes


class Consumer(Protocol):
    """One member of a group on one topic."""

    @property
    def generation(self) -> int:
        """Changes whenever this member may have gained or lost partitions: who keeps state rebuilds it then."""

    def poll(self, limit: int, only: Collection[int] | None = None) -> list[Message]:
        """The next messages after those already polled, at most `limit`, in offset order per partition; [] if none.
        `only`: of these partitions; the messages of the others keep their place."""

    def commit(self, messages: Sequence[Message]) -> None:
        """These messages (and all before them in their partitions) are done; a restart continues after them."""

    def rewind(self) -> None:
        """Forget what was polled but not committed: the next poll returns it again."""

    def wait(self, seconds: float) -> None:
        """Let time pass (an outage elsewhere, nothing to do) and stay a member of the group."""

    def close(self) -> None:
        """Leave the group. Uncommitted messages go to whoever polls next."""


class Bus(Protocol):
    """A log. Values are bytes; serialisation is the caller's."""

    def publish(self, topic: str, entries: Sequence[tuple[str, bytes]]) -> None:
        """Append (key, value) pairs in order; returns once they are durable. Same key, same partition. TooLarge, with
        nothing appended, when one has more than MESSAGE_LIMIT bytes."""

    def consumer(self, group: str, topic: str, *, sole: bool = False) -> Consumer:
        """Join `group` on `topic`, at the group's committed offsets (the start, when it never committed). `sole`: one
        member reads every partition and the others stand by; all members of such a group must ask for it."""

    def read(self, topic: str, start: int = 0, partition: int = 0) -> Iterator[Message]:
        """Every message of the partition from offset `start` on, outside any group: for rebuilds and for people."""

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; 1 for one that nobody made yet."""

    def committed(self, group: str, topic: str, partition: int = 0) -> int:
        """The offset at which the group goes on: the first that is still there, when it never committed."""

    def end(self, topic: str, partition: int = 0) -> int:
        """The offset that the partition's next message will get."""

    def messages(self, topic: str) -> int:
        """How many messages the topic holds now, all partitions together; 0 for one that nobody made yet."""

    def lag(self, group: str, topic: str) -> int:
        """How many messages of the topic the group has not committed."""

    def close(self) -> None:
        """Release what is held. Published messages stay."""
