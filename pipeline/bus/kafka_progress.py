"""How far one member of a group has come in the partitions it owns. Pure bookkeeping: no client, no clock."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.bus.base import Message


@dataclass
class _Span:
    """Offsets of one partition: what lies between `done` and `position` was polled and is under way."""

    committed: int  # the server knows that everything before this is done
    done: int  # everything before this is done
    position: int  # the next poll goes on here


class Progress:
    """What was polled, what is done, what of it the server knows.

    Only a contiguous front is ever committed, per partition: the contract's commit says that everything before the
    given messages is done too. It never goes back, never beyond what this member polled since it got the partition,
    and never touches a partition that went to another member.

    With Kafka's eager protocol every rebalance takes all partitions and gives some. A member of two generations in a
    row had its partitions all the time (nobody could own them in between), so it goes on where it was in those it
    keeps; after a gap it forgets everything.
    """

    def __init__(self) -> None:
        self.generation = 0
        self.joined = False
        self._owned: frozenset[int] = frozenset()
        self._spans: dict[int, _Span] = {}
        self._membership: tuple[str, int] | None = None
        self._astray: frozenset[int] = frozenset()

    @property
    def owned(self) -> frozenset[int]:
        return self._owned

    @property
    def astray(self) -> frozenset[int]:
        """Partitions that were ours before a gap and are again: others may have gone on in them meanwhile, so the
        client's position is worth nothing. To be set to the group's committed offset, then `settled`."""
        return self._astray

    def settled(self) -> None:
        self._astray = frozenset()

    def revoked(self) -> None:
        """A rebalance has begun. What was polled stays known: the partitions may come back."""
        self.joined = False

    def lost(self) -> None:
        """The group went on without this member: others own its partitions by now."""
        self.joined = False
        if self._owned:
            self.generation += 1
        self._owned, self._spans, self._membership, self._astray = frozenset(), {}, None, frozenset()

    def assigned(self, partitions: frozenset[int], member_id: str, generation_id: int) -> dict[int, int]:
        """A rebalance has ended. Where to go on in partitions that were kept: {partition: offset}; the others start at
        the group's committed offset."""
        stayed = self._membership in ((member_id, generation_id - 1), (member_id, generation_id))
        if not (stayed and self._owned == partitions):
            self.generation += 1
        common = self._owned & partitions
        kept = common if stayed else frozenset()
        self._astray = (self._astray | (common - kept)) & partitions
        self._spans = {p: span for p, span in self._spans.items() if p in kept}
        self._owned, self._membership, self.joined = partitions, (member_id, generation_id), True
        return {p: span.position for p, span in self._spans.items()}

    def polled(self, partition: int, first: int, last: int) -> int:
        """Messages `first` to `last` of a partition were handed out. How many before them were expected and are gone
        (retention was faster than this group)."""
        span = self._spans.get(partition)
        if span is None:
            self._spans[partition] = _Span(committed=first, done=first, position=last + 1)
            return 0
        gone, span.position = first - span.position, last + 1
        return max(0, gone)

    def done(self, messages: Sequence[Message]) -> None:
        """These messages, and all before them in their partitions, are done."""
        for message in messages:
            span = self._spans.get(message.partition)
            if span is not None and span.done <= message.offset < span.position:
                span.done = message.offset + 1

    def to_commit(self) -> dict[int, int]:
        """What the server has yet to hear: {partition: first offset that is not done}."""
        return {p: span.done for p, span in self._spans.items() if span.done > span.committed}

    def committed(self, offsets: dict[int, int]) -> None:
        """The server has heard of it."""
        for partition, offset in offsets.items():
            if (span := self._spans.get(partition)) is not None:
                span.committed = max(span.committed, offset)

    def rewind(self) -> dict[int, int]:
        """Forget what was polled and is not done: {partition: offset to go back to}."""
        back = {p: span.done for p, span in self._spans.items() if span.position > span.done}
        for partition, offset in back.items():
            self._spans[partition].position = offset
        return back
