"""Searches and charts as Elasticsearch's JSON. No word of a user is an operator: words.py has cut them before."""

from datetime import datetime
from typing import Any

from pipeline.errors import WindvaneError
from pipeline.keys import split_key
from pipeline.records import SENTIMENTS
from pipeline.store.base import BIN_S, Filters, Search
from pipeline.store.rollups import bin_of
from pipeline.store.rowid import us_of
from pipeline.store.words import Query, parse

Json = dict[str, Any]

NEWEST: list[Any] = [{"published_us": "desc"}, {"post_id": "asc"}]
BEST: list[Any] = [{"_score": "desc"}, *NEWEST]
PAGE = 10_000  # buckets of one request, and hits: index.max_result_window

_BIN_US = BIN_S * 1_000_000


def query_of(search: Search) -> Json | None:
    """The query; None when what was typed holds nothing that a text can hold, so that nothing matches."""
    typed = parse(search.text)
    if not typed.empty and not typed.units:
        return None
    where = filters_of(search.filters)
    units = _units(typed)
    if search.order == "best" and units:
        return {"bool": {"must": units, "filter": where}}
    return {"bool": {"filter": [*units, *where]}}


def sort_of(search: Search) -> list[Any]:
    return BEST if search.order == "best" and parse(search.text).units else NEWEST


def _units(typed: Query) -> list[Json]:
    """Each a run of words side by side; cut already, so that the index's own analyser only parts them at spaces."""
    return [
        {"match_phrase": {"words": {"query": " ".join(unit), "analyzer": "windvane_words"}}} for unit in typed.units
    ]


def filters_of(filters: Filters) -> list[Json]:
    """What must hold, as clauses that do not score."""
    where: list[Json] = []
    if filters.entity is not None:
        own = f"keys.{filters.sentiment}.entity" if filters.sentiment else "entities.entity"
        where.append({"term": {own: filters.entity}})
    elif filters.sentiment is not None:
        where.append({"term": {"sentiment.label": filters.sentiment}})
    fields = {
        "topics.label": filters.topic, "watches": filters.watch, "source": filters.source,
        "language": filters.language, "story_id": filters.story,
    }  # fmt: skip
    where += [{"term": {field: value}} for field, value in fields.items() if value is not None]
    span = {name: us_of(at) for name, at in (("gte", filters.start), ("lt", filters.end)) if at is not None}
    if span:
        where.append({"range": {"published_us": span}})
    return where


def bins_span(start: datetime, end: datetime) -> Json:
    """The five-minute bins that [start, end) touches, whole."""
    first, after = bin_of(start), -int(-end.timestamp() // BIN_S)
    return {"range": {"published_us": {"gte": first * _BIN_US, "lt": after * _BIN_US}}}


def bins_request(key: str | None, start: datetime, end: datetime, step_s: int) -> Json:
    """A chart: pages of bins, each with its texts by label, the unsure apart."""
    if step_s <= 0 or step_s % BIN_S:
        raise WindvaneError(
            f"Expected a step that is a multiple of {BIN_S} s, found {step_s}. Ask for 300, 600, 3600, …"
        )
    holds = {label: _holds(key, label) for label in SENTIMENTS}
    sure: Json = {
        label: {"filter": {"bool": {"filter": [clause, {"term": {"unsure": False}}]}}}
        for label, clause in holds.items()
    }
    where = [bins_span(start, end)]
    if key is not None:
        where.append({"bool": {"should": list(holds.values())}})
    by_time = {"date_histogram": {"field": "published_at", "fixed_interval": f"{step_s}s"}}
    return _pages(where, [{"bin": by_time}], sure)


def _holds(key: str | None, label: str) -> Json:
    if key is None:
        return {"term": {"sentiment.label": label}}
    kind, value = split_key(key)
    return {"term": {f"keys.{label}.{kind}": value}}


def keys_request(label: str, kind: str, start: datetime, end: datetime) -> Json:
    """The keys of a kind for which this label counts, with their texts, the unsure apart."""
    unsure = {"filter": {"term": {"unsure": True}}}
    source = {"key": {"terms": {"field": f"keys.{label}.{kind}"}}}
    return _pages([bins_span(start, end)], [source], {"unsure": unsure})


def stories_request() -> Json:
    """Every story once, in pages."""
    return _pages([], [{"story": {"terms": {"field": "story_id"}}}], {})


def _pages(where: list[Json], sources: list[Json], inner: Json) -> Json:
    """A composite aggregation: exact over any number of indices and buckets, which a terms aggregation is not."""
    composite: Json = {"composite": {"size": PAGE, "sources": sources}}
    if inner:
        composite["aggs"] = inner
        composite["composite"]["size"] = PAGE // (len(inner) + 1)  # the server counts each inner bucket too
    return {"size": 0, "track_total_hits": False, "query": {"bool": {"filter": where}}, "aggs": {"page": composite}}


def stats_request() -> Json:
    """Counts and newest times. The stories' number is an estimate."""
    return {
        "size": 0,
        "track_total_hits": True,
        "aggs": {
            "published": {"max": {"field": "published_us"}},
            "indexed": {"max": {"field": "indexed_us"}},
            "stories": {"cardinality": {"field": "story_id", "precision_threshold": 40_000}},
        },
    }
