"""The composition root of the embedded run: which parts, on which backends. The parts cannot tell."""

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from models.contract import Classifier
from pipeline.bus.base import Bus
from pipeline.bus.sqlite import SqliteBus
from pipeline.clock import Clock, system_clock
from pipeline.control.base import ControlStore, Subscription, Watch
from pipeline.control.sql import SqlControlStore
from pipeline.database import Database
from pipeline.detect.detector import Detector
from pipeline.detect.rules import load_rules
from pipeline.errors import WindvaneError
from pipeline.graph import node
from pipeline.naming import KeyNames
from pipeline.prepare.entities import EntityLinker, EntityTable
from pipeline.runners.embedded import Embedded, posts_of
from pipeline.runners.loop import StageLoop, Surroundings
from pipeline.settings import DeliverSettings, ModelSettings, Settings
from pipeline.stages.classify import Classify
from pipeline.stages.detect import Detect
from pipeline.stages.index import Index
from pipeline.stages.prepare import Prepare
from pipeline.stages.record import Record as RecordAlerts
from pipeline.store.base import OpinionStore
from pipeline.store.sqlite import SqliteOpinionStore

DATABASE = "windvane.sqlite3"


@dataclass(frozen=True)
class Stores:
    """The three stores on one database file."""

    db: Database
    bus: Bus
    opinions: OpinionStore
    control: ControlStore
    clock: Clock

    def close(self) -> None:
        self.db.close()


def open_stores(data_dir: Path | None, *, create: bool = True, clock: Clock = system_clock) -> Stores:
    """Open (or create) the stores of a data folder; None: in memory. A missing folder without `create` is an error."""
    path = None
    if data_dir is not None:
        path = data_dir / DATABASE
        if not create and not path.exists():
            raise WindvaneError(
                f"expected the data of an earlier run in {data_dir}, found none. "
                "Give the folder with --data-dir, or fill one with `windvane replay FILE --data-dir DIR`."
            )
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise WindvaneError(
                f"cannot create the data folder {data_dir}: {e.strerror}. Choose one you can write to."
            ) from e
    db = Database(path)
    return Stores(db, SqliteBus(db), SqliteOpinionStore(db, clock), SqlControlStore(db, clock), clock)


@contextmanager
def sole_runner(data_dir: Path) -> Iterator[None]:
    """Hold the data folder for one running pipeline; a second one is told, instead of sharing its offsets."""
    data_dir.mkdir(parents=True, exist_ok=True)
    lock: IO[str] = (data_dir / "running.lock").open("w")
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise WindvaneError(
                f"another Windvane is running on {data_dir}. "
                "Stop it first, or give this one a folder of its own with --data-dir."
            ) from e
        yield
    finally:
        lock.close()


def entity_table(settings: Settings) -> EntityTable:
    """The built-in companies and institutions, and the user's own table beside them."""
    return EntityTable.load(settings.prepare.aliases)


def key_names(table: EntityTable, watches: Callable[[], Sequence[Watch]]) -> KeyNames:
    """What keys are called in alerts."""
    return KeyNames(table.names, watches)


def build_classifier(model: ModelSettings) -> Classifier:
    """The released model on the engine that suits this machine."""
    from models.classifier import load_classifier

    return load_classifier(
        model.path, engine=model.engine, precision=model.precision, threads=model.threads, cache_dir=model.cache
    )


def build_stages(
    settings: Settings, stores: Stores, table: EntityTable, classifier: Classifier
) -> tuple[Prepare, Classify, Detect]:
    """The three stages that think, shared by the embedded run and the backtest."""
    prepare = Prepare(settings.prepare, EntityLinker(table), stores.control.watches)
    detector = Detector(load_rules(settings.rules), names=key_names(table, stores.control.watches))
    return prepare, Classify(classifier, stores.clock), Detect(detector)


def build_embedded(settings: Settings, stores: Stores, table: EntityTable, classifier: Classifier) -> Embedded:
    """The whole graph on `stores`, its stories rebuilt from the log."""
    around = Surroundings(stores.bus, stores.control, stores.db.begin, stores.clock)
    prepare, classify, detect = build_stages(settings, stores, table, classifier)
    prepare.rebuild(posts_of(stores.bus, settings.prepare.story_window))
    loops = [
        StageLoop(node("prepare"), prepare, around),
        StageLoop(node("classify"), classify, around),
        StageLoop(node("index"), Index(stores.opinions, stores.clock), around, sink=True),
        StageLoop(node("detect"), detect, around),
        StageLoop(node("record"), RecordAlerts(stores.control, stores.clock), around, sink=True),
    ]
    return Embedded(loops, detect, around)


def subscribe_defaults(control: ControlStore, deliver: DeliverSettings) -> None:
    """The page and the log always hear of an alert; the webhook when one is set."""
    control.put_subscription(Subscription(id="web", channel="web", language=deliver.language))
    control.put_subscription(Subscription(id="log", channel="log", language=deliver.language))
    if deliver.webhook:
        control.put_subscription(
            Subscription(id="webhook", channel="webhook", target=deliver.webhook, language=deliver.language)
        )
