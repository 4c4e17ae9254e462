"""Bulk writing against a scripted server: which items are sent again, given back, or stop everything."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import pytest

from pipeline.errors import Retry, WindvaneError
from pipeline.store import es_write
from pipeline.store.es_client import Answer, Busy, Refused
from pipeline.store.es_months import Months
from pipeline.store.es_write import Patience, Row, Writer, body_of, chunks

ALIAS = "opinions"
BUSY = {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "queue full"}}
DOWN = {"status": 503, "error": {"type": "unavailable_shards_exception", "reason": "primary not active"}}
POISON = {
    "status": 400,
    "error": {"type": "document_parsing_exception", "reason": "failed", "caused_by": {"reason": "no number"}},
}
GONE = {"status": 404, "error": {"type": "index_not_found_exception", "reason": "no such index"}}
DONE = {"status": 201}


class Server:
    """Answers bulk requests from a script: what to say of an id, one entry per time it is sent; then DONE."""

    def __init__(self, **script: list[dict[str, Any]]) -> None:
        self.script = script
        self.errors: list[Exception] = []  # raised first, one per bulk request
        self.sent: list[list[str]] = []
        self.indices: set[str] = set()
        self.copies: list[dict[str, str]] = []
        self.deleted: list[dict[str, str]] = []
        self.lost = 0  # outcomes left out of each answer

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        allow: Collection[int] = (),
    ) -> Answer:
        if path == "/_bulk":
            return self.bulk(body)
        if path.endswith("/_search"):
            return say({"hits": {"hits": self.copies}})
        if method == "PUT":
            self.indices.add(path[1:])
            return say({})
        return say({name: {} for name in self.indices})  # GET /_alias/…

    def bulk(self, body: bytes) -> Answer:
        if self.errors:
            raise self.errors.pop(0)
        assert body.endswith(b"\n")
        lines = [msgspec.json.decode(line) for line in body.splitlines()]
        if "delete" in lines[0]:
            self.deleted += [line["delete"] for line in lines]
            return say({"errors": False, "items": [{"delete": {"status": 200}} for _ in lines]})
        actions = [line["index"] for line in lines[::2]]
        assert [line["n"] for line in lines[1::2]] == [action["_id"] for action in actions]
        self.sent.append([action["_id"] for action in actions])
        items = [{"index": self.outcome(action)} for action in actions]
        return say({"errors": True, "items": items[self.lost :]})

    def outcome(self, action: dict[str, str]) -> dict[str, Any]:
        if action["_index"] not in self.indices:
            return GONE
        script = self.script.get(action["_id"])
        return script.pop(0) if script else DONE


def say(value: Any) -> Answer:
    return Answer(200, msgspec.json.encode(value))


class Waits(list[float]):
    """The seconds slept."""

    def patience(self) -> Patience:
        return Patience(self.append, lambda: 0.5)


def rows(*ids: str, month: str = "2026.11") -> list[Row]:
    return [Row(id_, month, msgspec.json.encode({"n": id_})) for id_ in ids]


def writer(server: Server, waits: Waits) -> Writer:
    return Writer(server, Months(server, ALIAS), waits.patience())  # type: ignore[arg-type]


def test_only_what_was_busy_is_sent_again_and_poison_comes_back() -> None:
    server, waits = Server(b=[BUSY, DOWN], c=[POISON]), Waits()
    rejected = writer(server, waits).put(rows("a", "b", "c"))
    assert server.sent == [["a", "b", "c"], ["b"], ["b"]]
    assert [r.opinion_id for r in rejected] == ["c"]
    assert "document_parsing_exception" in rejected[0].reason and "no number" in rejected[0].reason
    assert len(waits) == 2 and 0 < waits[0] < waits[1]


def test_a_server_that_stays_busy_is_an_outage_after_a_bounded_time() -> None:
    server, waits = Server(a=[BUSY] * 99), Waits()
    with pytest.raises(Retry, match="queue full"):
        writer(server, waits).put(rows("a", "b"))
    assert len(server.sent) == es_write.ATTEMPTS
    assert sum(waits) < 30


def test_a_request_refused_as_busy_is_sent_again_and_no_connection_is_an_outage_at_once() -> None:
    server, waits = Server(), Waits()
    server.errors = [Busy("429"), Busy("503")]
    assert writer(server, waits).put(rows("a")) == []
    assert (server.sent, len(waits)) == ([["a"]], 2)
    server.errors = [Retry("no connection")]
    with pytest.raises(Retry, match="no connection"):
        writer(server, waits).put(rows("a"))
    assert len(waits) == 2


def test_a_missing_outcome_is_not_taken_for_success() -> None:
    server = Server()
    server.lost = 1
    with pytest.raises(Retry, match="expected the outcome of 2 texts"):
        writer(server, Waits()).put(rows("a", "b"))


def test_what_is_not_the_texts_fault_is_no_rejection() -> None:
    server = Server(a=[{"status": 403, "error": {"type": "cluster_block_exception", "reason": "read-only"}}])
    with pytest.raises(WindvaneError, match="read-only"):
        writer(server, Waits()).put(rows("a"))


def test_a_month_that_was_dropped_is_made_again() -> None:
    server = Server()
    write = writer(server, Waits())
    write.put(rows("a"))
    server.indices.clear()
    assert write.put(rows("b")) == []
    assert server.sent == [["a"], ["b"], ["b"]]
    assert server.indices == {"opinions-2026.11"}


def test_months_replaced_by_a_rebuild_are_followed() -> None:
    server = Server()
    write = writer(server, Waits())
    write.put(rows("a"))
    server.indices = {"opinions-2026.10-r2"}
    write.put(rows("b"))
    assert server.indices == {"opinions-2026.10-r2", "opinions-2026.11-r2"}


def test_older_copies_are_deleted_only_where_the_new_text_was_taken() -> None:
    server = Server()
    server.copies = [{"_index": "opinions-2026.10", "_id": "a"}]
    writer(server, Waits()).put(rows("a"))
    assert server.deleted == server.copies
    server.deleted, server.script = [], {"a": [POISON]}
    server.request = no_search(server.request)  # type: ignore[method-assign]
    assert [r.opinion_id for r in writer(server, Waits()).put(rows("a"))] == ["a"]
    assert server.deleted == []


def no_search(request: Any) -> Any:
    def asked(method: str, path: str, *more: Any, **named: Any) -> Answer:
        assert not path.endswith("_search"), "looked for copies of a text that was refused"
        return request(method, path, *more, **named)

    return asked


def test_a_body_that_is_too_large_is_halved_down_to_the_text_that_is() -> None:
    server = Server()
    server.bulk = limited(server.bulk, 400)  # type: ignore[method-assign]
    fat = Row("fat", "2026.11", msgspec.json.encode({"n": "fat", "text": "x" * 500}))
    rejected = writer(server, Waits()).put([*rows("a", "b"), fat, *rows("c")])
    assert [r.opinion_id for r in rejected] == ["fat"]
    assert sorted(i for ids in server.sent for i in ids) == ["a", "b", "c"]


def limited(bulk: Any, most: int) -> Any:
    def asked(body: bytes) -> Answer:
        if len(body) > most:
            raise Refused("too large (413)", 413)
        return bulk(body)

    return asked


def test_an_id_that_would_cost_its_neighbours_the_request_is_given_back() -> None:
    server = Server()
    rejected = writer(server, Waits()).put(rows("a", "茅" * 171))
    assert [len(r.opinion_id) for r in rejected] == [171]
    assert server.sent == [["a"]]


def test_bodies_are_cut_by_bytes_and_lose_nothing() -> None:
    some = [Row(str(i), "2026.11", b"{%b}" % (b"x" * 3_000_000)) for i in range(5)]
    cut = list(chunks(some))
    assert [len(c) for c in cut] == [2, 2, 1]
    assert [row for c in cut for row in c] == some
    assert list(chunks([])) == []


def test_ids_and_names_are_written_as_json() -> None:
    body = body_of([(Row('a"\n茅', "m", b"{}"), "opinions-m")])
    head, document, rest = body.split(b"\n")
    assert msgspec.json.decode(head) == {"index": {"_index": "opinions-m", "_id": 'a"\n茅'}}
    assert (document, rest) == (b"{}", b"")
