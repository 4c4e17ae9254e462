"""The composition root of the distributed run: what each worker is made of."""

from collections.abc import Callable
from typing import Any

from models.contract import Classifier
from pipeline.bus.base import Consumer
from pipeline.compose import Stores, build_classifier, build_detect, entity_table
from pipeline.graph import WORKERS, node
from pipeline.prepare.entities import EntityLinker
from pipeline.runners.loop import StageLoop, Surroundings
from pipeline.runners.order import Order
from pipeline.runners.recovery import SnapshotRecovery, StoryRecovery
from pipeline.settings import ModelSettings, Settings
from pipeline.stages.classify import Classify
from pipeline.stages.index import Index
from pipeline.stages.prepare import Clean
from pipeline.stages.record import Record as RecordAlerts
from pipeline.stages.story import Story

Classifiers = Callable[[ModelSettings], Classifier]


def build_loop(
    settings: Settings,
    stores: Stores,
    stage: str,
    consumer: Consumer | None = None,
    classifiers: Classifiers = build_classifier,
) -> Any:
    """The loop of one stage: a StageLoop, or an Order. `consumer`: read by that one instead of a new member of the
    stage's group. KeyError for a stage that is not in the graph."""
    at = node(stage, WORKERS)
    around = Surroundings(stores.bus, stores.unit_of_work, stores.clock)
    match stage:
        case "prepare":
            clean = Clean(settings.prepare, EntityLinker(entity_table(settings)), stores.control.watches)
            return StageLoop(at, clean, around, consumer=consumer)
        case "story":
            story = Story(settings.prepare.story_window, settings.prepare.story_similarity)
            kept = StoryRecovery(story.rebuild, stores.bus, settings.prepare.story_window)
            return StageLoop(at, story, around, recovery=kept, consumer=consumer)
        case "classify":
            return StageLoop(at, Classify(classifiers(settings.model), stores.clock), around, consumer=consumer)
        case "index":
            return StageLoop(at, Index(stores.opinions, stores.clock), around, sink=True, consumer=consumer)
        case "order":
            return Order(stores.bus, settings.worker.order_patience_s)
        case "detect":
            detect = build_detect(settings, stores, entity_table(settings))
            snapshots = SnapshotRecovery(at, detect, stores.bus, stores.control)
            return StageLoop(at, detect, around, recovery=snapshots, consumer=consumer)
        case _:
            return StageLoop(at, RecordAlerts(stores.control, stores.clock), around, sink=True, consumer=consumer)
