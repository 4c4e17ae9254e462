"""Bulk writing to Elasticsearch against `elasticsearch.helpers.bulk` with its defaults, side by side in one run.

python -m tests.benchmarks.elasticsearch --url http://localhost:9200 [--texts 20000] [--json]

built     the same documents made into bulk bodies: ours from records by msgspec, theirs from dicts by the client's JSON
          (through helpers.bulk itself, with a connection that sends nothing and an answer that is not parsed)
prepared  the same from opinions as they come off the topic: checks, words and keys included, which both must make
indexed   the same opinions into fresh indices with the same mapping, by one client in one thread:
          by_batch  500 at a time, searchable after each (the index worker against helpers.bulk with refresh=True)
          at_once   all of them, then one refresh
"""

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
from elastic_transport import ApiResponseMeta, BaseNode, HttpHeaders, JsonSerializer
from elasticsearch import Elasticsearch, helpers

from pipeline.records import Opinion, encode
from pipeline.store import es_months
from pipeline.store.elasticsearch import ElasticsearchOpinionStore
from pipeline.store.es_document import extra_of, joined, source_of
from pipeline.store.es_mapping import month_of
from pipeline.store.es_write import Row, body_of, chunks
from pipeline.store.fitting import fit
from tests.benchmarks.store import START, opinions
from tests.connected.elasticsearch_alias import an_alias

BATCH = 500  # also the size of helpers.bulk: of 512 it would make two requests, and two refreshes
INDEX = "windvane-opinions-2025.01"
ROUNDS = 5
_JSON = "application/vnd.elasticsearch+json"


class _Accepted(JsonSerializer):
    """Takes every answer for 500 texts accepted, unread."""

    def loads(self, data: bytes) -> Any:
        return {"errors": False, "items": [{"index": {"status": 201}} for _ in range(500)]}


class _Response(NamedTuple):
    meta: ApiResponseMeta
    body: bytes


class _Nowhere(BaseNode):
    """Sends nothing."""

    _CLIENT_META_HTTP_CLIENT = ("no", "0")

    def perform_request(self, *args: Any, **kwargs: Any) -> Any:
        headers = HttpHeaders({"content-type": _JSON, "x-elastic-product": "Elasticsearch"})
        return _Response(ApiResponseMeta(200, "1.1", headers, 0.0, self.config), b"{}")

    def close(self) -> None:
        """Nothing is held."""


def nowhere() -> Elasticsearch:
    return Elasticsearch("http://nowhere:9200", node_class=_Nowhere, serializers={_JSON: _Accepted()})


def actions_of(some: Sequence[Opinion], index: str) -> list[dict[str, Any]]:
    """What one gives to helpers.bulk: the same documents as dicts."""
    return [
        {
            "_index": index,
            "_id": o.opinion_id,
            "_source": {**msgspec.to_builtins(o), **msgspec.to_builtins(extra_of(o, 0))},
        }
        for o in some
    ]


def ours_built(some: Sequence[Opinion], extras: Sequence[Any]) -> int:
    rows = [Row(o.opinion_id, "", joined(encode(o), e)) for o, e in zip(some, extras, strict=True)]
    return sum(len(body_of(zip(part, itertools.repeat(INDEX)))) for part in chunks(rows))


def ours_prepared(some: Sequence[Opinion]) -> int:
    size = 0
    for batch in batches(some):
        fitting, _ = fit(batch, START)
        rows = [Row(i, month_of(f.opinion.published_at), source_of(f, 0)) for i, f in fitting.items()]
        size += len(body_of(zip(rows, itertools.repeat(INDEX))))
    return size


def batches(some: Sequence[Opinion]) -> Iterator[Sequence[Opinion]]:
    for at in range(0, len(some), BATCH):
        yield some[at : at + BATCH]


