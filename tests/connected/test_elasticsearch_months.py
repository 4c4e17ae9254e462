"""What only Elasticsearch has: months as indices, retention, a rebuild beside the running store, keys, outages."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from pipeline.bus.sqlite import SqliteBus
from pipeline.database import Database
from pipeline.errors import Retry, WindvaneError
from pipeline.keys import entity_key
from pipeline.records import Opinion, encode
from pipeline.reindexing import reindex
from pipeline.settings import ElasticsearchSettings
from pipeline.store import es_months
from pipeline.store.base import Filters, Search
from pipeline.store.elasticsearch import ElasticsearchOpinionStore
from pipeline.store.es_client import Connection
from pipeline.store.es_write import Patience
from tests.connected.elasticsearch_alias import an_alias
from tests.contract.samples import NOON, after, mention, opinion
from tests.contract.store_contract import FAR_OFF, LONG_AGO, ids

pytestmark = pytest.mark.connected
HASTY = Patience(lambda seconds: None, lambda: 0.0)


@pytest.fixture
def settings(elasticsearch_server) -> Iterator[ElasticsearchSettings]:
    with an_alias(elasticsearch_server.address) as settings:
        yield settings


@pytest.fixture
def store(settings: ElasticsearchSettings) -> Iterator[ElasticsearchOpinionStore]:
    yield from opened(settings)


def opened(settings: ElasticsearchSettings, **more: Any) -> Iterator[ElasticsearchOpinionStore]:
    store = ElasticsearchOpinionStore(settings, **more)
    yield store
    store.close()


@pytest.fixture
def server(settings: ElasticsearchSettings) -> Iterator[Connection]:
    connection = Connection(settings)
    yield connection
    connection.close()


@pytest.fixture
def bus() -> Iterator[SqliteBus]:
    db = Database(None)
    yield SqliteBus(db)
    db.close()


def in_month(id_: str, month: int, text: str = "text", **more: Any) -> Opinion:
    return opinion(id_, text, at=datetime(2024, month, 10, tzinfo=UTC), **more)


def months(connection: Connection, settings: ElasticsearchSettings) -> list[str]:
    return [h.name.removeprefix(settings.index + "-") for h in es_months.in_alias(connection, settings.index)]


def publish(bus: SqliteBus, *opinions: Opinion) -> None:
    bus.publish("opinions", [(o.story_id, encode(o)) for o in opinions])


def test_a_text_lies_in_the_month_it_was_published_in(store, server, settings) -> None:
    assert store.write([in_month("a", 3), in_month("b", 4), in_month("c", 3)]) == []
    assert months(server, settings) == ["2024.03", "2024.04"]
    assert ids(store, Search("text")) == ["b", "a", "c"]
    assert [b.total for b in store.bins(None, LONG_AGO, FAR_OFF, 86400)] == [2, 1]
    assert ids(store, Search(filters=Filters(end=datetime(2024, 4, 1, tzinfo=UTC)))) == ["a", "c"]


def test_best_matches_compare_across_months(store) -> None:
    """With each month's own statistics a word that is rare in its month would win there."""
    store.write([in_month("common", 3, "银行 银行 跌"), *(in_month(f"x{i}", 3, "银行 other words") for i in range(30))])
    store.write([in_month("alone", 4, "银行 and some more words of no use"), in_month("y", 4, "nothing")])
    assert ids(store, Search("银行", order="best"))[0] == "common"


def test_a_text_whose_month_changed_is_there_once(store) -> None:
    store.write([in_month("a", 3, "first", entities=(mention("T.US"),)), in_month("b", 3)])
    store.write([in_month("a", 5, "second", entities=(mention("T.US"),)), in_month("c", 3)])
    assert [o.text for o in store.get(["a"])] == ["second"]
    assert [o.opinion_id for o in store.scan()] == ["a", "b", "c"]
    assert store.stats()["opinions"] == 3
    assert [b.total for b in store.bins(entity_key("T.US"), LONG_AGO, FAR_OFF)] == [1]


def test_a_copy_left_by_a_crash_goes_with_the_next_try(store, server, settings) -> None:
    store.write([in_month("a", 3, "old")])
    store.write([in_month("b", 5)])
    document = {"post_id": "a", "words": "new"}  # as a writer leaves it that died before it looked for copies
    server.request("PUT", f"/{settings.index}-2024.05/_doc/a", document, {"refresh": "true"})
    store.write([in_month("a", 5, "new")])
    assert ids(store, Search("old")) == []
    assert store.stats()["opinions"] == 2


def test_what_the_server_refuses_comes_back_and_its_neighbours_are_written(store, server, settings) -> None:
    store.write([in_month("seed", 4)])
    wrong = {"mappings": {"properties": {"source": {"type": "integer"}}}, "aliases": {settings.index: {}}}
    server.request("PUT", f"/{settings.index}-2024.03", wrong)
    rejected = store.write([in_month("a", 3, source="7"), in_month("b", 3, source="wire"), in_month("c", 4)])
    assert [r.opinion_id for r in rejected] == ["b"]
    assert "document_parsing_exception" in rejected[0].reason and "wire" in rejected[0].reason
    assert [o.opinion_id for o in store.scan()] == ["a", "c", "seed"]


