"""Stages with state are put back exactly: stories from the log, snapshots from the control store."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.bus.sqlite import SqliteBus
from pipeline.control.sql import SqlControlStore
from pipeline.errors import Retry, SnapshotError
from pipeline.graph import WORKERS, node
from pipeline.records import Decoder, Post, encode
from pipeline.runners.loop import StageLoop, Surroundings
from pipeline.runners.recovery import Snapshot, SnapshotRecovery, StoryRecovery
from pipeline.stages.story import Story
from tests.migrated import control_database

T = datetime(2026, 1, 5, tzinfo=UTC)
AT = node("story", WORKERS)
SENTENCES = (
    "Regulators opened an inquiry into the lender after deposits fell for a third week in a row",
    "The carmaker will recall forty thousand vehicles because a wiring fault may start fires",
    "监管部门对该银行立案调查，存款连续三周下降，投资者担心流动性风险进一步扩大",
    "公司宣布召回四万辆汽车，原因是线束缺陷可能引发起火，股价盘前下跌百分之六",
)


def text(n: int) -> Post:
    """Near-copies: the same sentence with another ending."""
    words = SENTENCES[n % len(SENTENCES)] + (" ." if n % 3 else " …")
    return Post(
        post_id=f"p{n}", source=f"s{n % 5}", text=words, language="en", published_at=T, fetched_at=T, story_id=f"p{n}"
    )


class Failing(Exception):
    pass


@pytest.fixture
def world():
    db = control_database()
    yield db, SqliteBus(db), SqlControlStore(db)
    db.close()


def worker(db, bus, window):
    story = Story(window, 0.7)
    recovery = StoryRecovery(story.rebuild, bus, window)
    return StageLoop(AT._replace(batch=3), story, Surroundings(bus, db.begin, lambda: T), recovery=recovery)


def stories(bus: SqliteBus) -> dict[str, str]:
    return {p.post_id: p.story_id for p in map(Decoder(Post), (m.value for m in bus.read("posts")))}


def arrive(bus: SqliteBus, numbers: Sequence[int]) -> None:
    bus.publish("prepared", [("k", encode(text(n))) for n in numbers])


@settings(max_examples=25, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 30), min_size=1, max_size=40),
    steps=st.lists(st.integers(1, 4), max_size=6),
    window=st.sampled_from([2, 5, 100]),
)
def test_a_worker_that_takes_over_gives_the_stories_that_one_worker_gives(numbers, steps, window):
    given_by = []
    for takeovers in ([], steps):
        db = control_database()
        bus = SqliteBus(db)
        arrive(bus, numbers)
        for n in [*takeovers, len(numbers) + 2]:
            loop = worker(db, bus, window)
            for _ in range(n + 1):  # the first step puts the state back
                loop.step()
            loop.close()
        given_by.append([m.value for m in bus.read("posts")])
        db.close()
    assert given_by[0] == given_by[1]


def test_copies_from_several_sources_are_one_story(world):
    db, bus, _ = world
    arrive(bus, [0, 4, 8, 1, 12, 5])
    loop = worker(db, bus, 100)
    while loop.step() or bus.lag("story", "prepared"):
        pass
    assert stories(bus) == {"p0": "p0", "p4": "p0", "p8": "p0", "p12": "p0", "p1": "p1", "p5": "p1"}


def test_what_was_published_but_not_committed_is_given_the_same_story_again(world):
    db, bus, _ = world
    arrive(bus, [0, 4])

    class Crash(BaseException): ...

    class NoTransaction:
        """As on Kafka: what was published stays, although the commit fails."""

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

    story = Story(100, 0.7)
    loop = StageLoop(
        AT, story, Surroundings(bus, NoTransaction, lambda: T), recovery=StoryRecovery(story.rebuild, bus, 100)
    )
    loop.step()

    def commit(messages):
        raise Crash

    loop._consumer.commit = commit
    with pytest.raises(Crash):
        loop.step()
    loop._consumer.close()
    again = worker(db, bus, 100)
    while again.step() or bus.lag("story", "prepared"):
        pass
    assert len(list(bus.read("posts"))) == 4
    assert stories(bus) == {"p0": "p0", "p4": "p0"}


def test_an_outage_while_the_state_is_put_back_is_tried_again(world):
    """Or the stage would go on without its state."""
    db, bus, _ = world
    arrive(bus, [0, 4])
    worker(db, bus, 50).step()
    tries = []

    class Away(StoryRecovery):
        def restore(self, committed: int) -> None:
            tries.append(committed)
            if len(tries) == 1:
                raise Retry("away")
            super().restore(committed)

    story = Story(50, 0.7)
    around = Surroundings(bus, db.begin, lambda: T)
    loop = StageLoop(AT._replace(batch=3), story, around, recovery=Away(story.rebuild, bus, 50))
    with pytest.raises(Retry):
        loop.step()
    while loop.step() == 0 and len(tries) < 2:
        pass
    assert len(tries) == 2


class Adding:
    """A stage whose state is the ids it has seen; it refuses a state that another version wrote."""

    name = "adding"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, batch):
        self.seen += [post.post_id for post in batch]
        return []

    def snapshot(self) -> bytes:
        return ("2 " + " ".join(self.seen)).encode()

    def restore(self, state: bytes) -> None:
        version, *seen = state.decode().split()
        if version != "2":
            raise SnapshotError("The snapshot has version 1; this Windvane reads 2.")
        self.seen = seen


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_snapshot_of_another_version_is_passed_over_and_the_log_read_instead(world, version):
    _, bus, control = world
    arrive(bus, range(7))
    state = Snapshot(offset=4, state=f"{version} kept".encode())
    control.put_checkpoint("state:story", msgspec.msgpack.encode(state))
    stage = Adding()
    SnapshotRecovery(AT._replace(batch=3), stage, bus, control).restore(committed=6)
    assert stage.seen == (["kept", "p4", "p5"] if version == "2" else [f"p{n}" for n in range(6)])
