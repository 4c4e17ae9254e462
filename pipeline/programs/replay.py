"""A file through the whole embedded pipeline, in its own times or as fast as it goes, resumable at every item."""

import resource
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from pipeline.bus.base import Bus
from pipeline.compose import Stores
from pipeline.graph import TOPICS, dlq
from pipeline.programs.deliveries import deliver_while
from pipeline.programs.running import running
from pipeline.runners.embedded import Embedded, closing_time
from pipeline.settings import Settings
from pipeline.sources.base import Item, Source
from pipeline.sources.files import file_source
from pipeline.sources.pace import paced

FULL_BATCH = 256  # texts published at once when only speed counts
PACED_BATCH = 8  # in original time: few enough that the page moves


class Replayed(msgspec.Struct, frozen=True):
    """What a replay came to. Counts are of this call but for `opinions` and `alerts`, which are of the data folder."""

    texts: int
    seconds: float
    texts_per_s: float
    dead_letters: int
    opinions: int
    alerts: int
    peak_memory_mb: float


def position_name(source: Source) -> str:
    """The checkpoint under which a source's position is kept."""
    return f"source:{source.name}"


def resume(stores: Stores, source: Source) -> Iterator[tuple[Item, str]]:
    """The source's items after the stored position."""
    stored = stores.control.checkpoint(position_name(source))
    return source.items(stored.decode() if stored else None)


def replay(
    embedded: Embedded,
    stores: Stores,
    source: Source,
    speed: float,
    report: Callable[[int], None],
) -> Replayed:
    """Feed the source to its end, let every stage finish, close the last bins. The pipeline keeps running."""
    began = time.monotonic()
    dead = dead_letters(stores.bus)
    sent = 0
    items = paced(resume(stores, source), speed, time.monotonic, time.sleep)
    batch = PACED_BATCH if speed else FULL_BATCH
    for sent in embedded.feed(items, position_name(source), batch):
        report(sent)
    embedded.drain()
    finish(embedded, stores)
    seconds = time.monotonic() - began
    return Replayed(
        texts=sent,
        seconds=round(seconds, 3),
        texts_per_s=round(sent / seconds, 1) if seconds else 0.0,
        dead_letters=dead_letters(stores.bus) - dead,
        opinions=int(stores.opinions.stats()["opinions"] or 0),
        alerts=len(stores.control.episodes(limit=1_000_000)),
        peak_memory_mb=round(peak_memory_mb(), 1),
    )


def replay_file(settings: Settings, path: Path, speed: float, report: Callable[[int, str], None]) -> Replayed:
    """`windvane replay`: a file into a data folder, its alerts delivered. `report` is given bytes read and a text."""
    source = file_source(path)
    with running(settings) as (stores, embedded, _):
        page = f"http://{settings.web.host}:{settings.web.port}"  # where `windvane serve` will show it
        with deliver_while(stores, settings, page):
            return replay(
                embedded,
                stores,
                source,
                speed,
                lambda sent: report(source.progress[0], f"{sent} texts"),
            )


def finish(embedded: Embedded, stores: Stores) -> None:
    """Move event time past the newest text, so that the last bins close."""
    newest = stores.opinions.stats()["newest_published_at"]
    if newest is not None:
        embedded.advance(closing_time(datetime.fromtimestamp(float(newest), UTC)))


def dead_letters(bus: Bus) -> int:
    """Dead letters of all topics, re-driven ones included."""
    return sum(bus.end(dlq(topic)) for topic in TOPICS)


def peak_memory_mb() -> float:
    """The most memory this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
