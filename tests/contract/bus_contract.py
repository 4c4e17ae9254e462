"""What every bus does. A backend inherits BusContract and supplies `fresh`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.bus.base import MESSAGE_LIMIT, Bus, Consumer, Message, TooLarge

ACTIONS = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 5)),
    st.tuples(st.just("poll"), st.integers(1, 4)),
    st.tuples(st.just("commit"), st.integers(1, 4)),  # the oldest n of what was polled and not committed
    st.tuples(st.sampled_from(["rewind", "restart", "rejoin"]), st.just(0)),
)


class BusContract:
    """All keys equal here, so that a backend with several partitions keeps one order too."""

    patience = 1  # empty polls after which nothing waits; a remote backend needs more

    @contextmanager
    def fresh(self) -> Iterator[Callable[[], Bus]]:
        """An empty log. Each call of what is yielded is a new client of it, as after a restart."""
        raise NotImplementedError

    @pytest.fixture
    def bus(self) -> Iterator[Bus]:
        with self.fresh() as open_bus:
            yield open_bus()

    def drain(self, consumer: Consumer, limit: int = 100) -> list[Message]:
        """Up to `limit` messages: polls until nothing waits."""
        messages: list[Message] = []
        empty = 0
        while empty < self.patience and len(messages) < limit:
            polled = consumer.poll(limit - len(messages))
            messages += polled
            empty = 0 if polled else empty + 1
        return messages

    def test_messages_come_in_order_with_offsets_that_rise_by_one(self, bus: Bus) -> None:
        publish(bus, b"a", b"b")
        publish(bus, b"c")
        messages = self.drain(bus.consumer("g", "t"))
        assert [m.value for m in messages] == [b"a", b"b", b"c"]
        assert [m.offset - messages[0].offset for m in messages] == [0, 1, 2]
        assert {(m.topic, m.key) for m in messages} == {("t", "k")}

    def test_a_poll_gives_at_most_its_limit_and_goes_on_after_it(self, bus: Bus) -> None:
        publish(bus, *(b"%d" % i for i in range(10)))
        consumer = bus.consumer("g", "t")
        first = self.drain(consumer, limit=4)
        assert len(first) == 4
        assert [m.value for m in first + self.drain(consumer)] == [b"%d" % i for i in range(10)]

    def test_a_poll_of_some_partitions_leaves_the_others_their_place(self, bus: Bus) -> None:
        publish(bus, b"a", b"b")
        consumer = bus.consumer("g", "t")
        first = self.drain(consumer, limit=1)
        at = first[0].partition
        others = [p for p in range(bus.partitions("t") + 1) if p != at]
        assert consumer.poll(9, others) == consumer.poll(9, []) == []
        again: list[Message] = []
        for _ in range(20 * self.patience):  # a remote client may have to fetch it anew
            again = again or consumer.poll(9, [at])
        assert [m.value for m in again] == [b"b"]
        consumer.rewind()
        assert [m.value for m in self.drain(consumer)] == [b"a", b"b"]

    def test_a_message_over_the_limit_is_refused_in_words_and_nothing_is_sent(self, bus: Bus) -> None:
        whole = b"x" * (MESSAGE_LIMIT - 1)
        with pytest.raises(
            TooLarge, match=rf"at most {MESSAGE_LIMIT:,} bytes on topic .*t, found .*{MESSAGE_LIMIT + 1:,}"
        ) as e:
            publish(bus, b"small", whole + b"y")
        assert e.value.index == 1
        assert bus.end("t") == 0
        publish(bus, whole)
        assert [m.value == whole for m in bus.read("t")] == [True]

    def test_a_topic_nobody_wrote_to_is_empty(self, bus: Bus) -> None:
        consumer = bus.consumer("g", "nothing")
        assert self.drain(consumer) == []
        assert bus.lag("g", "nothing") == bus.messages("nothing") == 0
        assert list(bus.read("nothing")) == []
        publish(bus, b"late", topic="nothing")
        assert [m.value for m in self.drain(consumer)] == [b"late"]

    def test_each_group_reads_all(self, bus: Bus) -> None:
        publish(bus, b"a", b"b")
        for group in ("one", "two"):
            assert [m.value for m in self.drain(bus.consumer(group, "t"))] == [b"a", b"b"]

    def test_commit_moves_the_group_and_lag_follows(self, bus: Bus) -> None:
        publish(bus, b"a", b"b", b"c")
        consumer = bus.consumer("g", "t")
        messages = self.drain(consumer)
        assert bus.lag("g", "t") == 3
        consumer.commit(messages[:2])
        assert bus.lag("g", "t") == 1
        consumer.close()
        assert [m.value for m in self.drain(bus.consumer("g", "t"))] == [b"c"]

    def test_an_older_commit_takes_nothing_back(self, bus: Bus) -> None:
        publish(bus, b"a", b"b")
        consumer = bus.consumer("g", "t")
        messages = self.drain(consumer)
        consumer.commit(messages)
        consumer.commit(messages[:1])
        assert bus.lag("g", "t") == 0

    def test_rewind_gives_the_uncommitted_again(self, bus: Bus) -> None:
        publish(bus, b"a", b"b")
        consumer = bus.consumer("g", "t")
        consumer.commit(self.drain(consumer, limit=1))
        assert [m.value for m in self.drain(consumer)] == [b"b"]
        consumer.rewind()
        assert [m.value for m in self.drain(consumer)] == [b"b"]

    def test_a_second_member_gets_nothing_in_flight_twice_and_takes_over(self, bus: Bus) -> None:
        publish(bus, b"a", b"b")
        first, second = bus.consumer("g", "t"), bus.consumer("g", "t")
        assert [m.value for m in self.drain(first)] == [b"a", b"b"]
        assert self.drain(second) == []
        first.close()
        assert [m.value for m in self.drain(second)] == [b"a", b"b"]

    def test_read_stands_outside_the_groups(self, bus: Bus) -> None:
        publish(bus, *(b"%d" % i for i in range(1200)))
        consumer = bus.consumer("g", "t")
        consumer.commit(self.drain(consumer, limit=1))
        assert [m.value for m in bus.read("t")] == [b"%d" % i for i in range(1200)]
        assert [m.value for m in bus.read("t", start=1198)] == [b"1198", b"1199"]
        assert bus.lag("g", "t") == 1199

    def test_a_reader_does_not_stop_a_writer(self, bus: Bus) -> None:
        publish(bus, b"a", b"b")
        reader = bus.read("t")
        assert next(reader).value == b"a"
        publish(bus, b"c")
        assert [m.value for m in reader][:1] == [b"b"]
        assert bus.end("t") == 3

    def test_a_group_goes_on_where_it_committed(self, bus: Bus) -> None:
        publish(bus, b"a", b"b", b"c")
        consumer = bus.consumer("g", "t")
        messages = self.drain(consumer)
        at = messages[0].partition
        assert 0 <= at < bus.partitions("t")
        assert bus.committed("g", "t", at) == 0
        consumer.commit(messages[:2])
        assert bus.committed("g", "t", at) == 2
        assert bus.end("t", at) == bus.messages("t") == 3

    def test_waiting_keeps_the_place(self, bus: Bus) -> None:
        publish(bus, b"a", b"b")
        consumer = bus.consumer("g", "t")
        first = self.drain(consumer, limit=1)
        generation = consumer.generation
        consumer.wait(0.01)
        assert consumer.generation == generation
        consumer.commit(first)
        assert [m.value for m in self.drain(consumer)] == [b"b"]

    def test_a_sole_reader_has_every_partition_and_another_takes_over(self, bus: Bus) -> None:
        bus.publish("t", [(f"k{i}", b"%d" % i) for i in range(50)])
        members = [bus.consumer("g", "t", sole=True) for _ in range(2)]
        got = [{m.value for m in self.drain(member)} for member in members]
        everything = {b"%d" % i for i in range(50)}
        assert sorted(map(len, got)) == [0, 50]
        owner = got.index(everything)
        members[owner].close()
        assert {m.value for m in self.drain(members[1 - owner])} == everything

    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(actions=st.lists(ACTIONS, max_size=25))
    def test_any_history_gives_what_a_list_gives(self, actions: list[tuple[str, int]]) -> None:
        with self.fresh() as open_bus:
            bus = open_bus()
            consumer = bus.consumer("g", "t")
            log: list[bytes] = []
            committed = position = 0
            flight: list[Message] = []
            for action, n in actions:
                if action == "publish":
                    values = [b"%d" % (len(log) + i) for i in range(n)]
                    publish(bus, *values)
                    log += values
                elif action == "poll":
                    polled = self.drain(consumer, limit=n)
                    assert [m.value for m in polled] == log[position : position + n]
                    position += len(polled)
                    flight += polled
                elif action == "commit" and flight:
                    consumer.commit(flight[:n])
                    committed += len(flight[:n])
                    flight = flight[n:]
                elif action in ("rewind", "restart", "rejoin"):
                    if action == "rewind":
                        consumer.rewind()
                    else:
                        consumer.close()
                        bus = open_bus() if action == "restart" else bus
                        consumer = bus.consumer("g", "t")
                    position, flight = committed, []
                assert bus.lag("g", "t") == len(log) - committed
            assert [m.value for m in bus.read("t")] == log


def publish(bus: Bus, *values: bytes, topic: str = "t") -> None:
    bus.publish(topic, [("k", value) for value in values])
