"""Which topics there are on Kafka, with how many partitions, and how long what lies on them is kept."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from kafka import KafkaAdminClient, errors
from kafka.admin import ConfigResource, ConfigResourceType

from pipeline.bus.base import MESSAGE_LIMIT
from pipeline.errors import WindvaneError
from pipeline.graph import ORDERED, TOPICS, dlq
from pipeline.settings import KafkaSettings

DAY_MS = 86_400_000
_KEPT = ("alerts", "feedback")  # for ever: episodes and labels are made from them


class TopicPlan(NamedTuple):
    """How a topic is made. `retention_days` None: for ever. `compacted`: the newest message of each key is kept."""

    topic: str
    partitions: int
    retention_days: int | None
    compacted: bool = False

    def configs(self, replication: int) -> dict[str, str]:
        """Kafka's own topic settings."""
        out = {
            "max.message.bytes": str(MESSAGE_LIMIT + (64 << 10)),  # a batch has a head of its own
            "min.insync.replicas": str(2 if replication > 2 else 1),
        }
        if self.compacted:
            return out | {"cleanup.policy": "compact"}
        if self.retention_days is None:
            return out | {"retention.ms": "-1"}
        # only whole segments are deleted: one a day, so that what is kept is what was asked for
        return out | {"retention.ms": str(self.retention_days * DAY_MS), "segment.ms": str(DAY_MS)}


class TopicState(NamedTuple):
    """A topic as it is on the server. Its name without the prefix; `retention_days` None: for ever or compacted."""

    topic: str
    partitions: int
    retention_days: float | None
    compacted: bool


def plan_of(topic: str, settings: KafkaSettings) -> TopicPlan:
    """How a topic is to be, whether it is in the graph or not."""
    if topic.endswith(".dlq"):
        return TopicPlan(topic, 1, None)
    if topic == "control":
        return TopicPlan(topic, 1, None, compacted=True)
    partitions = 1 if topic in ORDERED else settings.partitions
    if topic in _KEPT:
        return TopicPlan(topic, partitions, None)
    days = settings.opinion_retention_days if topic == "opinions" else settings.retention_days
    return TopicPlan(topic, partitions, days)


def plan(settings: KafkaSettings) -> list[TopicPlan]:
    """Every topic of the graph, and the dead letters of each."""
    names = [*TOPICS, *ORDERED]
    return [plan_of(topic, settings) for topic in [*names, *map(dlq, names)]]


def ensure(admin: KafkaAdminClient, settings: KafkaSettings, plans: Sequence[TopicPlan]) -> list[str]:
    """Make the topics that are not there; leave the others as they are. A sentence for each that differs from its
    plan; an error when a topic that must have one partition has more, since order would be lost."""
    there = {state.topic: state for state in states(admin, settings, [p.topic for p in plans])}
    missing = [p for p in plans if p.topic not in there]
    if missing:
        _create(admin, settings, missing)  # or somebody else did a moment ago, with other settings
        there |= {state.topic: state for state in states(admin, settings, [p.topic for p in missing])}
    remarks = [_remark(p, there[p.topic], settings) for p in plans if p.topic in there]
    return [r for r in remarks if r]


def states(admin: KafkaAdminClient, settings: KafkaSettings, topics: Sequence[str]) -> list[TopicState]:
    """Those of the topics that exist, in the order asked."""
    found = {
        t["name"]: len(t["partitions"])
        for t in admin.describe_topics([settings.prefix + topic for topic in topics])
        if t["error_code"] == 0
    }
    configs = _configs(admin, list(found))
    out = []
    for topic in topics:
        if (name := settings.prefix + topic) in found:
            compacted = "compact" in configs[name].get("cleanup.policy", "")
            ms = int(configs[name].get("retention.ms", -1))
            days = None if compacted or ms < 0 else ms / DAY_MS
            out.append(TopicState(topic, found[name], days, compacted))
    return out


def _create(admin: KafkaAdminClient, settings: KafkaSettings, plans: Sequence[TopicPlan]) -> None:
    wanted = {
        settings.prefix + p.topic: {
            "num_partitions": p.partitions,
            "replication_factor": settings.replication,
            "configs": p.configs(settings.replication),
        }
        for p in plans
    }
    answer = admin.create_topics(wanted, raise_errors=False)
    for topic in answer["topics"]:
        error = errors.for_code(topic["error_code"])
        if error is errors.InvalidReplicationFactorError:
            raise WindvaneError(
                f"setting kafka.replication: expected at most the number of brokers, found {settings.replication} "
                f"({topic.get('error_message')}). Lower it or add brokers."
            )
        if error not in (errors.NoError, errors.TopicAlreadyExistsError):  # another worker may be faster
            raise error(f"creating {topic['name']}: {topic.get('error_message')}")
    admin.wait_for_topics(list(wanted))


def _configs(admin: KafkaAdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, n, ["retention.ms", "cleanup.policy"]) for n in names]
    answer: Any = admin.describe_configs(asked, config_filter="all")
    by_name: dict[str, Any] = next(iter(answer.values()), {})
    return {n: {key: str(data["value"]) for key, data in by_name.get(n, {}).items()} for n in names}


def _remark(plan: TopicPlan, state: TopicState, settings: KafkaSettings) -> str | None:
    name = settings.prefix + plan.topic
    if plan.partitions == 1 < state.partitions:
        raise WindvaneError(
            f"topic {name}: expected 1 partition, because what is on it must be read in one order; found "
            f"{state.partitions}. Delete the topic, or choose another kafka.prefix."
        )
    if state.partitions != plan.partitions:
        return (
            f"Topic {name} has {state.partitions} partitions; kafka.partitions is {plan.partitions}. It stays as it "
            "is: adding partitions moves keys to others. Stop the workers, let them drain it, and recreate it to "
            "change it."
        )
    if state.retention_days != plan.retention_days or state.compacted != plan.compacted:
        return f"Topic {name} keeps messages {kept(state)}; the settings say {kept(plan)}. It stays as it is."
    return None


def kept(topic: TopicState | TopicPlan) -> str:
    """How long a topic keeps messages, in words."""
    if topic.compacted:
        return "by key (the newest)"
    return "for ever" if topic.retention_days is None else f"{topic.retention_days:g} days"
