"""The composition root: which parts, on which backends. The parts cannot tell."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.contract import Classifier
from pipeline.bus.base import Bus
from pipeline.bus.sqlite import SqliteBus
from pipeline.clock import Clock, system_clock
from pipeline.control.base import ControlStore, Subscription, Watch
from pipeline.control.holding import put_held_until
from pipeline.control.sql import SqlControlStore
from pipeline.database import Database
from pipeline.deliver.secrets import Vault
from pipeline.deliver.subscribing import with_target
from pipeline.detect.detector import Detector
from pipeline.detect.rules import load_rules
from pipeline.errors import WindvaneError
from pipeline.graph import NODES, WORKERS, Node, node
from pipeline.locking import held_alone
from pipeline.naming import KeyNames
from pipeline.prepare.entities import EntityLinker, EntityTable
from pipeline.rulebook import RuleBook
from pipeline.runners.embedded import Embedded, posts_of
from pipeline.runners.feeding import Feeder
from pipeline.runners.loop import StageLoop, Surroundings
from pipeline.runners.recovery import SnapshotRecovery, snapshot_offset
from pipeline.runners.trimming import Trimmer
from pipeline.settings import DeliverSettings, ModelSettings, Settings
from pipeline.stages.classify import Classify
from pipeline.stages.detect import Detect
from pipeline.stages.index import Index
from pipeline.stages.prepare import Prepare
from pipeline.stages.record import Record as RecordAlerts
from pipeline.store.base import OpinionStore
from pipeline.store.sqlite import SqliteOpinionStore

if TYPE_CHECKING:
    from models.explain import Explainer

DATABASE = "windvane.sqlite3"


@dataclass(frozen=True)
class Stores:
    """The three stores. `unit_of_work` makes what is done within it one transaction where the backends share one."""

    bus: Bus
    opinions: OpinionStore
    control: ControlStore
    clock: Clock
    unit_of_work: Callable[[], AbstractContextManager[Any]]
    closing: Callable[[], None]
    nodes: tuple[Node, ...] = NODES  # the stages that run on them

    def close(self) -> None:
        self.closing()


def open_stores(settings: Settings, *, create: bool = True, clock: Clock = system_clock) -> Stores:
    """The stores that the settings name: servers when there are any, else the data folder's database. This is the one
    branch between the two ways to run."""
    return (
        open_servers(settings, clock)
        if distributed(settings)
        else open_embedded(settings.data_dir, create=create, clock=clock)
    )


def distributed(settings: Settings) -> bool:
    """Whether the settings name servers. Naming some of the three but not all is a mistake, said as a sentence."""
    named = {
        "kafka.servers": settings.kafka.servers,
        "elasticsearch.url": settings.elasticsearch.url,
        "postgres.url": settings.postgres.url,
    }
    missing = [name for name, value in named.items() if not value]
    if missing and len(missing) < len(named):
        given = [name for name, value in named.items() if value]
        raise WindvaneError(
            f"expected all of {', '.join(named)}, or none of them, found only {', '.join(given)}. "
            f"Set {', '.join(missing)} too (as WINDVANE_KAFKA__SERVERS and so on, or in windvane.toml)."
        )
    return not missing


def open_servers(settings: Settings, clock: Clock = system_clock) -> Stores:
    """Kafka, Elasticsearch and PostgreSQL. Raises Retry when one does not answer, WindvaneError when one refuses."""
    from pipeline.bus.kafka import KafkaBus
    from pipeline.control.postgres import open_postgres_control
    from pipeline.store.elasticsearch import ElasticsearchOpinionStore

    with ExitStack() as opened:
        bus = KafkaBus(settings.kafka)
        opened.callback(bus.close)
        opinions = ElasticsearchOpinionStore(settings.elasticsearch, clock)
        opened.callback(opinions.close)
        control = open_postgres_control(settings.postgres, clock)
        opened.callback(control.close)
        return Stores(bus, opinions, control, clock, nullcontext, opened.pop_all().close, WORKERS)


def open_embedded(data_dir: Path | None, *, create: bool = True, clock: Clock = system_clock) -> Stores:
    """The database of a data folder, made when missing (an error without `create`); None: in memory."""
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
    return Stores(SqliteBus(db), SqliteOpinionStore(db, clock), SqlControlStore(db, clock), clock, db.begin, db.close)


def sole_runner(data_dir: Path) -> AbstractContextManager[None]:
    """Hold the data folder for one running pipeline; a second one is told, instead of sharing its offsets."""
    data_dir.mkdir(parents=True, exist_ok=True)
    return held_alone(
        data_dir / "running.lock",
        f"another Windvane is running on {data_dir}. "
        "Stop it first, or give this one a folder of its own with --data-dir.",
    )


def entity_table(settings: Settings) -> EntityTable:
    """The built-in companies and institutions, and the user's own table beside them."""
    return EntityTable.load(settings.prepare.aliases)


