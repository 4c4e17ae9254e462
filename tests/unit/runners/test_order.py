"""`order` gives the timeline of one process, whatever the pace of the classify workers."""

import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event, Thread

from hypothesis import given
from hypothesis import strategies as st

from pipeline.bus.base import Message
from pipeline.errors import Retry
from pipeline.runners.order import Order

T = datetime(2026, 1, 5, tzinfo=UTC)
PARTITIONS = 3


class Consumer:
    """Hands out what lies in `opinions`, a partition after the other."""

    generation = 0

    def __init__(self, bus):
        self._bus = bus
        self.at = defaultdict(int)

    def poll(self, limit: int, only: Collection[int] | None = None) -> list[Message]:
        out: list[Message] = []
        for p in range(PARTITIONS) if only is None else sorted(only):
            more = self._bus.logs["opinions", p][self.at[p] : self.at[p] + limit - len(out)]
            self.at[p] += len(more)
            out += more
        return out

    def commit(self, messages: Sequence[Message]) -> None:
        for m in messages:
            assert m.offset == self._bus.done["order", "opinions", m.partition], "commits without a hole"
            self._bus.done["order", "opinions", m.partition] = m.offset + 1

    def rewind(self) -> None:
        for p in range(PARTITIONS):
            self.at[p] = self._bus.done["order", "opinions", p]

    def wait(self, seconds: float) -> None: ...


class Bus:
    """`posts`, `opinions` and `timeline` as lists."""

    def __init__(self):
        self.logs = defaultdict(list)
        self.done = defaultdict(int)
        self.timeline: list[bytes] = []

    def consumer(self, group, topic, *, sole=False):
        assert sole
        self.reader = Consumer(self)
        return self.reader

    def partitions(self, topic):
        return PARTITIONS

    def committed(self, group, topic, partition=0):
        return self.done[group, topic, partition]

    def end(self, topic, partition=0):
        return len(self.logs[topic, partition])

    def publish(self, topic, entries):
        assert topic == "timeline"
        self.timeline += [value for _, value in entries]

    def post(self, n: int, partition: int) -> None:
        """Text `n`, a minute after the one before it."""
        value = b'{"post_id":"%04d","published_at":"%s"}' % (n, (T + timedelta(minutes=n)).isoformat().encode())
        at = len(self.logs["posts", partition])
        self.logs["posts", partition].append(Message("posts", partition, at, "k", value))

    def classify(self, partition: int, upto: int) -> None:
        """A classify worker does its partition up to the post of that offset."""
        for m in self.logs["posts", partition][self.done["classify", "posts", partition] : upto]:
            at = len(self.logs["opinions", partition])
            self.logs["opinions", partition].append(Message("opinions", partition, at, m.key, m.value))
            self.done["classify", "posts", partition] += 1


class Ticks:
    now = 0.0

    def __call__(self) -> float:
        self.now += 0.2
        return self.now


@given(st.data())
def test_the_timeline_is_in_order_whatever_the_pace_and_whenever_the_worker_changes(data):
    bus = Bus()
    most = data.draw(st.integers(1, 40))
    order = Order(bus, patience_s=1e9, ticks=Ticks(), most_waiting=most)
    total = data.draw(st.integers(0, 40))
    places = data.draw(st.lists(st.integers(0, PARTITIONS - 1), min_size=total, max_size=total))
    posted = 0
    for _ in range(data.draw(st.integers(0, 30))):
        match data.draw(st.sampled_from(["post", "classify", "step", "taken over"])):
            case "post" if posted < total:
                bus.post(posted, places[posted])
                posted += 1
            case "classify":
                p = data.draw(st.integers(0, PARTITIONS - 1))
                bus.classify(p, data.draw(st.integers(0, bus.end("posts", p))))
            case "step":
                order.step()
            case "taken over":
                order = Order(bus, patience_s=1e9, ticks=Ticks(), most_waiting=most)
                bus.reader.rewind()
    for n in range(posted, total):
        bus.post(n, places[n])
    for p in range(PARTITIONS):
        bus.classify(p, bus.end("posts", p))
    for _ in range(4 * total + 4):
        order.step()
    first_seen = list(dict.fromkeys(bus.timeline))
    assert [v[12:16] for v in first_seen] == [b"%04d" % n for n in range(total)]


class Story:
    """Does `prepared` in batches of at most five: a partition of `posts` after the other, then it commits."""

    def __init__(self, bus: Bus, places: list[int]) -> None:
        self._bus = bus
        self._places = places
        self._todo: dict[int, list[int]] = {}
        self._upto = 0
        bus.logs["prepared", 0] = list(range(len(places)))

    def begin(self, size: int) -> None:
        """A batch after the last committed one; what a killed worker wrote of it is written again."""
        start = self._bus.done["story", "prepared", 0]
        self._upto = min(start + size, len(self._places))
        self._todo = {}
        for n in range(start, self._upto):
            self._todo.setdefault(self._places[n], []).append(n)

    def write(self, partition: int) -> None:
        for n in self._todo.pop(partition, []):
            self._bus.post(n, partition)

    def finish(self) -> None:
        for partition in list(self._todo):
            self.write(partition)
        self._bus.done["story", "prepared", 0] = max(self._upto, self._bus.done["story", "prepared", 0])


