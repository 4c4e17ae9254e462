"""The index template: what Elasticsearch keeps of an opinion, and how it is found. One template per alias.

A document is the opinion's own record, kept word for word, with five fields more (see es_document.py). `words` is the
text cut by words.py, one space between words: both twins then find the same texts, because one function says what a
word is. (`cjk` finds two characters side by side, not one; it cuts 3.5 and under_score otherwise, and knows no é = e
beyond Latin.) Whoever types into Kibana or Grafana is served by the search analyser, which cuts what was typed alike.
"""

from datetime import UTC, datetime
from typing import Any

from pipeline.store.words import CJK

FIRST_YEAR, LAST_YEAR = 2000, 2099
BEFORE, AFTER = f"before-{FIRST_YEAR}", f"after-{LAST_YEAR}"
LONGEST_WORD = 8000  # characters; Lucene takes 32 766 bytes at most, and refuses the whole text for one more
_KINDS = ("entity", "topic", "entity_topic", "watch")  # of keys, see keys.py
_LABELS = ("negative", "neutral", "positive")


def month_of(at: datetime) -> str:
    """Which index a text published `at` belongs to: "2026.11". All that claims to be older than 2000, or younger than
    2099, shares one index each: a feed with broken dates can make 1 202 indices, not 120 000."""
    at = at.astimezone(UTC)
    if at.year < FIRST_YEAR:
        return BEFORE
    return AFTER if at.year > LAST_YEAR else f"{at.year:04}.{at.month:02}"


def template(alias: str, shards: int = 1, replicas: int = 0) -> dict[str, Any]:
    """The body of PUT /_index_template/<alias>."""
    return {
        "index_patterns": [f"{alias}-{beginning}" for beginning in ("20*", f"{BEFORE}*", f"{AFTER}*")],
        "priority": 500,
        # a writer that does not know that the months were replaced (windvane reindex) is told, and looks again
        "allow_auto_create": False,
        "template": {
            "settings": {
                "number_of_shards": shards,
                "number_of_replicas": replicas,
                "refresh_interval": "30s",  # the store asks for its own refreshes
                "query": {"default_field": ["words"]},
                "analysis": _ANALYSIS,
            },
            "mappings": MAPPINGS,
        },
    }


_CJK = "".join(c if c == "-" else rf"\x{{{ord(c):x}}}" for c in CJK)  # as Java writes characters
_ANALYSIS = {
    "tokenizer": {
        "between_spaces": {"type": "whitespace", "max_token_length": LONGEST_WORD},
        "as_words_py": {
            "type": "pattern",
            "group": 0,
            "pattern": rf"[{_CJK}]|[\p{{L}}\p{{N}}\p{{M}}&&[^{_CJK}]]+",
        },
    },
    "analyzer": {
        "windvane_words": {"type": "custom", "tokenizer": "between_spaces"},
        "windvane_typed": {
            "type": "custom",
            "tokenizer": "as_words_py",
            "filter": ["cjk_width", "lowercase", "asciifolding"],
        },
    },
}


def _keyword(**more: Any) -> dict[str, Any]:
    # a longer value is kept, not found: as a term it would make Lucene refuse the whole text
    return {"type": "keyword", "ignore_above": LONGEST_WORD, **more}


_FEELING = {
    "properties": {"label": {"type": "keyword"}, **{label: {"type": "float", "index": False} for label in _LABELS}}
}

MAPPINGS: dict[str, Any] = {
    "dynamic": False,
    "properties": {
        "post_id": {"type": "keyword"},
        "story_id": _keyword(),
        "source": _keyword(),
        "author": _keyword(),
        "url": _keyword(index=False, doc_values=False),
        "language": {"type": "keyword"},
        "title": {"type": "text", "index": False},
        "text": {"type": "text", "index": False},
        "published_at": {"type": "date"},  # to the millisecond, for charts; published_us is exact
        "fetched_at": {"type": "date"},
        "scored_at": {"type": "date"},
        "indexed_at": {"type": "date"},
        "time_clamped": {"type": "boolean"},
        "unsure": {"type": "boolean"},
        "model_version": _keyword(),
        "sentiment": _FEELING,
        "topics": {"properties": {"label": _keyword(), "p": {"type": "float", "index": False}}},
        "entities": {"properties": {"entity": _keyword()}},
        "watches": _keyword(),
        "attributes": {"type": "object", "enabled": False},
        # what Windvane adds to the record
        "words": {"type": "text", "analyzer": "windvane_words", "search_analyzer": "windvane_typed"},
        "published_us": {"type": "long"},  # date_nanos would be exact too, but begins in 1970 and ends in 2262
        "indexed_us": {"type": "long"},
        "keys": {"properties": {label: {"properties": {k: _keyword() for k in _KINDS}} for label in _LABELS}},
    },
}
