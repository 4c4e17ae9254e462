"""The map of Windvane: each stage, the topic it reads, the topics it writes. Read this first.

sources ─► raw ─► prepare ─► posts ─► classify ─► opinions ─┬─► index   ─► opinion store
                                                            └─► detect  ─► alerts ─► record ─► control store ─► deliver
whatever a stage rejects ─► <topic>.dlq
"""

from typing import NamedTuple


class Node(NamedTuple):
    """One stage. `group` is its consumer group; `batch` the most records it takes at once."""

    name: str
    reads: str
    writes: str | None
    batch: int

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

TOPICS: tuple[str, ...] = ("raw", "posts", "opinions", "alerts", "feedback", "control")


def dlq(topic: str) -> str:
    """The dead-letter topic of a topic."""
    return f"{topic}.dlq"


def node(name: str) -> Node:
    """The node of that name; KeyError when there is none."""
    for n in NODES:
        if n.name == name:
            return n
    raise KeyError(name)