@given(st.data())
def test_the_timeline_is_in_order_while_story_writes_a_batch_and_when_it_is_killed_there(data):
    bus = Bus()
    places = data.draw(st.lists(st.integers(0, PARTITIONS - 1), max_size=20))
    order = Order(bus, patience_s=1e9, ticks=Ticks(), most_waiting=data.draw(st.integers(1, 20)))
    story = Story(bus, places)
    partition = st.integers(0, PARTITIONS - 1)
    for _ in range(data.draw(st.integers(0, 40))):
        match data.draw(st.sampled_from(["begin", "write", "finish", "classify", "step"])):
            case "begin":
                story.begin(data.draw(st.integers(1, 5)))
            case "write":
                story.write(data.draw(partition))
            case "finish":
                story.finish()
            case "classify":
                p = data.draw(partition)
                bus.classify(p, bus.end("posts", p))
            case "step":
                order.step()
    while bus.done["story", "prepared", 0] < len(places):
        story.begin(5)
        story.finish()
    for p in range(PARTITIONS):
        bus.classify(p, bus.end("posts", p))
    for _ in range(8 * len(places) + 8):
        order.step()
    first_seen = list(dict.fromkeys(bus.timeline))
    assert [v[12:16] for v in first_seen] == [b"%04d" % n for n in range(len(places))]


def test_nothing_of_half_a_batch_goes_out_before_what_is_still_to_be_written_of_it():
    bus = Bus()
    order, story = Order(bus, patience_s=1e9, ticks=Ticks()), Story(bus, [0, 1, 1])
    story.begin(3)
    story.write(1)  # and is killed: text 0 is in no partition yet
    bus.classify(1, 2)
    for _ in range(3):
        order.step()
    assert bus.timeline == []
    story.begin(3)
    story.finish()
    for p in range(PARTITIONS):
        bus.classify(p, bus.end("posts", p))
    for _ in range(6):
        order.step()
    assert [v[12:16] for v in dict.fromkeys(bus.timeline)] == [b"0000", b"0001", b"0002"]


def test_a_stuck_partition_holds_the_others_back_until_patience_ends():
    bus, ticks = Bus(), Ticks()
    order = Order(bus, patience_s=60, ticks=ticks)
    bus.post(0, 0)
    bus.post(1, 1)
    bus.classify(1, 1)
    for _ in range(5):
        order.step()
    assert bus.timeline == [] and "0" in order.waiting
    ticks.now += 60
    order.step()
    assert len(bus.timeline) == 1
    bus.post(2, 1)
    bus.classify(1, 2)
    order.step()
    order.step()
    assert len(bus.timeline) == 2, "given up is given up until it brings something"
    bus.classify(0, 1)
    order.step()
    assert len(bus.timeline) == 3


def ahead(bus: Bus, ticks: Ticks, most_waiting: int) -> Order:
    """Partition 1 is far ahead: as many of its opinions are held as may be, and text 0 is still being classified."""
    order = Order(bus, patience_s=60, ticks=ticks, most_waiting=most_waiting)
    bus.post(0, 0)
    for n in range(1, 1 + 2 * order.node.batch):
        bus.post(n, 1)
    bus.classify(1, 2 * order.node.batch)
    for _ in range(5):
        order.step()
    assert bus.timeline == [] and bus.reader.at[1] == order.node.batch, "no more is taken"
    return order


def test_what_ends_the_waiting_is_read_however_much_is_held():
    bus, ticks = Bus(), Ticks()
    order = ahead(bus, ticks, most_waiting=10)
    bus.classify(0, 1)
    for _ in range(9):
        order.step()
    assert [v[12:16] for v in bus.timeline] == [b"%04d" % n for n in range(len(bus.timeline))]
    assert len(bus.timeline) == 1 + 2 * order.node.batch and ticks.now < 60


def test_a_stuck_partition_is_passed_by_after_the_same_patience_however_much_is_held():
    bus, ticks = Bus(), Ticks()
    order = ahead(bus, ticks, most_waiting=10)
    ticks.now += 60
    for _ in range(9):
        order.step()
    assert len(bus.timeline) == 2 * order.node.batch


def test_what_is_no_opinion_goes_on_to_be_rejected_there():
    bus = Bus()
    order = Order(bus, patience_s=60, ticks=Ticks())
    bus.logs["opinions", 2].append(Message("opinions", 2, 0, "k", b"{broken"))
    for _ in range(3):
        order.step()
    assert bus.timeline == [b"{broken"]


def test_an_outage_at_any_question_is_waited_out():
    """Also while it starts again after one: `run` lets nothing through but what it does not know."""

    class Away(Bus):
        asked = 0

        def partitions(self, topic):
            self.asked += 1
            if self.asked < 3:
                raise Retry("away", after=0.0)
            return super().partitions(topic)

    bus, stop = Away(), Event()
    bus.post(0, 0)
    bus.classify(0, 1)
    order = Order(bus, patience_s=1e9, ticks=Ticks())
    worker = Thread(target=order.run, args=(stop, 0.0), daemon=True)
    worker.start()
    deadline = time.monotonic() + 30
    while not bus.timeline and time.monotonic() < deadline:
        time.sleep(0.01)
    stop.set()
    worker.join(5)
    assert len(bus.timeline) == 1 and bus.asked >= 3


def test_after_a_rebalance_nothing_that_was_held_is_lost():
    bus = Bus()
    order = Order(bus, patience_s=1e9, ticks=Ticks())
    bus.post(0, 0)
    bus.post(1, 1)
    bus.classify(1, 1)
    order.step()
    bus.reader.generation += 1
    bus.classify(0, 1)
    for _ in range(6):
        order.step()
    assert [v[12:16] for v in bus.timeline] == [b"0000", b"0001"]
