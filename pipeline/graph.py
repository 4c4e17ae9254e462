"""The map of Windvane: each stage, the topic it reads, the topics it writes. Read this first.

Embedded, one process (NODES):

sources ─► raw ─► prepare ─► posts ─► classify ─► opinions ─┬─► index   ─► opinion store
                                                            └─► detect  ─► alerts ─► record ─► control store ─► deliver

Distributed, workers on Kafka (WORKERS): the same work. What needs to see every text in one order reads a topic of one
partition, so that Kafka itself gives it to one worker at a time:

sources ─► raw ─► prepare ─► prepared ─► story ─► posts ─► classify ─► opinions ─┬─► index ─► opinion store
            P      (many)       1        (one)      P       (many)        P      │
                                                                                 └─► order ─► timeline ─┐
                                                                                     (one)       1      │
                            deliver ◄─ control store ◄─ record ◄─ alerts ◄─ detect ◄────────────────────┘
                             (many)                     (many)      P        (one)

whatever a stage rejects ─► <topic>.dlq
"""

from typing import NamedTuple


class Node(NamedTuple):
    """One stage. `group` is its consumer group; `batch` the most records it takes at once. `sole`: one worker reads
    every partition, the others stand by."""

    name: str
    reads: str
    writes: str | None
    batch: int
    sole: bool = False

    @property
    def group(self) -> str:
        return self.name


NODES: tuple[Node, ...] = (
    Node("prepare", reads="raw", writes="posts", batch=256),  # clean, language, time, story, entities, watches
    Node("classify", reads="posts", writes="opinions", batch=256),  # topics, sentiment, sentiment per entity
    Node("index", reads="opinions", writes=None, batch=512),  # → opinion store
    Node("detect", reads="opinions", writes="alerts", batch=512),  # episodes with evidence
    Node("record", reads="alerts", writes=None, batch=64),  # → control store: episode, event, deliveries
)

WORKERS: tuple[Node, ...] = (
    Node("prepare", reads="raw", writes="prepared", batch=256),  # all of it but the story
    Node("story", reads="prepared", writes="posts", batch=256),  # near-duplicates over all sources
    Node("classify", reads="posts", writes="opinions", batch=256),
    Node("index", reads="opinions", writes=None, batch=512),
    Node("order", reads="opinions", writes="timeline", batch=512, sole=True),  # partitions merged by event time
    Node("detect", reads="timeline", writes="alerts", batch=512),
    Node("record", reads="alerts", writes=None, batch=64),
)

TOPICS: tuple[str, ...] = ("raw", "posts", "opinions", "alerts", "feedback", "control")
ORDERED: tuple[str, ...] = ("prepared", "timeline")  # distributed only; one partition each


def dlq(topic: str) -> str:
    """The dead-letter topic of a topic."""
    return f"{topic}.dlq"


def node(name: str, nodes: tuple[Node, ...] = NODES) -> Node:
    """The node of that name; KeyError when there is none."""
    for n in nodes:
        if n.name == name:
            return n
    raise KeyError(name)
