"""Lessees race for deliveries on PostgreSQL: while one's lease runs, nobody else is given the same delivery."""

import itertools
import random
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import NamedTuple

import pytest

from pipeline.control.base import ControlStore, Delivery
from pipeline.errors import Retry
from tests.connected.test_control_postgres import fill, opened, schema, url
from tests.contract.samples import after

pytestmark = pytest.mark.connected
__all__ = ["url"]  # the fixture

LEASE_S = 40.0  # of the made-up clock


class Lease(NamedTuple):
    """What one lessee was given: which attempt, when, until when."""

    id: str
    attempt: int
    at: datetime
    until: datetime


def overlapping(leases: list[Lease]) -> list[tuple[Lease, Lease]]:
    """Pairs of leases of one delivery of which the second began before the first ran out (or are the same attempt)."""
    wrong = []
    ordered = sorted(leases)
    for one, two in itertools.pairwise(ordered):
        if one.id == two.id and (one.attempt == two.attempt or two.at < one.until):
            wrong.append((one, two))
    return wrong


class Race:
    """Lessees on a clock that they share and move on. Some vanish with what they hold, so that leases run out."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.lock = threading.Lock()
        self.now = 0.0
        self.leases: list[Lease] = []
        self.accepted: dict[str, int] = {}  # by which attempt

    def lessee(self, number: int, store: ControlStore) -> None:
        rng = random.Random(f"{self.seed}/{number}")
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and any(d.state != "accepted" for d in store.deliveries()):
            with self.lock:
                self.now += rng.random()
                at = after(self.now)
            leased = [d for d, _, _ in store.lease_deliveries(at, rng.randint(1, 5), LEASE_S)]
            with self.lock:
                self.leases += [Lease(d.id, d.attempts, at, d.next_at) for d in leased]
            for d in leased:
                if rng.random() < 0.7:  # else it vanishes before it can say how it went
                    self.finish(store, d)

    def finish(self, store: ControlStore, d: Delivery) -> None:
        with self.lock:  # the clock stands
            if after(self.now) < d.next_at:
                store.finish_delivery(d.id, "accepted", "200")
                self.accepted[d.id] = d.attempts


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_racing_threads_never_hold_one_delivery_twice(url: str, seed: int) -> None:
    stores = [opened(url) for _ in range(5)]
    fill(stores[0], 60)
    race = Race(seed)
    with ThreadPoolExecutor(5) as pool:
        for run in [pool.submit(race.lessee, i, store) for i, store in enumerate(stores)]:
            run.result()
    assert overlapping(race.leases) == []
    assert race.accepted == {d.id: d.attempts for d in stores[0].deliveries()}  # none after it was accepted
    assert len(race.accepted) == 60
    assert max(race.accepted.values()) > 1  # leases did run out
    for store in stores:
        store.close()


def work(url: str, seed: int, give_up: float) -> tuple[list[Lease], list[str]]:
    """A process that leases and accepts until nothing is left, through outages; on the machine's clock."""
    rng, leases, accepted = random.Random(seed), [], []
    store = None
    while time.time() < give_up:
        try:
            store = store or opened(url)
            at = datetime.now(UTC)
            leased = [d for d, _, _ in store.lease_deliveries(at, rng.randint(1, 4), lease_s=1.0)]
            leases += [Lease(d.id, d.attempts, at, d.next_at) for d in leased]
            time.sleep(rng.random() * 0.05)
            for d in leased:
                if rng.random() < 0.7:
                    store.finish_delivery(d.id, "accepted", "200")
                    accepted.append(d.id)
            if not leased and all(d.state == "accepted" for d in store.deliveries()):
                break
        except Retry:
            time.sleep(0.1)
    return leases, accepted


def test_racing_processes_never_hold_one_delivery_twice_though_the_server_is_killed(stoppable_postgres) -> None:
    with schema(stoppable_postgres.address) as url:
        race_over_a_kill(stoppable_postgres, url)


def race_over_a_kill(server, url: str) -> None:
    store = opened(url)
    n = 150
    fill(store, n)
    give_up = time.time() + 150
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        runs = [pool.submit(work, url, seed, give_up) for seed in range(3)]
        while sum(d.state == "accepted" for d in store.deliveries()) < n // 10:
            time.sleep(0.05)
        server.kill()
        time.sleep(0.5)
        server.start()
        found = [run.result() for run in runs]
    leases = [lease for mine, _ in found for lease in mine]
    assert overlapping(leases) == []
    assert {d.state for d in store.deliveries()} == {"accepted"}
    assert sum(bool(mine) for mine, _ in found) >= 2  # they did share the work
    store.close()
