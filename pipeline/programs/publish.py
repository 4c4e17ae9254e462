"""Texts onto Kafka, for the workers: `windvane replay FILE --to kafka` and `windvane crawl`."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import msgspec
import structlog

from pipeline.compose import Stores, distributed
from pipeline.control.tiers import put_tiers
from pipeline.errors import Retry, WindvaneError
from pipeline.programs.replay import position_name, resume
from pipeline.programs.stopping import stopping
from pipeline.programs.worker import open_patiently, watched
from pipeline.runners.feeding import Fed, Feeder, in_batches
from pipeline.settings import Settings
from pipeline.sources.feeds import FeedSource, load_feeds
from pipeline.sources.files import file_source
from pipeline.sources.pace import paced

log = structlog.get_logger(__name__)

FULL_BATCH = 1_000  # texts published at once when only speed counts
PACED_BATCH = 8


class Published(msgspec.Struct, frozen=True):
    """What a replay to Kafka came to."""

    texts: int
    seconds: float
    texts_per_s: float


def publish_file(settings: Settings, path: Path, speed: float, report: Callable[[int, str], None]) -> Published:
    """A file onto `raw`, in its order (one key, so one partition); goes on after the last batch that was published."""
    source = file_source(path)
    stores = _open(settings)
    began = time.monotonic()
    sent = 0
    feeder = Feeder(stores.bus, stores.control, stores.unit_of_work, key=lambda _: source.name)
    with stopping() as stop:
        items = paced(resume(stores, source), speed, time.monotonic, time.sleep)
        for held, position in in_batches(items, PACED_BATCH if speed else FULL_BATCH):
            if not _publish(feeder, held, position_name(source), position, stop):
                break
            sent += len(held)
            report(source.progress[0], f"{sent} texts")
    stores.close()
    seconds = time.monotonic() - began
    return Published(sent, round(seconds, 3), round(sent / seconds, 1) if seconds else 0.0)


def crawl_feeds(settings: Settings, feeds: Path, metrics_port: int | None) -> None:
    """Poll until stopped; each entry is published once, its source's position after it."""
    with stopping() as stop:
        wanted = load_feeds(feeds, settings.feeds.allow_private)
        source = FeedSource(wanted, stop, settings.feeds.contact, settings.feeds.allow_private)
        stores = _open(settings)
        put_tiers(stores.control, source.tiers)
        crawl = Crawl(Feeder(stores.bus, stores.control, stores.unit_of_work), position_name(source), stop)
        with watched("crawl", crawl, metrics_port, "publish"):
            log.info("crawl started", feeds=len(wanted))
            for held, position in in_batches(resume(stores, source), 1):
                if not crawl.publish(held, position):
                    break
        stores.close()


class Crawl:
    """What a crawl publishes, for `watched`. Hours without a new entry are ordinary, and well."""

    waiting = "new entries"

    def __init__(self, feeder: Feeder, name: str, stop: Event) -> None:
        self._feeder = feeder
        self._name = name
        self._stop = stop

    def publish(self, items: list[Fed], position: str) -> int:
        """How many were published: all, or none when told to stop before that."""
        return len(items) if _publish(self._feeder, items, self._name, position, self._stop) else 0


def _open(settings: Settings) -> Stores:
    if not distributed(settings):
        raise WindvaneError(
            "publishing to Kafka needs servers: expected kafka.servers, elasticsearch.url and postgres.url, found none "
            "of them. Set WINDVANE_KAFKA__SERVERS, WINDVANE_ELASTICSEARCH__URL and WINDVANE_POSTGRES__URL."
        )
    return open_patiently(settings)


def _publish(feeder: Feeder, items: list[Fed], name: str, position: str, stop: Event) -> bool:
    """Until it is durable; False when told to stop before that."""
    while not stop.is_set():
        try:
            feeder.publish(items, name, position)
            return True
        except Retry as e:
            log.warning("waiting", stage="source", reason=e.reason, seconds=e.after)
            stop.wait(e.after)
    return False
