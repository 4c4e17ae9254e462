"""Which member of a group reads which partition. Every member keeps what it has, as far as the shares stay even."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from kafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment, ConsumerProtocolSubscription


class Claim(msgspec.Struct, frozen=True):
    """What a member was last assigned, and in which generation of the group: the newer claim to a partition holds."""

    generation: int = -1
    partitions: tuple[tuple[str, int], ...] = ()


class KeepingAssignor(AbstractPartitionAssignor):
    """Sent along by each member, decided by the group's leader.

    Shared (the default): shares differ by one at most. Sole: one member has every partition, the same as long as it
    lives. That a standby joins or leaves moves nothing, so state built from the partitions stays good. Made here
    because kafka-python's sticky assignor keeps what it was assigned on its class, and one process has many members.
    """

    def __init__(self, *, sole: bool) -> None:
        self._sole = sole
        self._claim = Claim()

    @property
    def name(self) -> str:
        """All members of a group must bring the same, or the broker refuses the odd one."""
        return "windvane-sole" if self._sole else "windvane-shared"

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolSubscription:
        return ConsumerProtocolSubscription(0, list(topics), msgspec.json.encode(self._claim))

    def on_assignment(self, assignment: ConsumerProtocolAssignment, generation: int) -> None:
        self._claim = Claim(generation, tuple((tp.topic, tp.partition) for tp in assignment.partitions()))

    def assign(self, cluster: Any, members: Sequence[Any]) -> dict[str, ConsumerProtocolAssignment]:
        claims = {m.member_id: _claim_of(m.metadata.user_data) for m in members}
        topics = {topic for m in members for topic in m.metadata.topics}
        shares: dict[str, list[tuple[str, list[int]]]] = {m.member_id: [] for m in members}
        for topic in sorted(topics):
            having = {m.member_id: _held(claims, m.member_id, topic) for m in members if topic in m.metadata.topics}
            partitions = sorted(cluster.partitions_for_topic(topic) or ())
            for member, share in share_out(partitions, having, sole=self._sole).items():
                shares[member].append((topic, share))
        return {member: ConsumerProtocolAssignment(0, share, b"") for member, share in shares.items()}


def share_out(partitions: Sequence[int], having: Mapping[str, set[int]], *, sole: bool) -> dict[str, list[int]]:
    """{member: partitions}: evenly, or all to one (`sole`); who has most now is first, then by name. `having` holds
    what each member has now, no partition twice."""
    members = sorted(having, key=lambda m: (-len(having[m]), m))
    least, more = divmod(len(partitions), len(members))
    quotas = {m: (len(partitions) if i == 0 else 0) if sole else least + (i < more) for i, m in enumerate(members)}
    shares = {m: [p for p in partitions if p in having[m]][: quotas[m]] for m in members}
    kept = {p for share in shares.values() for p in share}
    free = iter([p for p in partitions if p not in kept])
    for member, share in shares.items():
        shares[member] = sorted(share + [next(free) for _ in range(quotas[member] - len(share))])
    return shares


def _claim_of(user_data: bytes | None) -> Claim:
    try:
        return msgspec.json.decode(bytes(user_data or b""), type=Claim)
    except msgspec.DecodeError:
        return Claim()


def _held(claims: Mapping[str, Claim], member: str, topic: str) -> set[int]:
    """The partitions of a topic that no other member claims from a later generation (ties: the first by name)."""
    mine = claims[member]
    better = {
        tp
        for other, claim in claims.items()
        if (-claim.generation, other) < (-mine.generation, member)
        for tp in claim.partitions
    }
    return {p for t, p in mine.partitions if t == topic and (t, p) not in better}
