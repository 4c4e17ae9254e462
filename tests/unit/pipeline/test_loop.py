"""The commit order: a crash between any two steps, or a store that fails, never loses and never doubles."""

from datetime import UTC, datetime

import pytest

from pipeline.bus.sqlite import SqliteBus
from pipeline.control.sql import SqlControlStore
from pipeline.database import Database
from pipeline.errors import Reject, Retry
from pipeline.graph import Node, dlq
from pipeline.records import Decoder, Post, Raw, Rejected, encode
from pipeline.runners.loop import StageLoop, Surroundings
from pipeline.runners.recovery import SnapshotRecovery
from pipeline.stages.index import Index
from pipeline.store.base import Rejection
from tests.contract.samples import opinion

T = datetime(2026, 9, 1, tzinfo=UTC)
NODE = Node("prepare", reads="raw", writes="posts", batch=4)


def post(raw: Raw) -> Post:
    name = raw.text
    return Post(post_id=name, source="s", text=name, language="en", published_at=T, fetched_at=T, story_id=name)


class Remembering:
    """A stage with state: numbers the texts it has seen, and is spoilt by seeing one twice."""

    name = "prepare"

    def __init__(self):
        self.seen = []

    def __call__(self, batch):
        if any(r.text == "poison" for r in batch):
            raise Reject("poison")
        self.seen += [r.text for r in batch]
        return [post(r) for r in batch]

    def snapshot(self):
        return ",".join(self.seen).encode()

    def restore(self, state):
        self.seen = state.decode().split(",") if state else []


class Failing:
    """A bus whose publish fails a given number of times before it works."""

    def __init__(self, bus, times):
        self._bus, self._times = bus, times

    def __getattr__(self, name):
        return getattr(self._bus, name)

    def publish(self, topic, entries):
        if self._times:
            self._times -= 1
            raise Retry("disk full", after=0.0)
        self._bus.publish(topic, entries)


@pytest.fixture
def world():
    db = Database(None)
    yield db, SqliteBus(db), SqlControlStore(db)
    db.close()


def around(db, bus, control):
    return Surroundings(bus, db.begin, lambda: T)


def texts(bus, topic="posts"):
    return [Decoder(Post)(m.value).text for m in bus.read(topic)]


def put(bus, *names):
    bus.publish("raw", [("k", encode(Raw(source="s", text=n, fetched_at=T))) for n in names])


def test_poison_costs_itself_and_says_where_it_came_from(world):
    db, bus, control = world
    put(bus, "a", "poison", "b")
    bus.publish("raw", [("k", b"{broken")])
    loop = StageLoop(NODE, Remembering(), around(db, bus, control))
    assert loop.step() == 4
    assert texts(bus) == ["a", "b"]
    letters = [Decoder(Rejected)(m.value) for m in bus.read(dlq("raw"))]
    assert {(x.offset, x.stage, x.topic) for x in letters} == {(1, "prepare", "raw"), (3, "prepare", "raw")}
    assert {x.reason for x in letters if x.offset == 1} == {"poison"}
    assert next(x.payload for x in letters if x.offset == 3) == "{broken"
    assert bus.lag("prepare", "raw") == 0


def test_what_the_store_refuses_says_where_it_came_from_and_keeps_its_partition(world):
    class Refusing:
        def write(self, opinions):
            return [Rejection("b", "too odd")]

    db, bus, control = world
    sent = [opinion(name, story_id="story of " + name) for name in "abc"]
    bus.publish("opinions", [("k", b"{broken"), *[(o.story_id, encode(o)) for o in sent]])
    index = Node("index", reads="opinions", writes=None, batch=9)
    StageLoop(index, Index(Refusing(), lambda: T), around(db, bus, control), sink=True).step()
    letters = [Decoder(Rejected)(m.value) for m in bus.read(dlq("opinions"))]
    assert {(x.partition, x.offset, x.key) for x in letters} == {(0, 0, "k"), (0, 2, "story of b")}
    assert {x.reason for x in letters if x.offset == 2} == {"too odd"}


def test_when_writing_fails_the_stage_does_not_see_the_batch_twice(world):
    db, bus, control = world
    put(bus, "a", "b")
    stage = Remembering()
    StageLoop(NODE, stage, around(db, Failing(bus, 3), control)).step()
    assert stage.seen == ["a", "b"]
    assert texts(bus) == ["a", "b"]


def test_a_crash_before_the_commit_repeats_the_batch_and_after_it_does_not(world):
    db, bus, control = world
    put(bus, *"abcdef")

    class Crash(BaseException):
        pass

    class CrashingConsumer:
        def __init__(self, inner):
            self._inner = inner

        def __getattr__(self, name):
            return getattr(self._inner, name)

        def commit(self, messages):
            raise Crash

    loop = StageLoop(NODE, Remembering(), around(db, bus, control))
    loop._consumer = CrashingConsumer(loop._consumer)
    with pytest.raises(Crash):
        loop.step()
    assert texts(bus) == [], "results and offset are one transaction"
    loop._consumer.close()
    again = StageLoop(NODE, Remembering(), around(db, bus, control))
    while again.step():
        pass
    assert texts(bus) == list("abcdef")


def test_a_stage_with_state_is_put_back_as_it_was(world):
    db, bus, control = world
    put(bus, *"abcdefghij")
    stage = Remembering()
    recovery = SnapshotRecovery(NODE, stage, bus, control)
    first = StageLoop(NODE, stage, around(db, bus, control), recovery=recovery)
    first.recover()
    first.step()
    first.emit([post(Raw(source="s", text="extra", fetched_at=T))])  # saves the state at offset 4
    first.step()
    first._consumer.close()
    stage = Remembering()
    recovery = SnapshotRecovery(NODE, stage, bus, control)
    again = StageLoop(NODE, stage, around(db, bus, control), recovery=recovery)
    again.recover()
    assert stage.seen == list("abcdefgh")
    while again.step():
        pass
    assert stage.seen == list("abcdefghij")
    assert texts(bus) == [*"abcd", "extra", *"efghij"], "what was recovered is not written again"
