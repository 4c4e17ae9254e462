"""Filters as words: what an opinion can be filtered by, put into the full-text index beside its text.

The index then intersects text and filters itself, each list in time order, which no join of tables does.
"""

import xxhash

from pipeline.keys import entity_key, keys_of, split_key
from pipeline.records import Opinion
from pipeline.store.base import Filters


def opinion_tags(opinion: Opinion) -> list[str]:
    """The words of one opinion: source, language, story, sentiment, each entity (alone and with the sentiment that
    counts there, see keys.keys_of), topic and watch."""
    tags = [
        _word("source", opinion.source),
        _word("language", opinion.language),
        _word("story", opinion.story_id),
        _word("sentiment", opinion.sentiment.label),
    ]
    for key, sentiment in keys_of(opinion):
        kind = split_key(key)[0]
        if kind in ("entity", "topic", "watch"):
            tags.append(_word(key))
        if kind == "entity":
            tags.append(_word(key, sentiment.label))
    return tags


def filter_tags(filters: Filters) -> list[str]:
    """The words that an opinion passing the filters has; time is not among them."""
    tags = []
    if filters.entity is not None:
        about = entity_key(filters.entity)
        tags.append(_word(about, filters.sentiment) if filters.sentiment else _word(about))
    elif filters.sentiment is not None:
        tags.append(_word("sentiment", filters.sentiment))
    for kind in ("topic", "watch"):
        if (value := getattr(filters, kind)) is not None:
            tags.append(_word(f"{kind}:{value}"))
    for kind in ("source", "language", "story"):
        if (value := getattr(filters, kind)) is not None:
            tags.append(_word(kind, value))
    return tags


def _word(*parts: str) -> str:
    """64 bits as letters and digits, so that no tokenizer can cut it."""
    return xxhash.xxh3_64_hexdigest("\x1f".join(parts).encode("utf-8", "surrogatepass"))
