"""Members of a group come, go, sleep and die: nothing is lost, and nobody commits what is another's."""

import multiprocessing
import os
import random
import signal
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

import pytest

from pipeline.bus.base import Consumer
from pipeline.bus.kafka import KafkaBus
from pipeline.bus.kafka_options import Timing
from pipeline.settings import KafkaSettings
from tests.connected.kafka_help import QUICK, bus_on, numbers, polling, publish, settings_for, shared_out, until

pytestmark = pytest.mark.connected


def drain(consumer: Consumer, limit: int = 1000) -> list[int]:
    got: list[int] = []
    for _ in range(3):
        while polled := consumer.poll(limit):
            got += numbers(polled)
    return got


def test_two_members_share_and_the_one_that_stays_gets_what_the_other_left(kafka_server: Any) -> None:
    with bus_on(kafka_server.address) as bus:
        publish(bus, 0, 100)
        one, two = bus.consumer("g", "t"), bus.consumer("g", "t")
        shared_out(one, two)
        mine, others = drain(one), drain(two)
        assert mine and others
        assert sorted(mine + others) == list(range(100))
        one.rewind()
        one.commit(one.poll(1000))
        two.close()  # nothing committed
        assert sorted(until(lambda: drain(one))) == sorted(others)
        assert bus.lag("g", "t") == len(others)


def test_a_standby_that_comes_and_goes_leaves_a_sole_reader_undisturbed(kafka_server: Any) -> None:
    with bus_on(kafka_server.address) as bus:
        publish(bus, 0, 30)
        owner = bus.consumer("g", "t", sole=True)
        first = until(lambda: owner.poll(10))
        generation = owner.generation
        for _ in range(2):
            standby: Consumer = bus.consumer("g", "t", sole=True)
            with polling(standby):
                until(lambda member=standby: owner.wait(0.5) or member.generation)  # as under back-pressure
            assert standby.poll(10) == []
            standby.close()
            for _ in range(6):  # the owner hears of it before the next comes: a member that missed a whole round of
                owner.wait(0.5)  # the group cannot know that nobody else had its partitions, and begins anew
        assert owner.generation == generation
        owner.commit(first)
        rest = until(lambda: drain(owner))
        assert sorted(numbers(first) + rest) == list(range(30))


class Worker(threading.Thread):
    """A member that works by chance: whole batches, parts of them, none of them, or a pause. `finished` holds what it
    committed, or would have, had the partition not gone."""

    def __init__(self, consumer: Consumer, seed: int) -> None:
        super().__init__(daemon=True)
        self.finished: list[int] = []
        self.failed: BaseException | None = None
        self.leave = threading.Event()
        self._consumer = consumer
        self._rng = random.Random(seed)

    def run(self) -> None:
        try:
            while not self.leave.is_set():
                self._act()
            self._consumer.close()
        except BaseException as e:
            self.failed = e

    def _act(self) -> None:
        polled = self._consumer.poll(self._rng.randint(1, 50))
        match self._rng.choice(["work"] * 6 + ["part", "rewind", "wait"]):
            case "wait":
                self._consumer.wait(self._rng.random())
                self._consumer.rewind()
            case "rewind":
                self._consumer.rewind()
            case "part":
                part = polled[: self._rng.randint(0, len(polled))]
                self._consumer.commit(part)
                self.finished += numbers(part)
                self._consumer.rewind()
            case _:
                self._consumer.commit(polled)
                self.finished += numbers(polled)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rebalances_while_polling_lose_nothing(kafka_server: Any, seed: int) -> None:
    rng = random.Random(seed)
    with bus_on(kafka_server.address) as bus:
        publish(bus, 0, 1)
        everyone: list[Worker] = []
        at_work: list[Worker] = []
        sent = 1
        for step in range(40):
            publish(bus, sent, n := rng.randint(1, 50))
            sent += n
            if not at_work or (rng.random() < 0.2 and len(at_work) < 3):
                at_work.append(Worker(bus.consumer("g", "t"), seed * 1000 + step))
                everyone.append(at_work[-1])
                at_work[-1].start()
            elif rng.random() < 0.15:
                at_work.pop(rng.randrange(len(at_work))).leave.set()
            time.sleep(rng.random() / 2)
        until(lambda: not bus.lag("g", "t"), seconds=120)
        for worker in everyone:
            worker.leave.set()
            worker.join(30)
            assert worker.failed is None
            assert not worker.is_alive()
    finished = [i for worker in everyone for i in worker.finished]
    assert set(finished) == set(range(sent))
    print(f"seed {seed}: {sent} sent, {len(everyone)} members, {len(finished) - sent} done twice")


def test_one_who_slept_commits_nothing_that_is_anothers(kafka_server: Any) -> None:
    timing = QUICK._replace(max_poll_s=3)
    with bus_on(kafka_server.address, timing, partitions=1) as bus:
        publish(bus, 0, 10)
        sleeper, other = bus.consumer("g", "t"), bus.consumer("g", "t")
        asleep = until(lambda: sleeper.poll(10))
        generation = sleeper.generation
        taken = until(lambda: other.poll(4), seconds=30)  # once the group has given the sleeper up
        assert numbers(taken) == [0, 1, 2, 3]
        sleeper.commit(asleep)
        assert bus.lag("g", "t") == 10
        other.commit(taken)
        assert bus.lag("g", "t") == 6
        assert sleeper.poll(10) == []
        assert sleeper.generation != generation
        sleeper.commit(asleep)
        assert bus.lag("g", "t") == 6


def test_waiting_outlasts_the_poll_interval(kafka_server: Any) -> None:
    timing = QUICK._replace(max_poll_s=3)
    with bus_on(kafka_server.address, timing, partitions=1) as bus:
        publish(bus, 0, 10)
        member = bus.consumer("g", "t")
        first = until(lambda: member.poll(4))
        generation = member.generation
        member.wait(8)
        assert member.generation == generation
        member.commit(first)
        assert bus.lag("g", "t") == 6
        assert drain(member) == [4, 5, 6, 7, 8, 9]


def hold(settings: KafkaSettings, timing: Timing, pipe: Connection) -> None:
    """A worker: polls, commits the first half, and says so."""
    bus = KafkaBus(settings, timing)
    consumer = bus.consumer("g", "t")
    polled = until(lambda: consumer.poll(100))
    consumer.commit(polled[:50])
    pipe.send(numbers(polled))
    while True:
        consumer.wait(1)


def test_a_killed_worker_is_missed_within_the_session(kafka_server: Any) -> None:
    settings = settings_for(kafka_server.address, partitions=1)
    bus = KafkaBus(settings, QUICK)
    publish(bus, 0, 100)
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    worker = context.Process(target=hold, args=(settings, QUICK, its))
    worker.start()
    try:
        assert mine.poll(120)
        assert mine.recv() == list(range(100))
        other = bus.consumer("g", "t")
        assert other.poll(10) == []
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        killed = time.monotonic()
        took_over = until(lambda: other.poll(100))
        seconds = time.monotonic() - killed
        assert numbers(took_over) == list(range(50, 100))
        print(f"taken over {seconds:.1f} s after the kill (session {QUICK.session_s} s)")
        assert seconds < QUICK.session_s + 6
    finally:
        worker.kill()
        worker.join()
        bus.close()
