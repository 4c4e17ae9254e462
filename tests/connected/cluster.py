"""One distributed Windvane for a test: workers as processes on real servers, under names that nobody else uses.

    with Cluster(servers, folder) as cluster:
        cluster.start("prepare", "story", "classify", "classify", "index", "order", "detect", "record")
        cluster.publish(file)
        cluster.wait_until_done()
        cluster.opinions()

A worker that ends, or is killed, is started again, as an orchestrator does. When the block ends in an exception, the
last lines of every worker's log are printed.
"""

import contextlib
import logging
import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg
from kafka import KafkaAdminClient
from pydantic import SecretStr

from pipeline.compose import Stores, open_stores
from pipeline.dead_letters import DeadLetter, list_letters
from pipeline.errors import Retry
from pipeline.exporting import records_of
from pipeline.graph import WORKERS
from pipeline.programs.worker import LAG_EVERY_S
from pipeline.runners.embedded import closing_time
from pipeline.settings import ElasticsearchSettings, KafkaSettings, PostgresSettings, Settings, WorkerSettings
from tests.connected.elasticsearch_alias import drop_alias
from tests.connected.forked import fork
from tests.connected.servers.base import Server

CLOCKS = ("fetched_at", "scored_at", "indexed_at")
EVERY_STAGE = tuple(node.name for node in WORKERS)
IDLE_S = 3.0
AGAIN_S = 0.5  # after which a worker that ended is started again
HOPELESS = 3  # starts that ended in an error, in a row
_ASSIGNED = "partitions assigned"
ROOT = Path(__file__).resolve().parents[2]


class Servers(NamedTuple):
    """Addresses as the settings take them."""

    kafka: str
    elasticsearch: str
    postgres: str

    @classmethod
    def of(cls, kafka: Server, elasticsearch: Server, postgres: Server) -> "Servers":
        return cls(kafka.address, elasticsearch.address, postgres.address)


@dataclass
class Worker:
    """One place for a process. `wanted`: started again when it ends, but for a clean end of a `once`."""

    name: str
    module: str
    arguments: list[str]
    log: Path
    once: bool = False
    wanted: bool = True
    process: BaseProcess | None = None
    ends: list[int] = field(default_factory=list)  # exit codes, -9 for a kill
    ended_at: float | None = None  # None: not yet

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.is_alive()


