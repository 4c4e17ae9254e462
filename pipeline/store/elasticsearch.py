"""The opinion store on Elasticsearch: event-time indices by month behind an alias, `_id` = opinion_id.

It answers as the SQLite twin does: which texts match is decided by the words and labels that Windvane computes, not by
an analyser or a script of the server. docs/decisions/0007 says why it is laid out as it is.
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from pipeline.clock import Clock, system_clock
from pipeline.records import SENTIMENTS, Decoder, Opinion
from pipeline.settings import ElasticsearchSettings
from pipeline.store import es_months, es_query
from pipeline.store.base import BIN_S, Bin, Filters, KeyCount, Page, Rejection, Search
from pipeline.store.es_client import Connection
from pipeline.store.es_document import source_of
from pipeline.store.es_mapping import month_of, template
from pipeline.store.es_months import Months
from pipeline.store.es_rebuild import Rebuild
from pipeline.store.es_write import Patience, Row, Writer
from pipeline.store.finding import COUNTED
from pipeline.store.fitting import fit
from pipeline.store.rowid import us_of

EXACT_STORIES = 20_000  # beyond, `stats` gives the server's estimate (within about 1 %)
_MANY = 1000  # ids of one request, texts in one step of a scan

PATIENCE = Patience(time.sleep, random.random)


class _Hit(msgspec.Struct, frozen=True):
    source: msgspec.Raw = msgspec.field(name="_source", default=msgspec.Raw())
    sort: list[Any] = []


class _Total(msgspec.Struct, frozen=True):
    value: int = 0


class _Hits(msgspec.Struct, frozen=True):
    total: _Total = _Total()
    hits: list[_Hit] = []


class _Found(msgspec.Struct, frozen=True):
    hits: _Hits = _Hits()
    aggregations: dict[str, Any] = {}


class ElasticsearchOpinionStore:
    """See store.base.OpinionStore. Nothing is asked of the server before the first verb; reading needs no right to
    write. Safe to share between threads that read; one thread writes."""

    def __init__(
        self, settings: ElasticsearchSettings, clock: Clock = system_clock, patience: Patience = PATIENCE
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._patience = patience
        self._alias = settings.index
        self._connection = Connection(settings)
        self._months = Months(self._connection, self._alias)
        self._writer = Writer(self._connection, self._months, patience)
        self._prepared = False
        self._decode = Decoder(Opinion)
        self._found = msgspec.json.Decoder(_Found)

    def version(self) -> str:
        """The server's version; raises WindvaneError for one that this Windvane does not work with."""
        return self._connection.version()

    def write(self, opinions: Sequence[Opinion]) -> list[Rejection]:
        return self._write(opinions, self._writer)

    def get(self, ids: Sequence[str]) -> list[Opinion]:
        held: dict[str, Opinion] = {}
        for at in range(0, len(ids), _MANY):
            some = list(ids[at : at + _MANY])
            body = {"query": {"ids": {"values": some}}, "size": min(2 * _MANY, es_query.PAGE), "sort": ["indexed_us"]}
            for hit in self._ask(body).hits.hits:  # the newer last: it stays, should a copy be there for a moment
                opinion = self._decode(hit.source)
                held[opinion.opinion_id] = opinion
        return [held[i] for i in ids if i in held]

    def search(self, search: Search) -> Page:
        query = es_query.query_of(search)
        if query is None:
            return Page(0, False, [])
        body = {"query": query, "sort": es_query.sort_of(search), "track_total_hits": COUNTED + 1}
        total, hits = self._page(body, search.offset, search.limit)
        return Page(min(total, COUNTED), total > COUNTED, [self._decode(hit.source) for hit in hits])

    def bins(self, key: str | None, start: datetime, end: datetime, step_s: int = BIN_S) -> list[Bin]:
        found = []
        for bucket in self._buckets(es_query.bins_request(key, start, end, step_s)):
            negative, neutral, positive = (bucket[label]["doc_count"] for label in SENTIMENTS)
            unsure = bucket["doc_count"] - negative - neutral - positive
            found.append(Bin(bucket["key"]["bin"] // 1000, negative, neutral, positive, unsure))
        return found

    def top_keys(self, kind: str, start: datetime, end: datetime, limit: int = 50) -> list[KeyCount]:
        counts: dict[str, list[int]] = {}
        for label in SENTIMENTS:
            for bucket in self._buckets(es_query.keys_request(label, kind, start, end)):
                count = counts.setdefault(bucket["key"]["key"], [0, 0])
                count[1] += bucket["doc_count"]
                if label == "negative":
                    count[0] += bucket["doc_count"] - bucket["unsure"]["doc_count"]
        ranked = sorted((-negative, -total, f"{kind}:{key}") for key, (negative, total) in counts.items())
        return [KeyCount(key, -negative, -total) for negative, total, key in ranked[:limit]]

    def scan(self, start: datetime | None = None) -> Iterator[Opinion]:
        """Holds nothing between two steps; what is written meanwhile may or may not be seen."""
        body: dict[str, Any] = {"size": _MANY, "sort": [{"post_id": "asc"}], "track_total_hits": False}
        body["query"] = {"bool": {"filter": es_query.filters_of(Filters(start=start))}}
        last = None
        while hits := self._ask(body).hits.hits:
            for hit in hits:
                opinion = self._decode(hit.source)
                if opinion.opinion_id != last:
                    yield opinion
                last = opinion.opinion_id
            body["search_after"] = hits[-1].sort

    def stats(self) -> Mapping[str, int | float | None]:
        found = self._ask(es_query.stats_request())
        aggregations = found.aggregations
        published, indexed = (aggregations.get(name, {}).get("value") for name in ("published", "indexed"))
        stories = aggregations.get("stories", {}).get("value", 0)
        if stories <= EXACT_STORIES:
            stories = sum(1 for _ in self._buckets(es_query.stories_request()))
        return {
            "opinions": found.hits.total.value,
            "stories": stories,
            "newest_published_at": None if published is None else published / 1e6,
            "newest_indexed_at": None if indexed is None else indexed / 1e6,
        }

    def close(self) -> None:
        self._connection.close()

    def drop_months(self, keep: int) -> list[str]:
        """Delete the indices of months older than `keep` whole ones besides the running one; returns their names.
        Whole indices: at once, at no cost, and without a query that could match too much."""
        now = self._clock()
        back = now.year * 12 + now.month - 1 - keep
        oldest = f"{back // 12:04}.{back % 12 + 1:02}"
        # "before-2000" is older than any month, "after-2099" younger
        old = [
            held.name
            for held in es_months.in_alias(self._connection, self._alias)
            if held.month.startswith("before") or (held.month[0].isdigit() and held.month < oldest)
        ]
        es_months.drop(self._connection, old)
        self._months.forget()
        return old

    def rebuild(self) -> Rebuild:
        """A second set of indices, unseen until it is published in place of the first."""
        self._prepare()
        return Rebuild(self._connection, self._alias, self._patience, self._write)

    def _write(self, opinions: Sequence[Opinion], writer: Writer) -> list[Rejection]:
        now = self._clock()
        fitting, rejected = fit(opinions, now)
        if not fitting:
            return rejected
        self._prepare()
        rows = [
            Row(id_, month_of(fitted.opinion.published_at), source_of(fitted, us_of(now)))
            for id_, fitted in fitting.items()
        ]
        return rejected + writer.put(rows)

    def _prepare(self) -> None:
        """Once: is it a server we know, and does it have our template?"""
        if not self._prepared:
            self._connection.version()
            body = template(self._alias, self._settings.shards, self._settings.replicas)
            self._connection.request("PUT", f"/_index_template/{self._alias}", body)
            self._prepared = True

    def _ask(self, body: Mapping[str, Any], **params: str) -> _Found:
        """One search over all months. No alias yet: nothing found. A shard that fails is an error, not fewer hits."""
        params |= {"ignore_unavailable": "true", "allow_partial_search_results": "false"}
        answer = self._connection.request("POST", f"/{self._alias}/_search", body, params)
        return self._found.decode(answer.body)

    def _page(self, body: dict[str, Any], offset: int, limit: int) -> tuple[int, list[_Hit]]:
        """(total, hits [offset, offset + limit)). Beyond the server's window, by walking there."""
        # with the same statistics for every month, scores compare
        params = {"search_type": "dfs_query_then_fetch"} if body["sort"] is es_query.BEST else {}
        if offset + limit <= es_query.PAGE:
            found = self._ask({**body, "from": offset, "size": limit}, **params)
            return found.hits.total.value, found.hits.hits
        total, hits, at = None, [], 0
        while at < offset + limit:
            skipping = at < offset
            size = min(es_query.PAGE, offset - at if skipping else offset + limit - at)
            found = self._ask({**body, "size": size, "_source": not skipping}, **params)
            total = found.hits.total.value if total is None else total
            if not skipping:
                hits += found.hits.hits
            if len(found.hits.hits) < size:
                break
            at += size
            body = {**body, "search_after": found.hits.hits[-1].sort}
        return total or 0, hits

    def _buckets(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Every bucket of a composite aggregation, page by page."""
        composite = body["aggs"]["page"]["composite"]
        while True:
            page = self._ask(body).aggregations.get("page", {})
            yield from page.get("buckets", ())
            if "after_key" not in page:
                return
            composite["after"] = page["after_key"]
