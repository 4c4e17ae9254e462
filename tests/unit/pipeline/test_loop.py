"""The commit order: a crash between any two steps, or a store that fails, never loses and never doubles."""

from datetime import UTC, datetime

import msgspec
import pytest

from pipeline.bus.base import MESSAGE_LIMIT
from pipeline.bus.sqlite import SqliteBus
from pipeline.compose import Stores
from pipeline.control.sql import SqlControlStore
from pipeline.dead_letters import Retried, retry_letters
from pipeline.errors import Reject, Retry
from pipeline.graph import Node, dlq
from pipeline.records import Decoder, Post, Raw, Rejected, encode
from pipeline.runners.feeding import Feeder
from pipeline.runners.letters import CUT, letter_entry, letter_of
from pipeline.runners.loop import StageLoop, Surroundings
from pipeline.runners.recovery import SnapshotRecovery
from pipeline.stages.index import Index
from pipeline.store.base import Rejection
from pipeline.store.sqlite import SqliteOpinionStore
from tests.contract.samples import opinion
from tests.migrated import control_database

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
    db = control_database()
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


def test_a_result_that_no_bus_takes_is_a_dead_letter_of_what_it_was_made_of(world):
    class Growing(Remembering):
        def __call__(self, batch):
            posts = super().__call__(batch)
            return [msgspec.structs.replace(p, author="x" * MESSAGE_LIMIT) if p.text == "big" else p for p in posts]

    db, bus, control = world
    put(bus, "a", "big", "poison", "b")
    loop = StageLoop(NODE, Growing(), around(db, bus, control))
    assert loop.step() == 4
    assert texts(bus) == ["a", "b"]
    letters = {x.offset: x for x in (Decoder(Rejected)(m.value) for m in bus.read(dlq("raw")))}
    assert set(letters) == {1, 2}
    assert "its Post is too large" in letters[1].reason and f"{MESSAGE_LIMIT:,}" in letters[1].reason
    assert Decoder(Raw)(letters[1].payload.encode()).text == "big", "it can be driven through again"
    assert bus.lag("prepare", "raw") == 0


def test_a_result_of_no_one_message_is_a_dead_letter_of_itself(world):
    db, bus, control = world
    loop = StageLoop(NODE, Remembering(), around(db, bus, control))
    big = msgspec.structs.replace(post(Raw(source="s", text="big", fetched_at=T)), author="x" * MESSAGE_LIMIT)
    loop.emit([big, post(Raw(source="s", text="small", fetched_at=T))])
    assert texts(bus) == ["small"]
    letter = Decoder(Rejected)(next(bus.read(dlq("posts"))).value)
    assert (letter.topic, letter.stage, letter.offset, letter.key) == ("posts", "prepare", None, "big")
    assert letter.payload.startswith('{"') and letter.reason.endswith(CUT)


@pytest.mark.parametrize("sign", ["x", '"', "字", "\x00"])
def test_a_dead_letter_fits_whatever_it_tells_of_and_keeps_what_fits(sign):
    letter = letter_of("s", "raw", ("k" * 2000, (sign * (MESSAGE_LIMIT // len(sign.encode()))).encode()), "why", T)
    key, value = letter_entry(letter)
    assert MESSAGE_LIMIT - 16 < len(key.encode()) + len(value) <= MESSAGE_LIMIT
    kept = Decoder(Rejected)(value)
    assert letter.payload.startswith(kept.payload) and kept.reason == "why" + CUT


def test_what_was_cut_to_fit_is_sent_again_whole(world):
    db, bus, control = world
    put(bus, "poison", '"' * (MESSAGE_LIMIT // 3))  # twice escaped, it is too long for a dead letter

    class Refusing(Remembering):
        def __call__(self, batch):
            raise Reject("mended later")

    StageLoop(NODE, Refusing(), around(db, bus, control)).step()
    kept = [Decoder(Rejected)(m.value) for m in bus.read(dlq("raw"))]
    assert [x.reason.endswith(CUT) for x in kept] == [False, True]
    stores = Stores(bus, SqliteOpinionStore(db), control, lambda: T, db.begin, db.close)
    assert retry_letters(stores) == Retried(2, [])
    assert [m.value for m in bus.read("raw", start=2)] == [m.value for m in bus.read("raw")][:2]


def test_what_was_cut_and_then_trimmed_or_never_was_on_a_topic_says_so(world):
    db, bus, control = world
    put(bus, '"' * (MESSAGE_LIMIT // 3), "b")

    class Refusing(Remembering):
        def __call__(self, batch):
            raise Reject("no")

    StageLoop(NODE, Refusing(), around(db, bus, control)).step()
    bus.truncate_before("raw", 1)
    never = Raw(source="s", text='"' * (MESSAGE_LIMIT // 2), fetched_at=T)
    Feeder(bus, control, db.begin).publish([never], "source:s", "1")
    stores = Stores(bus, SqliteOpinionStore(db), control, lambda: T, db.begin, db.close)
    sent, bad = retry_letters(stores)
    assert (sent, [id_ for id_, _ in bad]) == (1, ["raw:0", "raw:2"])
    assert "offset 0, found that it has been trimmed since" in bad[0][1]
    assert "no topic ever had it whole" in bad[1][1]


def test_a_text_that_no_bus_takes_is_a_dead_letter_and_the_source_goes_on(world):
    db, bus, control = world
    raws = [Raw(source="s", text=t, fetched_at=T, url="https://x.example/1") for t in ("a", "x" * MESSAGE_LIMIT, "b")]
    Feeder(bus, control, db.begin).publish(raws, "source:s", "3")
    assert [Decoder(Raw)(m.value).text for m in bus.read("raw")] == ["a", "b"]
    letter = Decoder(Rejected)(next(bus.read(dlq("raw"))).value)
    assert (letter.stage, letter.origin) == ("source", "s https://x.example/1")
    assert "its Raw is too large" in letter.reason
    assert control.checkpoint("source:s") == b"3"


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
