"""What a member of a group commits: only what is done, only what it owns, never backwards."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.bus.base import Message
from pipeline.bus.kafka_progress import Progress

ME = "me"


def messages(partition: int, *offsets: int) -> list[Message]:
    return [Message("t", partition, offset, "k", b"") for offset in offsets]


def joined(*partitions: int, generation: int = 1) -> Progress:
    progress = Progress()
    assert progress.assigned(frozenset(partitions), ME, generation) == {}
    return progress


def test_only_the_front_is_committed_and_only_once() -> None:
    progress = joined(0, 1)
    progress.polled(0, 10, 14)
    progress.polled(1, 0, 2)
    assert progress.to_commit() == {}
    progress.done(messages(0, 10, 11) + messages(1, 0))
    assert progress.to_commit() == {0: 12, 1: 1}
    progress.committed({0: 12, 1: 1})
    assert progress.to_commit() == {}
    progress.done(messages(0, 10))  # older: takes nothing back
    assert progress.to_commit() == {}


def test_what_was_never_polled_is_not_committed() -> None:
    progress = joined(0)
    progress.done(messages(0, 3))
    progress.polled(0, 0, 2)
    progress.done(messages(0, 3) + messages(7, 0))
    assert progress.to_commit() == {}


def test_rewind_goes_back_to_what_is_done() -> None:
    progress = joined(0, 1)
    progress.polled(0, 5, 9)
    progress.polled(1, 0, 0)
    progress.done(messages(0, 6) + messages(1, 0))
    assert progress.rewind() == {0: 7}
    assert progress.rewind() == {}
    assert progress.polled(0, 7, 8) == 0


def test_messages_that_vanished_are_counted() -> None:
    progress = joined(0)
    assert progress.polled(0, 100, 104) == 0
    assert progress.polled(0, 110, 112) == 5


def test_a_member_that_stays_goes_on_where_it_was() -> None:
    progress = joined(0, 1, 2)
    before = progress.generation
    progress.polled(0, 0, 9)
    progress.polled(1, 0, 4)
    progress.revoked()
    assert not progress.joined
    progress.done(messages(0, 3))  # finished while the group was sharing out
    assert progress.assigned(frozenset({0, 2}), ME, 2) == {0: 10}
    assert progress.generation == before + 1
    assert progress.to_commit() == {0: 4}
    progress.done(messages(1, 4))  # the other member's now
    assert progress.to_commit() == {0: 4}


def test_the_generation_stays_when_nothing_moves() -> None:
    progress = joined(0, 1)
    before = progress.generation
    progress.polled(0, 0, 9)
    progress.revoked()
    assert progress.assigned(frozenset({0, 1}), ME, 2) == {0: 10}
    assert progress.generation == before


def test_after_a_gap_everything_is_forgotten() -> None:
    for member, generation in ((ME, 3), (ME, 0), ("me again", 2)):
        progress = joined(0)
        before = progress.generation
        progress.polled(0, 0, 9)
        progress.done(messages(0, 9))
        progress.revoked()
        assert progress.assigned(frozenset({0, 1}), member, generation) == {}
        assert progress.astray == {0}  # the client keeps its position of before: it must go to the committed offset
        assert progress.to_commit() == {}
        assert progress.generation > before


def test_a_lost_membership_is_a_new_generation_at_once() -> None:
    progress = joined(0)
    before = progress.generation
    progress.polled(0, 0, 9)
    progress.done(messages(0, 9))
    progress.lost()
    assert progress.generation > before
    assert progress.to_commit() == {} and progress.rewind() == {} and not progress.owned


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("poll"), st.integers(0, 1), st.integers(1, 5)),
            st.tuples(st.just("done"), st.integers(0, 1), st.integers(1, 5)),
            st.tuples(st.sampled_from(["commit", "rewind", "shuffle", "drop"]), st.just(0), st.just(1)),
        ),
        max_size=60,
    )
)
def test_nothing_is_skipped_and_nothing_done_comes_again(actions: list[tuple[str, int, int]]) -> None:
    """Against a broker of two endless partitions, whose members come and go."""
    progress = joined(0, 1)
    generation = 1
    server = {0: 0, 1: 0}  # committed
    client = dict(server)  # where the client's fetch position is
    done = {0: 0, 1: 0}  # the truth
    for action, p, n in actions:
        if action == "poll":
            assert progress.polled(p, client[p], client[p] + n - 1) == 0
            assert client[p] >= done[p]
            client[p] += n
        elif action == "done":
            upto = min(done[p] + n, client[p])
            progress.done(messages(p, *range(done[p], upto)))
            done[p] = upto
        elif action == "commit":
            offsets = progress.to_commit()
            assert all(server[q] < offset <= done[q] for q, offset in offsets.items())
            server |= offsets
            progress.committed(offsets)
            assert server == done
        elif action == "rewind":
            client |= progress.rewind()
            assert client == done
        else:
            generation += 1 if action == "shuffle" else 2
            progress.revoked()
            kept = progress.assigned(frozenset({0, 1}), ME, generation)
            if action == "drop":
                assert kept == {}
                done = dict(server)  # what the server never heard of is done again
            client = server | kept
            assert all(client[q] >= done[q] for q in client)
