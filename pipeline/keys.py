"""What is watched: an entity, a topic, an entity within a topic, or a user's own watch. A key is one string.

`entity:AAPL.US`, `topic:earnings`, `entity_topic:AAPL.US|earnings`, `watch:<id>`. Rules may also ask for
`sector:<name>` (thin entities of a sector together) and `source:<name>` (silence); opinions are not stored under those.
"""

from collections.abc import Iterator
from typing import NamedTuple

from pipeline.records import Opinion, Sentiment


class KeyFeeling(NamedTuple):
    """One key that an opinion bears on, and the sentiment that counts there."""

    key: str
    sentiment: Sentiment


def entity_key(entity: str) -> str:
    return f"entity:{entity}"


def topic_key(topic: str) -> str:
    return f"topic:{topic}"


def entity_topic_key(entity: str, topic: str) -> str:
    return f"entity_topic:{entity}|{topic}"


def watch_key(watch: str) -> str:
    return f"watch:{watch}"


def sector_key(sector: str) -> str:
    return f"sector:{sector}"


def source_key(source: str) -> str:
    return f"source:{source}"


def split_key(key: str) -> tuple[str, str]:
    """("entity", "AAPL.US") of "entity:AAPL.US"."""
    kind, _, value = key.partition(":")
    return kind, value


def keys_of(opinion: Opinion) -> Iterator[KeyFeeling]:
    """Each key once. An entity named several times counts once, with its most negative mention:
    a text that praises and attacks the same company is a warning."""
    worst: dict[str, Sentiment] = {}
    for mention in opinion.entities:
        held = worst.get(mention.entity)
        if held is None or mention.sentiment.negative > held.negative:
            worst[mention.entity] = mention.sentiment
    topics = [t.label for t in opinion.topics]
    for entity, sentiment in worst.items():
        yield KeyFeeling(entity_key(entity), sentiment)
        for topic in topics:
            yield KeyFeeling(entity_topic_key(entity, topic), sentiment)
    for topic in topics:
        yield KeyFeeling(topic_key(topic), opinion.sentiment)
    for watch in opinion.watches:
        yield KeyFeeling(watch_key(watch), opinion.sentiment)