def rates(n: int, ours: Callable[[], Any], theirs: Callable[[], Any]) -> dict[str, float]:
    """Texts per second of each, by turns; the ratio is the median of the rounds'."""
    spent: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        for name, work in (("ours", ours), ("theirs", theirs)):
            began = time.perf_counter()
            work()
            spent[name].append(time.perf_counter() - began)
    ratios = [t / o for o, t in zip(spent["ours"], spent["theirs"], strict=True)]
    return {
        "ours_per_s": n / statistics.median(spent["ours"]),
        "helpers_per_s": n / statistics.median(spent["theirs"]),
        "ratio": statistics.median(ratios),
        "ratio_worst_round": min(ratios),
    }


@contextmanager
def fresh(url: str) -> Iterator[ElasticsearchOpinionStore]:
    with an_alias(url) as settings:
        store = ElasticsearchOpinionStore(settings, clock=lambda: START)
        yield store
        store.close()


def indexed(url: str, some: Sequence[Opinion]) -> dict[str, dict[str, float]]:
    """Rates on the real server. Every round writes into an empty set of indices of its own, made beforehand."""
    spent: dict[str, list[float]] = {}
    client = Elasticsearch(url, request_timeout=120)
    for _ in range(ROUNDS):
        for name in ("by_batch ours", "by_batch helpers", "at_once ours", "at_once helpers"):
            with fresh(url) as store:
                spent.setdefault(name, []).append(_written(name, client, store, some))
    client.close()
    result = {}
    for kind in ("by_batch", "at_once"):
        ours, theirs = spent[f"{kind} ours"], spent[f"{kind} helpers"]
        ratios = [t / o for o, t in zip(ours, theirs, strict=True)]
        result[kind] = {
            "ours_per_s": len(some) / statistics.median(ours),
            "helpers_per_s": len(some) / statistics.median(theirs),
            "ratio": statistics.median(ratios),
            "ratio_worst_round": min(ratios),
        }
    return result


def _written(name: str, client: Elasticsearch, store: ElasticsearchOpinionStore, some: Sequence[Opinion]) -> float:
    kind, who = name.split()
    store.write([msgspec.structs.replace(some[0], post_id="first")])
    alias = store._settings.index
    index = es_months.in_alias(store._connection, alias)[0].name
    rebuild = store.rebuild() if name == "at_once ours" else None
    began = time.perf_counter()
    if who == "helpers":
        if kind == "by_batch":
            for batch in batches(some):
                helpers.bulk(client, actions_of(batch, index), refresh=True)
        else:
            helpers.bulk(client, itertools.chain.from_iterable(actions_of(b, index) for b in batches(some)))
            client.indices.refresh(index=index)
    elif rebuild is not None:
        rebuild.write(some)
        rebuild.publish()
    else:
        for batch in batches(some):
            assert store.write(batch) == []
    spent = time.perf_counter() - began
    assert store.stats()["opinions"] == len(some) + (rebuild is None)
    return spent


def measure(n: int, url: str | None) -> dict[str, Any]:
    """Everything that is printed. The texts are of one month, so that both write one index."""
    some = list(itertools.islice(opinions(n * 12), n))
    extras = [extra_of(o, 0) for o in some]
    dicts = actions_of(some, INDEX)
    client = nowhere()
    result: dict[str, Any] = {
        "texts": n,
        "built": rates(n, lambda: ours_built(some, extras), lambda: helpers.bulk(client, dicts)),
        "prepared": rates(
            n,
            lambda: ours_prepared(some),
            lambda: [helpers.bulk(client, actions_of(batch, INDEX)) for batch in batches(some)],
        ),
    }
    if url:
        result["indexed"] = indexed(url, some)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--url", help="a real Elasticsearch; without one, only what is built is measured")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = measure(args.texts, args.url)
    if args.json:
        print(json.dumps(result))
        return
    flat = {**{k: v for k, v in result.items() if k != "indexed"}, **result.get("indexed", {})}
    for name, value in flat.items():
        shown = "  ".join(f"{k} {v:,.2f}" for k, v in value.items()) if isinstance(value, dict) else value
        print(f"{name:10} {shown}")


if __name__ == "__main__":
    main()
