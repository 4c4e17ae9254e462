"""`windvane worker STAGE`: one stage of the distributed run in one process, until SIGTERM; many of each, if wanted."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import structlog

from pipeline.compose import Stores, build_classifier, distributed, open_stores, subscribe_defaults
from pipeline.compose_workers import Classifiers, build_loop
from pipeline.deliver.build import build_dispatcher, vault_of
from pipeline.errors import Retry, WindvaneError
from pipeline.graph import WORKERS, node
from pipeline.programs.stopping import stopping
from pipeline.runners.embedded import LATENESS, closing_time
from pipeline.runners.health import HealthServer, Watched
from pipeline.settings import Settings

log = structlog.get_logger(__name__)

STAGES = (*(n.name for n in WORKERS), "deliver")
ON_FAUST = ("prepare", "detect")
LAG_EVERY_S = 2.0


def run_worker(
    settings: Settings, stage: str, metrics_port: int | None, classifiers: Classifiers = build_classifier
) -> None:
    """Open the servers, join the stage's group, work until told to stop, hand the partitions back."""
    if stage not in STAGES:
        raise WindvaneError(f"expected a stage, one of {', '.join(STAGES)}; found {stage!r}.")
    if not distributed(settings):
        raise WindvaneError(
            "a worker needs servers: expected kafka.servers, elasticsearch.url and postgres.url, found none of them. "
            "Set WINDVANE_KAFKA__SERVERS, WINDVANE_ELASTICSEARCH__URL and WINDVANE_POSTGRES__URL; on one machine, "
            "`windvane run` needs no servers and no workers."
        )
    stores = open_patiently(settings)
    try:
        subscribe_defaults(stores.control, settings.deliver, vault_of(settings))
        if stage == "deliver":
            _deliver(settings, stores, metrics_port)
        elif stage in ON_FAUST:
            _on_faust(settings, stores, stage, metrics_port)
        else:
            _on_consumer(stage, build_loop(settings, stores, stage, classifiers=classifiers), metrics_port)
    finally:
        stores.close()


def open_patiently(settings: Settings) -> Stores:
    """The stores; while a server does not answer, wait for it (a machine that starts has its own order)."""
    while True:
        try:
            stores = open_stores(settings)
            stores.bus.ensure_topics()  # type: ignore[attr-defined]
            return stores
        except Retry as e:
            log.warning("waiting for a server", reason=e.reason)
            time.sleep(max(1.0, e.after))


def _on_consumer(stage: str, loop: Any, metrics_port: int | None) -> None:
    with stopping() as stop, watched(stage, loop, metrics_port):
        log.info("worker started", stage=stage)
        loop.run(stop)
        loop.close()
    log.info("worker stopped", stage=stage)


def _on_faust(settings: Settings, stores: Stores, stage: str, metrics_port: int | None) -> None:
    from pipeline.runners.faust_app import FaustConsumer, build_app, run_app

    at = node(stage, WORKERS)
    consumer = FaustConsumer(at.reads)
    loop = build_loop(settings, stores, stage, consumer)
    work: Callable[[Event], None] = loop.run
    if stage == "detect":
        work = Detecting(loop, stores, settings.worker.idle_s, consumer.owns).run
    with watched(stage, loop, metrics_port), TemporaryDirectory(prefix="windvane-faust-") as folder:
        log.info("worker started", stage=stage)
        run_app(build_app(settings.kafka, at, consumer, Path(folder)), work)
    log.info("worker stopped", stage=stage)


@contextmanager
def watched(stage: str, loop: Any, port: int | None, verb: str = "step") -> Iterator[None]:
    """The loop's state on a port, while the block lasts; nothing without one."""
    if port is None:
        yield
        return
    server = HealthServer(port, Watched(stage, loop, verb))
    log.info("health and metrics", url=f"http://127.0.0.1:{server.port}/health")
    try:
        yield
    finally:
        server.close()


def _deliver(settings: Settings, stores: Stores, metrics_port: int | None) -> None:
    page = f"http://{settings.web.host}:{settings.web.port}"
    dispatcher = build_dispatcher(stores.control, settings.deliver, stores.clock, page, vault_of(settings))
    with stopping() as stop, watched("deliver", dispatcher, metrics_port, "run_once"):
        log.info("worker started", stage="deliver")
        dispatcher.run(stop)
    log.info("worker stopped", stage="deliver")


class Detecting:
    """The detector's loop, and its clock: when nothing has been under way for `idle_s`, the last open bins close."""

    def __init__(self, loop: Any, stores: Stores, idle_s: float, owns: Callable[[], bool]) -> None:
        self._loop = loop
        self._stores = stores
        self._idle_s = idle_s
        self._owns = owns
        self._quiet_since: float | None = None
        self._asked = 0.0
        self._advanced: datetime | None = None

    def run(self, stop: Event) -> None:
        """Until `stop`; outages are waited out."""
        while not stop.is_set():
            try:
                if self._owns() and (ended := self._loop.stage.reload()) is not None:
                    self._loop.emit(ended, changed=True)
                if self._loop.step():
                    self._quiet_since = None
                    continue
                self._idle()
            except Retry as e:
                self._loop.wait(e)
                continue
            stop.wait(0.02)

    def _idle(self) -> None:
        now = time.monotonic()
        if not self._owns() or now - self._asked < LAG_EVERY_S:
            return
        self._asked = now
        if any(self._stores.bus.lag(n.group, n.reads) for n in WORKERS if n.name != "record"):
            self._quiet_since = None
            return
        if self._quiet_since is None:
            self._quiet_since = now
        if now - self._quiet_since < self._idle_s:
            return
        target = self._target()
        if target is not None and (self._advanced is None or target > self._advanced):
            self._loop.emit(self._loop.stage.advance(target))
            self._advanced = target
            log.info("nothing under way: the last bins are closed", upto=target.isoformat())

    def _target(self) -> datetime | None:
        """Past the last bin that holds a text, and never ahead of what may still come."""
        newest = self._stores.opinions.stats()["newest_published_at"]
        if newest is None:
            return None
        return min(closing_time(datetime.fromtimestamp(float(newest), UTC)), self._stores.clock() - LATENESS)
