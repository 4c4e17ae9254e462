"""The embedded log is kept to a length, and nothing goes that is young or that somebody still has to read."""

from datetime import UTC, datetime, timedelta
from threading import Event, Thread

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from pipeline.beside import beside
from pipeline.bus.sqlite import SqliteBus
from pipeline.compose import build_trimmer, open_embedded
from pipeline.control.sql import SqlControlStore
from pipeline.database import Database
from pipeline.graph import NODES, TOPICS, dlq, node
from pipeline.runners.trimming import MARKS, Trimmer
from pipeline.settings import LogSettings, PrepareSettings, Settings

T = datetime(2026, 1, 5, tzinfo=UTC)
KEEP = timedelta(days=7)
HOUR = timedelta(hours=1)
GROUPS = ("one", "two")


class Kept(dict):
    """The two verbs of a control store that a trimmer needs."""

    checkpoint = dict.get
    put_checkpoint = dict.__setitem__


class World:
    """A topic with two groups, the clock and the time of every message."""

    def __init__(self):
        self.db = Database(None)
        self.bus = SqliteBus(self.db)
        self.now = T
        self.written: list[datetime] = []
        self.kept = Kept()
        self.done = dict.fromkeys(GROUPS, 0)
        self.consumers = {group: self.bus.consumer(group, "t") for group in GROUPS}
        self.restart()

    def restart(self):
        self.trimmer = Trimmer(self.bus, self.kept, lambda: self.now, {"t": KEEP}, self.needed)

    def needed(self, topic):
        return min(self.bus.committed(group, topic) for group in GROUPS)

    def publish(self, n):
        self.bus.publish("t", [("k", b"%d" % (len(self.written) + i)) for i in range(n)])
        self.written += [self.now] * n

    def commit(self, group, n):
        if messages := self.consumers[group].poll(n):
            self.consumers[group].commit(messages)
            self.done[group] = messages[-1].offset + 1

    def check(self):
        """What is there is whole, up to date and begins no later than it must."""
        held = [m.offset for m in self.bus.read("t")]
        assert held == list(range(len(self.written) - len(held), len(self.written)))
        gone = len(self.written) - len(held)
        assert gone <= min(self.done.values()), "nothing unread is trimmed"
        assert all(self.now - at >= KEEP for at in self.written[:gone]), "nothing young is trimmed"


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("publish"), st.integers(1, 5)),
            st.tuples(st.sampled_from([*GROUPS, "both"]), st.integers(1, 6)),
            st.tuples(st.just("hours"), st.sampled_from([1, 24 * 4, 24 * 8])),
            st.tuples(st.sampled_from(["trim", "trim", "restart"]), st.just(0)),
        ),
        min_size=15,
        max_size=60,
    )
)
def test_nothing_unread_and_nothing_young_is_ever_trimmed_and_the_rest_goes(actions):
    world = World()
    for action, n in actions:
        match action:
            case "publish":
                world.publish(n)
            case "hours":
                world.now += n * HOUR
            case "trim":
                world.trimmer.trim(Event())
            case "restart":
                world.restart()
            case who:
                for group in GROUPS if who == "both" else (who,):
                    world.commit(group, n)
        world.check()
    for group in GROUPS:
        world.commit(group, 1000)
    for _ in range(2):
        world.trimmer.trim(Event())
        world.now += KEEP + HOUR
    world.trimmer.trim(Event())
    world.check()
    assert world.bus.messages("t") == 0
    world.db.close()


def test_a_steady_stream_is_kept_to_its_length_with_few_marks():
    world = World()
    for _ in range(24 * 21):
        world.publish(1)
        for group in GROUPS:
            world.commit(group, 10)
        world.trimmer.trim(Event())
        world.now += HOUR
    assert 24 * 7 <= world.bus.messages("t") <= 24 * 7 + 3
    assert world.kept["log:t"].count(b"Z") <= MARKS + 3
    world.db.close()


@pytest.fixture
def stores():
    now = [T]
    opened = open_embedded(None, clock=lambda: now[0])
    yield opened, now
    opened.close()


def test_the_pipelines_own_topics(stores):
    """Kept: what a stage has not done, the story window, what the detector is put back from, what stays for ever."""
    opened, now = stores
    settings = Settings(prepare=PrepareSettings(story_window=3), log=LogSettings(opinion_retention_days=7))
    trimmer = build_trimmer(settings, opened)
    for topic in (*TOPICS, *map(dlq, TOPICS)):
        opened.bus.publish(topic, [("k", b"%d" % n) for n in range(10)])
    trimmer.trim(Event())
    now[0] += timedelta(days=8)
    trimmer.trim(Event())
    assert {opened.bus.messages(topic) for topic in TOPICS} == {10}, "nothing is done yet"
    for at in NODES:
        consumer = opened.bus.consumer(at.group, at.reads)
        consumer.commit(consumer.poll(8))
    trimmer.trim(Event())
    assert (opened.bus.messages("raw"), opened.bus.messages("posts")) == (2, 3)
    assert opened.bus.messages("opinions") == 10, "the detector has no snapshot yet"
    keep_snapshot(opened.control, 5)
    trimmer.trim(Event())
    assert opened.bus.messages("opinions") == 5
    assert {opened.bus.messages(t) for t in ("alerts", "feedback", "control", *map(dlq, TOPICS))} == {10}


def keep_snapshot(control: SqlControlStore, offset: int) -> None:
    from pipeline.runners.recovery import SnapshotRecovery

    class Stage:
        def snapshot(self):
            return b"state"

    SnapshotRecovery(node("detect"), Stage(), None, control).save(offset)


def test_the_thread_trims_at_once_and_ends_with_its_block():
    world = World()
    world.publish(5)
    for group in GROUPS:
        world.commit(group, 5)
    world.trimmer.trim(Event())
    world.now += KEEP
    with beside(world.trimmer.run, "trim", join_s=60):
        pass
    with beside(world.trimmer.run, "trim", join_s=60):
        until = Event()
        for _ in range(500):
            if world.bus.messages("t") == 0:
                break
            until.wait(0.02)
    assert world.bus.messages("t") == 0
    world.db.close()


def test_a_bug_is_told_and_the_next_hour_tries_again():
    stop, tried = Event(), []

    def needed(topic):
        tried.append(topic)
        if len(tried) > 2:
            stop.set()
            return 0
        raise ZeroDivisionError("a bug")

    world = World()
    world.needed = needed
    world.restart()
    with structlog.testing.capture_logs() as logs:
        thread = Thread(target=world.trimmer.run, args=(stop, 0.001), daemon=True)
        thread.start()
        thread.join(timeout=30)
    assert len(tried) == 3
    assert [(line["log_level"], line.get("exc_info")) for line in logs] == [("error", True)] * 2
    world.db.close()