def test_values_longer_than_a_term_are_kept(store) -> None:
    long = "茅" * 20_000
    written = in_month("a", 3, f"大跌 {'x' * 40_000}", source=long, url=long, attributes={"": "y" * 40_000})
    assert store.write([written]) == []
    assert msgspec.structs.replace(store.get(["a"])[0], indexed_at=None) == written
    assert ids(store, Search("大跌")) == ["a"]


def test_pages_beyond_the_servers_window(store) -> None:
    store.write([opinion(f"{i:05}", at=after(-i)) for i in range(10_025)])
    for order in ("newest", "best"):
        page = store.search(Search("text", limit=20, offset=9_990, order=order))
        assert [o.opinion_id for o in page.items] == [f"{i:05}" for i in range(9_990, 10_010)]
        assert (page.total, page.capped) == (10_000, True)
    assert len(store.search(Search(limit=20, offset=10_020)).items) == 5
    assert store.search(Search(limit=20, offset=20_000)).items == []
    assert store.stats()["stories"] == 10_025


@pytest.mark.parametrize("typed", ['"茅台"', "Nestle", '"ｆｕｌｌ width"', "iPhone", "words:РУБЛЯ", '"3 5"'])
def test_what_is_typed_into_kibana_or_grafana_finds_too(store, server, settings, typed: str) -> None:
    store.write([opinion("a", "贵州茅台 Nestlé full-width iPhone手机 рубля 3.5"), opinion("b", "茅 台 else")])
    body = {"query": {"query_string": {"query": typed}}}
    found = msgspec.json.decode(server.request("POST", f"/{settings.index}/_search", body).body)
    assert "a" in [hit["_id"] for hit in found["hits"]["hits"]]
    body = {"query": {"query_string": {"query": '"台茅"'}}}
    found = msgspec.json.decode(server.request("POST", f"/{settings.index}/_search", body).body)
    assert found["hits"]["hits"] == []


def test_old_months_are_dropped_whole(settings, server) -> None:
    [store] = opened_once(settings, datetime(2024, 6, 15, tzinfo=UTC))
    store.write([in_month(str(m), m) for m in (2, 3, 4, 5, 6)])
    absurd = {"ancient": datetime(1901, 1, 1, tzinfo=UTC), "far off": datetime(2123, 1, 1, tzinfo=UTC)}
    store.write([opinion(id_, at=at) for id_, at in absurd.items()])
    dropped = store.drop_months(keep=2)
    assert dropped == [f"{settings.index}-{month}" for month in ("2024.02", "2024.03", "before-2000")]
    assert months(server, settings) == ["2024.04", "2024.05", "2024.06", "after-2099"]
    assert store.drop_months(keep=2) == []
    store.write([in_month("late", 3)])  # its month is made again, until the next time
    assert store.drop_months(keep=24) == []
    assert store.get(["late"]) != []


def opened_once(settings: ElasticsearchSettings, now: datetime) -> list[ElasticsearchOpinionStore]:
    return [ElasticsearchOpinionStore(settings, clock=lambda: now)]


def test_a_rebuild_holds_what_the_topic_holds_and_is_seen_at_once(store, server, settings, bus) -> None:
    store.write([in_month("wrong", 3, "never on the topic"), in_month("a", 3, "damaged")])
    publish(bus, in_month("a", 3, "old"), in_month("b", 3), in_month("a", 5, "right", scored_at=after(99)))
    bus.publish("opinions", [("", b"no opinion")])
    seen: list[list[str]] = []
    done = reindex(bus, store, lambda n, text: seen.append([o.opinion_id for o in store.scan()]))
    assert seen[0] == ["a", "wrong"]  # written, not yet published
    assert (done.texts, done.unreadable, done.refused, done.carried) == (3, 1, 0, 0)
    assert {o.opinion_id: o.text for o in store.scan()} == {"a": "right", "b": "text"}
    assert months(server, settings) == ["2024.03-r2", "2024.05-r2"]
    assert [h.generation for h in es_months.existing(server, settings.index)] == [2, 2]
    reindex(bus, store)
    assert months(server, settings)[0] == "2024.03-r3"
    assert len(list(store.scan())) == 2


def test_a_worker_goes_on_through_a_rebuild(store, settings, bus) -> None:
    """What it writes and publishes meanwhile is in the new store, in its newest version."""
    worker = ElasticsearchOpinionStore(settings, patience=HASTY)
    first = [in_month(str(i), 3) for i in range(5)]
    worker.write(first)
    publish(bus, *first)
    meanwhile = [in_month("1", 3, "newer", scored_at=after(1e6)), in_month("new", 3), in_month("newest", 7)]

    def move(done: int, text: str) -> None:
        if meanwhile:
            publish(bus, *meanwhile)
            worker.write(meanwhile[:2])  # the third is on the topic, and its worker behind
            meanwhile.clear()

    reindex(bus, store, move)
    assert worker.write([in_month("after", 3), in_month("later", 8)]) == []
    held = {o.opinion_id: o.text for o in store.scan()}
    assert set(held) == {"0", "1", "2", "3", "4", "new", "newest", "after", "later"}
    assert held["1"] == "newer"


