"""How the topics of the distributed run stand: what lies on them, how long it stays, who is behind by how much."""

from typing import NamedTuple

from pipeline.bus.kafka import KafkaBus
from pipeline.bus.kafka_topics import kept
from pipeline.graph import ORDERED, TOPICS, WORKERS, dlq


class TopicRow(NamedTuple):
    """One topic that exists. `messages`: those still there."""

    topic: str
    partitions: int
    messages: int
    kept: str


class LagRow(NamedTuple):
    """One stage. `lag`: messages its group has still to commit; `behind`: the partition with the most of them."""

    stage: str
    group: str
    topic: str
    done: int
    lag: int
    behind: int | None


class TopicsReport(NamedTuple):
    """`missing`: topics of the graph that nobody has made yet; a worker makes them when it starts."""

    topics: list[TopicRow]
    stages: list[LagRow]
    missing: list[str]


def topics_report(bus: KafkaBus) -> TopicsReport:
    """Asked of the server, one stage and topic after another: the figures are of one moment each, not of one for all.
    Raises errors.Retry when the server does not answer."""
    names = [*TOPICS, *ORDERED]
    names += [dlq(topic) for topic in names]
    states = bus.states(names)
    return TopicsReport(
        topics=[TopicRow(s.topic, s.partitions, bus.messages(s.topic), kept(s)) for s in states],
        stages=[_lag(bus, n.name, n.group, n.reads) for n in WORKERS],
        missing=[name for name in names if name not in {s.topic for s in states}],
    )


def _lag(bus: KafkaBus, stage: str, group: str, topic: str) -> LagRow:
    spans = bus.spans(group, topic)
    lag = sum(span.lag for span in spans.values())
    behind = max(spans, key=lambda p: spans[p].lag) if lag else None
    return LagRow(stage, group, topic, sum(s.committed - s.first for s in spans.values()), lag, behind)
