"""`windvane backtest`: a stream through the real stages in this thread, in event time, with nothing stored."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.backtest import Event, backtest
from pipeline.clock import Clock, system_clock
from pipeline.compose import build_classifier, entity_table, key_names, sectors_of
from pipeline.detect.rules import load_rules
from pipeline.errors import Reject
from pipeline.graph import node
from pipeline.prepare.entities import EntityLinker
from pipeline.prepare.times import settle
from pipeline.prepare.times import zone as zone_of
from pipeline.prepare.watches import watch_of_match
from pipeline.records import Opinion, Raw
from pipeline.settings import Settings
from pipeline.sources.base import Item
from pipeline.sources.files import file_source
from pipeline.stage import run_batch
from pipeline.stages.classify import Classify
from pipeline.stages.prepare import Prepare


def run_backtest(
    settings: Settings,
    stream: Path,
    events: Sequence[Event],
    report: Callable[[int, str], None],
    clock: Clock = system_clock,
) -> dict[str, Any]:
    """The result that `windvane backtest --json` prints. `report` is given bytes of the stream read and a text."""
    source = file_source(stream, clock)
    raws = in_event_time((item for item, _ in source.items(None)), settings.prepare.naive_times)
    watches = [watch_of_match(match) for match in dict.fromkeys(e.match for e in events)]
    table = entity_table(settings)
    prepare = Prepare(settings.prepare, EntityLinker(table), lambda: watches)
    classify = Classify(build_classifier(settings.model), clock)
    size = stream.stat().st_size

    def moving() -> Iterator[Opinion]:
        for n, opinion in enumerate(opinions_of(raws, prepare, classify), 1):
            if n % 256 == 0:
                report(size * n // max(len(raws), 1), f"{n} texts")
            yield opinion

    rules, names = load_rules(settings.rules), key_names(table, lambda: watches)
    return backtest(moving(), events, rules=rules, names=names, sectors=sectors_of(table))


def in_event_time(items: Iterable[Item], zone: str) -> list[Raw]:
    """The readable texts in the order they were published; ties stay in the order of the file."""
    timed = []
    naive = zone_of(zone)
    for item in items:
        if not isinstance(item, Raw):
            continue
        try:
            at = settle(item.published, item.fetched_at, naive).published_at
        except Reject:
            continue
        timed.append((at, item))
    timed.sort(key=lambda pair: pair[0])
    return [item for _, item in timed]


def opinions_of(raws: Sequence[Raw], prepare: Prepare, classify: Classify) -> Iterator[Opinion]:
    """The opinions of the texts that can be prepared and classified, in order."""
    size = node("classify").batch * 4  # larger batches pad less
    for at in range(0, len(raws), size):
        posts = run_batch(prepare, raws[at : at + size]).outputs
        for record in run_batch(classify, posts).outputs:
            assert isinstance(record, Opinion)
            yield record
