"""Bulk writing: our own bodies, every item's outcome looked at, what is busy asked again, what is poison given back."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from pipeline.errors import Retry, WindvaneError
from pipeline.store.base import Rejection
from pipeline.store.es_client import BUSY, Busy, Connection, Refused, explain
from pipeline.store.es_months import Months

BODY_BYTES = 8_000_000  # per request; the server's own limit is 100 MB, its advice "a couple tens of megabytes"
ATTEMPTS = 6
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 5.0
LONGEST_ID = 512  # bytes; the server refuses the whole request for a longer one

_ANSWER = "errors,items.*.status,items.*.error"


class Row(NamedTuple):
    """A document and where it belongs."""

    id: str
    month: str
    source: bytes


class Patience(NamedTuple):
    """How to wait between attempts. `random` gives numbers in [0, 1)."""

    sleep: Callable[[float], None]
    random: Callable[[], float]

    def wait(self, attempt: int) -> None:
        """Full jitter: anywhere up to twice as long as before."""
        self.sleep(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt) * (0.5 + self.random() / 2))


class _Outcome(msgspec.Struct):
    status: int
    error: dict[str, Any] | None = None


class _Bulk(msgspec.Struct):
    errors: bool = False
    items: list[dict[str, _Outcome]] = []


_decode = msgspec.json.Decoder(_Bulk).decode
_encode = msgspec.json.Encoder().encode


class Writer:
    """Writes rows into the months they belong to."""

    def __init__(self, connection: Connection, months: Months, patience: Patience) -> None:
        self._connection = connection
        self._months = months
        self._patience = patience

    def put(self, rows: Sequence[Row]) -> list[Rejection]:
        """Insert or overwrite, searchable on return; those that can never be taken come back. Raises Retry on an
        outage: what was written by then is written again and overwrites itself."""
        rejected = [Rejection(row.id, _too_long(row.id)) for row in rows if len(row.id.encode()) > LONGEST_ID]
        refused = {r.opinion_id for r in rejected}
        for some in chunks(row for row in rows if row.id not in refused):
            rejected += self._send(some)
        refused = {r.opinion_id for r in rejected}
        self._leave_once([row for row in rows if row.id not in refused])
        return rejected

    def _send(self, rows: Sequence[Row]) -> list[Rejection]:
        rejected: list[Rejection] = []
        pending, reason = list(rows), ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._patience.wait(attempt - 1)
            try:
                outcomes = self._bulk(body_of((row, self._months.index_of(row.month)) for row in pending), len(pending))
            except Busy as e:
                reason = e.reason
                continue
            except Refused as e:
                if e.status != 413:
                    raise
                return rejected + self._halves(pending, e)
            pending, reason = self._sort_out(pending, outcomes, rejected)
            if not pending:
                return rejected
        raise Retry(f"Elasticsearch did not take {len(pending)} texts in {ATTEMPTS} attempts: {reason}", after=5.0)

    def _bulk(self, body: bytes, sent: int) -> list[_Outcome]:
        # refresh=true: searchable when this returns. wait_for would wait for the next interval, which is 30 s here
        answer = self._connection.request("POST", "/_bulk", body, {"refresh": "true", "filter_path": _ANSWER})
        outcomes = [outcome for item in _decode(answer.body).items for outcome in item.values()]
        if len(outcomes) != sent:
            raise Retry(f"expected the outcome of {sent} texts from Elasticsearch, found {len(outcomes)}")
        return outcomes

    def _sort_out(
        self, rows: Sequence[Row], outcomes: Sequence[_Outcome], rejected: list[Rejection]
    ) -> tuple[list[Row], str]:
        """The rows to send again, and the last reason; what is poison is added to `rejected`."""
        again, reason = [], ""
        for row, outcome in zip(rows, outcomes, strict=True):
            if outcome.status < 300:
                continue
            error = outcome.error or {}
            said = explain(error)
            if outcome.status in BUSY:
                again.append(row)
                reason = said
            elif error.get("type") == "index_not_found_exception":  # dropped or replaced since we looked
                self._months.forget()
                again.append(row)
                reason = said
            elif outcome.status in (401, 403) or error.get("type") == "index_closed_exception":  # not the text's fault
                raise WindvaneError(
                    f"Elasticsearch does not let this index be written ({outcome.status}): {said}. "
                    "Give elasticsearch.api_key the right to, or open the index, and start again."
                )
            else:
                rejected.append(Rejection(row.id, f"Elasticsearch refused the text ({outcome.status}): {said}"))
        return again, reason

    def _halves(self, rows: Sequence[Row], refused: Refused) -> list[Rejection]:
        if len(rows) == 1:
            return [Rejection(rows[0].id, str(refused))]
        middle = len(rows) // 2
        return self._send(rows[:middle]) + self._send(rows[middle:])

    def _leave_once(self, rows: Sequence[Row]) -> None:
        """Delete older copies in other months: a text whose published time changed lies in a new index, and the old
        one does not know. Looked for after every write, so that a crash in between is made good by the next try."""
        placed = [(self._months.index_of(row.month), row.id) for row in rows]
        copies = [copy for some in _slices(placed) for copy in self._find_copies(some)]
        if not copies:
            return
        body = b"".join(b'{"delete":{"_index":%b,"_id":%b}}\n' % (_encode(i), _encode(id_)) for i, id_ in copies)
        failed = [o for o in self._bulk(body, len(copies)) if o.status >= 300 and o.status != 404]
        if failed:
            raise Retry(f"older copies of {len(failed)} texts could not be deleted: {explain(failed[0].error or {})}")

    def _find_copies(self, held: dict[str, list[str]]) -> list[tuple[str, str]]:
        """(index, id) of these ids in any other index of ours. Whole shards drop out by `_index` unread."""
        elsewhere = [
            {"bool": {"filter": {"ids": {"values": ids}}, "must_not": {"term": {"_index": index}}}}
            for index, ids in held.items()
        ]
        answer = self._connection.request(
            "POST",
            f"/{self._months.target}/_search",
            {"query": {"bool": {"should": elsewhere}}, "_source": False, "size": 10_000, "track_total_hits": False},
            {"ignore_unavailable": "true", "allow_partial_search_results": "false", "filter_path": "hits.hits"},
        )
        hits = msgspec.json.decode(answer.body).get("hits", {}).get("hits", [])
        return [(hit["_index"], hit["_id"]) for hit in hits]


def body_of(placed: Iterable[tuple[Row, str]]) -> bytes:
    """The bulk body: an action line and a document line for each."""
    parts: list[bytes] = []
    heads: dict[str, bytes] = {}
    for row, index in placed:
        head = heads.get(index)
        if head is None:
            head = heads[index] = b'{"index":{"_index":%b,"_id":' % _encode(index)
        parts += (head, _encode(row.id), b"}}\n", row.source, b"\n")
    return b"".join(parts)


def chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Runs of rows of at most BODY_BYTES together; a larger one alone."""
    some: list[Row] = []
    size = 0
    for row in rows:
        if some and size + len(row.source) > BODY_BYTES:
            yield some
            some, size = [], 0
        some.append(row)
        size += len(row.source) + 128
    if some:
        yield some


def _slices(placed: Sequence[tuple[str, str]]) -> Iterator[dict[str, list[str]]]:
    """(index, id) pairs as ids by index, 5 000 at a time, so that a window of 10 000 hits holds every copy."""
    for at in range(0, len(placed), 5000):
        held: dict[str, list[str]] = {}
        for index, id_ in placed[at : at + 5000]:
            held.setdefault(index, []).append(id_)
        yield held


def _too_long(id_: str) -> str:
    return f"expected an id of at most {LONGEST_ID} bytes, found {len(id_.encode())}"