def key_names(table: EntityTable, watches: Callable[[], Sequence[Watch]]) -> KeyNames:
    """What keys are called in alerts."""
    return KeyNames(table.names, watches)


def sectors_of(table: EntityTable) -> dict[str, str]:
    """The sector of each entity that has one."""
    return {entity: name.sector for entity, name in table.names.items() if name.sector}


def rule_book(settings: Settings, control: ControlStore, clock: Clock) -> RuleBook:
    """The rules: those of the file, until somebody has changed them in the control store."""
    return RuleBook(control, load_rules(settings.rules), clock)


def build_classifier(model: ModelSettings) -> Classifier:
    """The released model on the engine that suits this machine."""
    from models.classifier import load_classifier

    return load_classifier(
        model.path, engine=model.engine, precision=model.precision, threads=model.threads, cache_dir=model.cache
    )


def build_explainer(model: ModelSettings) -> "Explainer":
    """What explains the answers of the same model."""
    from models.explain import load_explainer

    return load_explainer(model.path, model.engine, model.precision, model.threads, model.cache)


def build_stages(
    settings: Settings, stores: Stores, table: EntityTable, classifier: Classifier
) -> tuple[Prepare, Classify, Detect]:
    """The three stages that think, shared by the embedded run and the backtest."""
    prepare = Prepare(settings.prepare, EntityLinker(table), stores.control.watches)
    return prepare, Classify(classifier, stores.clock), build_detect(settings, stores, table)


def build_detect(settings: Settings, stores: Stores, table: EntityTable) -> Detect:
    """The detector with the rules in force, which it takes anew while it runs."""
    book = rule_book(settings, stores.control, stores.clock)
    names = key_names(table, stores.control.watches)
    detector = Detector(book.rules, names=names, sectors=sectors_of(table))
    return Detect(detector, lambda: book.rules, tell_held=lambda until: put_held_until(stores.control, until))


def build_embedded(settings: Settings, stores: Stores, table: EntityTable, classifier: Classifier) -> Embedded:
    """The whole graph on `stores`, its stories rebuilt from the log."""
    around = Surroundings(stores.bus, stores.unit_of_work, stores.clock)
    prepare, classify, detect = build_stages(settings, stores, table, classifier)
    prepare.rebuild(posts_of(stores.bus, settings.prepare.story_window))
    kept = SnapshotRecovery(node("detect"), detect, stores.bus, stores.control)
    loops = [
        StageLoop(node("prepare"), prepare, around),
        StageLoop(node("classify"), classify, around),
        StageLoop(node("index"), Index(stores.opinions, stores.clock), around, sink=True),
        StageLoop(node("detect"), detect, around, recovery=kept),
        StageLoop(node("record"), RecordAlerts(stores.control, stores.clock), around, sink=True),
    ]
    return Embedded(loops, detect, stores.bus, Feeder(stores.bus, stores.control, stores.unit_of_work))


def build_trimmer(settings: Settings, stores: Stores) -> Trimmer:
    """Keeps the embedded log to the settings' length, but for what a stage has not done or is put back from."""
    bus = stores.bus
    assert isinstance(bus, SqliteBus)

    def needed(topic: str) -> int:
        found = [bus.committed(n.group, topic) for n in stores.nodes if n.reads == topic]
        if topic == "posts":
            found.append(bus.end(topic) - settings.prepare.story_window)
        if topic == "opinions":
            found.append(snapshot_offset(stores.control, node("detect")))
        return max(0, min(found))

    under_way = timedelta(days=settings.log.retention_days)
    opinions = timedelta(days=settings.log.opinion_retention_days)
    keep = {"raw": under_way, "posts": under_way, "opinions": opinions}
    return Trimmer(bus, stores.control, stores.clock, keep, needed)


def subscribe_defaults(control: ControlStore, deliver: DeliverSettings, vault: Vault = Vault()) -> None:
    """The page and the log always hear of an alert; the webhook, its address sealed, when one is set. What people
    changed in these three since (off, quiet hours, …) stays: settings only say the language and the address."""
    stored = {s.id: s for s in control.subscriptions()}
    wanted = [Subscription(id="web", channel="web"), Subscription(id="log", channel="log")]
    if deliver.webhook:
        wanted.append(Subscription(id="webhook", channel="webhook", target=deliver.webhook, daily_cap=0))
    for default in wanted:
        there = stored.get(default.id, default)
        if there.channel != default.channel:
            there = default
        given = there._replace(language=deliver.language, target=default.target)
        control.put_subscription(with_target(given, stored.get(default.id), vault))
