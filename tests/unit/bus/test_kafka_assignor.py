"""Shares of a group's partitions: even, complete, and no partition moves without need."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from pipeline.bus.kafka_assignor import KeepingAssignor, share_out

MEMBERS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True)


@given(st.integers(0, 12), MEMBERS, st.randoms(use_true_random=False))
def test_shares_are_even_and_complete_and_kept(n: int, members: list[str], rng: Any) -> None:
    partitions = list(range(n))
    having: dict[str, set[int]] = {m: set() for m in members}
    for p in partitions:
        if rng.random() < 0.8:
            having[rng.choice(members)].add(p)
    shares = share_out(partitions, having, sole=False)
    assert sorted(p for share in shares.values() for p in share) == partitions
    sizes = [len(share) for share in shares.values()]
    assert max(sizes) - min(sizes) <= 1
    for member, share in shares.items():
        kept, most = having[member] & set(share), max(sizes)
        assert len(kept) >= min(len(having[member]), len(share), most)


@given(st.integers(1, 12), MEMBERS)
def test_a_sole_member_has_all_and_keeps_it(n: int, members: list[str]) -> None:
    partitions = list(range(n))
    first = share_out(partitions, {m: set() for m in members}, sole=True)
    owner = max(first, key=lambda m: len(first[m]))
    assert sorted(map(len, first.values())) == [0] * (len(members) - 1) + [n]
    newcomers = {m: set(first.get(m, ())) for m in [*members, "A", "Z"]}
    assert share_out(partitions, newcomers, sole=True)[owner] == partitions


class _Metadata(NamedTuple):
    topics: list[str]
    user_data: bytes


class _Member(NamedTuple):
    member_id: str
    metadata: _Metadata


class _Cluster:
    def __init__(self, n: int) -> None:
        self._n = n

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self._n))


def rebalance(group: Mapping[str, KeepingAssignor], generation: int, partitions: int) -> dict[str, list[int]]:
    """One round of the protocol, with the first member as the leader: through the bytes that go over the wire."""
    members = [_Member(name, a.metadata(["t"])) for name, a in group.items()]
    decided = next(iter(group.values())).assign(_Cluster(partitions), members)
    for name, assignor in group.items():
        assignor.on_assignment(decided[name], generation)
    return {name: [tp.partition for tp in decided[name].partitions()] for name in group}


def test_a_standby_that_joins_moves_nothing() -> None:
    group = {"m": KeepingAssignor(sole=True)}
    assert rebalance(group, 1, 3) == {"m": [0, 1, 2]}
    group = {"a": KeepingAssignor(sole=True), **group, "z": KeepingAssignor(sole=True)}
    assert rebalance(group, 2, 3) == {"a": [], "m": [0, 1, 2], "z": []}
    del group["m"]
    assert rebalance(group, 3, 3) == {"a": [0, 1, 2], "z": []}


def test_the_newer_claim_holds() -> None:
    """A member that slept through a rebalance comes back with its old claim: its partitions are another's now."""
    sleeper, other = KeepingAssignor(sole=True), KeepingAssignor(sole=True)
    assert rebalance({"a": sleeper}, 1, 2) == {"a": [0, 1]}
    assert rebalance({"b": other}, 2, 2) == {"b": [0, 1]}
    assert rebalance({"a": sleeper, "b": other}, 3, 2) == {"a": [], "b": [0, 1]}


def test_a_shared_group_hands_over_as_little_as_it_can() -> None:
    group = {"m": KeepingAssignor(sole=False)}
    rebalance(group, 1, 6)
    group["a"] = KeepingAssignor(sole=False)
    assert rebalance(group, 2, 6) == {"m": [0, 1, 2], "a": [3, 4, 5]}
    del group["m"]
    assert rebalance(group, 3, 6) == {"a": [0, 1, 2, 3, 4, 5]}