def test_what_the_topic_has_forgotten_is_carried_over(store, bus) -> None:
    old, young = in_month("old", 3), in_month("young", 4)
    publish(bus, old, young)
    store.write([old, in_month("young", 3, "damaged")])
    bus.truncate_before("opinions", 1)
    done = reindex(bus, store)
    assert (done.carried, done.texts) == (2, 1)
    assert {o.opinion_id: o.text for o in store.scan()} == {"old": "text", "young": "text"}
    assert reindex(bus, store, topic_only=True).carried == 0
    assert [o.opinion_id for o in store.scan()] == ["young"]


def test_a_rebuild_that_fails_leaves_the_store_as_it_was(store, server, settings, bus) -> None:
    store.write([in_month("a", 3)])
    with pytest.raises(WindvaneError, match="expected texts on the topic opinions, found none"):
        reindex(bus, store)
    publish(bus, in_month("b", 3))

    def stopped(done: int, text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reindex(bus, store, stopped)
    assert [o.opinion_id for o in store.scan()] == ["a"]
    assert [h.name for h in es_months.existing(server, settings.index)] == [f"{settings.index}-2024.03"]


def test_what_a_killed_rebuild_left_goes_with_the_next(store, server, settings, bus) -> None:
    store.write([in_month("a", 3)])
    store.rebuild().write([in_month("b", 4)])
    publish(bus, in_month("c", 5))
    reindex(bus, store)
    assert [h.name for h in es_months.existing(server, settings.index)] == [f"{settings.index}-2024.05-r3"]


def test_an_outage_is_said_as_one_and_afterwards_all_is_there(stoppable_elasticsearch) -> None:
    with an_alias(stoppable_elasticsearch.address, timeout_s=60) as settings:
        [store] = opened_once(settings, NOON)
        store.write([in_month("a", 3)])
        stoppable_elasticsearch.stop()
        for ask in (lambda: store.write([in_month("b", 3)]), lambda: store.search(Search()), lambda: store.get(["a"])):
            with pytest.raises(Retry, match="no connection to Elasticsearch"):
                ask()
        stoppable_elasticsearch.start()
        assert store.write([in_month("b", 3)]) == []
        assert [o.opinion_id for o in store.scan()] == ["a", "b"]


class TestWithSecurity:
    @pytest.fixture(autouse=True)
    def _server(self, secure_elasticsearch_server) -> None:
        self.address = secure_elasticsearch_server.address
        self.login = {
            "username": secure_elasticsearch_server.username,
            "password": SecretStr(secure_elasticsearch_server.password),
        }

    def key(self, settings: ElasticsearchSettings, privileges: list[str], cluster: list[str]) -> dict[str, SecretStr]:
        connection = Connection(settings)
        index = {"names": [f"{settings.index}*"], "privileges": privileges}
        body = {"name": settings.index, "role_descriptors": {"r": {"cluster": cluster, "indices": [index]}}}
        made = connection.request("POST", "/_security/api_key", body)
        connection.close()
        return {"api_key": SecretStr(msgspec.json.decode(made.body)["encoded"])}

    def as_(self, settings: ElasticsearchSettings, **given: Any) -> ElasticsearchOpinionStore:
        same = {"url": settings.url, "index": settings.index}
        return ElasticsearchOpinionStore(ElasticsearchSettings(**same, **given), lambda: NOON, HASTY)

    def test_keys_do_what_they_are_for(self) -> None:
        with an_alias(self.address, **self.login) as settings:
            writer = self.as_(settings, **self.key(settings, ["all"], ["monitor", "manage_index_templates"]))
            assert writer.write([in_month("a", 3, "茅台")]) == []
            reader = self.as_(settings, **self.key(settings, ["read", "view_index_metadata"], []))
            assert ids(reader, Search("茅台")) == ["a"]
            assert reader.stats()["opinions"] == 1
            with pytest.raises(WindvaneError, match=r"403.*Give the key in elasticsearch\.api_key the cluster privil"):
                reader.write([in_month("b", 3)])
            writer.write([in_month("old", 2)])
            assert writer.drop_months(keep=0) == [f"{settings.index}-2024.02"]

    def test_who_is_refused_is_told_which_setting(self) -> None:
        with an_alias(self.address, **self.login) as settings:
            for given, named in [
                ({"api_key": SecretStr("bm9ib2R5Om5vYm9keQ==")}, r"elasticsearch\.api_key"),
                ({"username": "elastic", "password": SecretStr("wrong")}, r"elasticsearch\.password"),
                ({}, r"it asks who we are"),
            ]:
                store = self.as_(settings, **given)
                for ask in (lambda s=store: s.write([in_month("a", 3)]), lambda s=store: s.search(Search())):
                    with pytest.raises(WindvaneError, match=rf"401.*{named}"):
                        ask()