class Cluster:
    """See the module. `options`: more settings as environment variables, e.g. WINDVANE_WORKER__IDLE_S="2"."""

    def __init__(self, servers: Servers, folder: Path, partitions: int = 4, **options: str) -> None:
        self.name = f"flow-{secrets.token_hex(6)}"
        self._servers = servers
        self._folder = folder
        self._database = self.name.replace("-", "_")
        database = servers.postgres.rsplit("/", 1)[0] + "/" + self._database
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._stores: Stores | None = None
        self.workers: list[Worker] = []
        self.settings = Settings(
            kafka=KafkaSettings(servers=servers.kafka, prefix=f"{self.name}.", partitions=partitions),
            elasticsearch=ElasticsearchSettings(url=servers.elasticsearch, index=self.name),
            postgres=PostgresSettings(url=SecretStr(database)),
            worker=WorkerSettings(idle_s=IDLE_S),
        )
        self._environment = {
            **os.environ,
            "WINDVANE_KAFKA__SERVERS": servers.kafka,
            "WINDVANE_KAFKA__PREFIX": f"{self.name}.",
            "WINDVANE_KAFKA__PARTITIONS": str(partitions),
            "WINDVANE_ELASTICSEARCH__URL": servers.elasticsearch,
            "WINDVANE_ELASTICSEARCH__INDEX": self.name,
            "WINDVANE_POSTGRES__URL": database,
            "WINDVANE_WORKER__IDLE_S": str(IDLE_S),
            "WINDVANE_LOG_FORMAT": "json",
            "OMP_NUM_THREADS": "1",
            **options,
        }  # fmt: skip

    # --- the run

    def __enter__(self) -> "Cluster":
        self._folder.mkdir(parents=True, exist_ok=True)
        logging.getLogger("kafka").setLevel(
            logging.CRITICAL
        )  # says how busy the machine is, and every refused connection
        with psycopg.connect(self._servers.postgres, autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{self._database}"')  # type: ignore[arg-type]
        self.stores.bus.ensure_topics()  # type: ignore[attr-defined]
        threading.Thread(target=self._supervise, name="supervisor", daemon=True).start()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is not None:
            self.print_logs()
        self.stop()
        self._over.set()
        self.stores.close()
        self._clean_up()

    @property
    def stores(self) -> Stores:
        """The run's three stores, to look at."""
        if self._stores is None:
            self._stores = open_stores(self.settings)
        return self._stores

    def start(self, *stages: str, module: str = "worker_keyword", arguments: Sequence[str] = ()) -> None:
        """One more worker for each name; the same stage may be named several times."""
        for stage in stages:
            self._add(stage, module, [stage, *arguments])

    def publish(self, file: Path, wait: bool = True, seconds: float = 0, by_source: bool = False) -> None:
        """`windvane replay FILE --to kafka`, as a worker that ends by itself; killed, it goes on where it was.
        `seconds`: the texts over so long; `by_source`: keyed as a crawl does it."""
        self._add("publish", "publish_file", [str(file), "--by-source" if by_source else str(seconds)], once=True)
        if wait:
            self.wait_for(lambda: not self.alive("publish"), 300, "the file to be published")

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`windvane …` with this run's settings."""
        command = [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments]
        return subprocess.run(command, env=self._environment, cwd=ROOT, capture_output=True, text=True, check=False)

    # --- faults

    def kill(self, stage: str, again: bool = True) -> Worker:
        """SIGKILL to a living worker of the stage; the supervisor starts it again, or, without `again`, does not."""
        with self._lock:
            worker = next(w for w in self.workers if w.name == stage and w.running)
            assert worker.process is not None
            worker.wanted = again
            worker.process.kill()
            worker.process.join()
            if not again:
                worker.ends.append(-signal.SIGKILL)
            return worker

    def kill_any(self, rng: random.Random) -> str:
        """SIGKILL to any living worker; its name, "" when none lives."""
        with self._lock:
            living = [w for w in self.workers if w.running]
            if not living:
                return ""
            worker = rng.choice(living)
            assert worker.process is not None
            worker.process.kill()
            worker.process.join()  # so that nobody kills it once more
            return worker.name

    def stop(self, *stages: str, which: int | None = None) -> None:
        """SIGTERM, as an orchestrator stops: every worker of the stages (all: of all), or only the `which`-th. They are
        not started again."""
        with self._lock:
            leaving = [w for w in self.workers if (not stages or w.name in stages) and w.wanted]
            leaving = leaving if which is None else leaving[which : which + 1]
            for worker in leaving:
                worker.wanted = False
                if worker.running and worker.process:
                    worker.process.terminate()
        for worker in leaving:
            if worker.process:
                worker.process.join(60)
                if worker.running:
                    worker.process.kill()
                    worker.process.join()
                worker.ends.append(worker.process.exitcode or 0)

    # --- what it came to

    def alive(self, stage: str) -> int:
        """How many workers of the stage are still to run."""
        with self._lock:
            return sum(w.wanted for w in self.workers if w.name == stage)

    def ends(self) -> dict[str, Counter[int]]:
        """Exit codes of ended processes, by stage."""
        out: dict[str, Counter[int]] = {}
        for worker in self.workers:
            out.setdefault(worker.name, Counter()).update(worker.ends)
        return out

    def lags(self) -> dict[str, int]:
        """Messages waiting, per stage."""
        return {n.name: self.stores.bus.lag(n.group, n.reads) for n in WORKERS}

    def wait_until_done(self, timeout_s: float = 600) -> None:
        """Every stage has done all that was published, the detector has closed its last bins, and what that raised
        is recorded."""
        self.wait_for(lambda: not self.alive("publish"), timeout_s, "the file to be published")
        self.wait_for(lambda: not any(self.lags().values()), timeout_s, "every stage to do all", self.lags)
        self.wait_for(self._closed, 60 + IDLE_S + LAG_EVERY_S, "the detector to close its last bins")
        self.wait_for(lambda: not any(self.lags().values()), 60, "the last alerts to be recorded", self.lags)

    def wait_for(
        self, condition: Callable[[], Any], timeout_s: float, what: str, state: Callable[[], Any] = lambda: ""
    ) -> None:
        """An assertion after `timeout_s`; servers that are away meanwhile count as "not yet"."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                if condition():
                    return
            except Retry:
                pass
            broken = [w.log.name for w in self.workers if w.ends[-HOPELESS:].count(1) == HOPELESS]
            assert not broken, f"these workers do not start: {broken}"
            assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s for {what}; now {state()}"
            time.sleep(0.25)

    def opinions(self) -> dict[str, dict[str, Any]]:
        """By id, without the clocks."""
        return by_id(self.stores)

    def alerts(self) -> list[dict[str, Any]]:
        """Every alert event in the control store, sorted."""
        return list(map(dict, records_of(self.stores, "alerts")))

    def dead_letters(self) -> list[DeadLetter]:
        return list(list_letters(self.stores))

    def read(self, topic: str) -> list[Any]:
        """Every message of the topic, decoded from JSON."""
        bus = self.stores.bus
        return [msgspec.json.decode(m.value) for p in range(bus.partitions(topic)) for m in bus.read(topic, 0, p)]

    def shares(self, stage: str) -> dict[str, list[int]]:
        """The partitions that each living worker of the stage says it was last assigned, by its log's name."""
        found = {}
        for worker in self.workers:
            if worker.name == stage and worker.running:
                shares = [line["partitions"] for line in lines_of(worker.log) if line.get("event") == _ASSIGNED]
                found[worker.log.name] = shares[-1] if shares else []
        return found

    def opinions_made(self) -> int:
        """How many there are on the topic, those done twice included."""
        return sum(self.stores.bus.end("opinions", p) for p in range(self.settings.kafka.partitions))

    def log_lines(self, stage: str) -> list[dict[str, Any]]:
        """What the stage's workers logged, oldest first per worker."""
        return [line for worker in self.workers if worker.name == stage for line in lines_of(worker.log)]

    def print_logs(self, lines: int = 15) -> None:
        for worker in self.workers:
            text = worker.log.read_text(errors="replace").splitlines() if worker.log.exists() else []
            print(f"--- {worker.name} ({worker.log.name}; ended {worker.ends})")
            print(*(line[:400] for line in text[-lines:]), sep="\n")

    # --- inside

    def _add(self, name: str, module: str, arguments: list[str], once: bool = False) -> None:
        with self._lock:
            log = self._folder / f"{name}-{len(self.workers)}.log"
            worker = Worker(name, f"tests.connected.{module}", arguments, log, once)
            self._spawn(worker)
            self.workers.append(worker)

    def _spawn(self, worker: Worker) -> None:
        worker.process = fork(worker.module, worker.arguments, self._environment, worker.log)
        worker.ended_at = None

    def _supervise(self) -> None:
        while not self._over.wait(0.1):
            with self._lock:
                for worker in self.workers:
                    if not worker.wanted or worker.process is None or (code := worker.process.exitcode) is None:
                        continue
                    if worker.ended_at is None:
                        worker.ends.append(code)
                        worker.ended_at = time.monotonic()
                        worker.wanted = not (worker.once and code == 0)
                    elif time.monotonic() - worker.ended_at > AGAIN_S:
                        self._spawn(worker)

    def _closed(self) -> bool:
        newest = self.stores.opinions.stats()["newest_published_at"]
        if newest is None:
            return True
        upto = closing_time(datetime.fromtimestamp(float(newest), UTC)).isoformat()
        return any(line.get("upto") == upto for line in self.log_lines("detect"))

    def _clean_up(self) -> None:
        drop_alias(self.settings.elasticsearch)
        admin = KafkaAdminClient(bootstrap_servers=self._servers.kafka)
        admin.delete_topics([t for t in admin.list_topics() if t.startswith(f"{self.name}.")])
        admin.close()
        with psycopg.connect(self._servers.postgres, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{self._database}" WITH (FORCE)')  # type: ignore[arg-type]


def lines_of(log: Path) -> list[dict[str, Any]]:
    """The log's lines that are JSON; others (a client's warnings) are left out."""
    found = []
    for line in log.read_bytes().splitlines() if log.exists() else []:
        with contextlib.suppress(msgspec.DecodeError):
            found.append(msgspec.json.decode(line, type=dict))
    return found


def by_id(stores: Stores) -> dict[str, dict[str, Any]]:
    """Every opinion of a store by its id, without the clocks. An assertion when one is there twice."""
    rows = [{k: v for k, v in row.items() if k not in CLOCKS} for row in records_of(stores, "opinions")]
    found = {row["post_id"]: row for row in rows}
    assert len(found) == len(rows) == stores.opinions.stats()["opinions"]
    return found
