"""The embedded opinion store passes the contract, and half a transaction leaves no trace in it."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.database import Database, raw
from pipeline.keys import entity_key
from pipeline.store.base import OpinionStore, Search
from pipeline.store.sqlite import SqliteOpinionStore
from tests.contract.samples import mention, opinion
from tests.contract.store_contract import FAR_OFF, INDEXED_AT, LONG_AGO, OpinionStoreContract, ids


class TestSqliteFileStore(OpinionStoreContract):
    @contextmanager
    def fresh(self) -> Iterator[Callable[[], OpinionStore]]:
        opened: list[Database] = []
        with tempfile.TemporaryDirectory() as folder:

            def open_store() -> OpinionStore:
                opened.append(Database(Path(folder) / "windvane.db"))
                return SqliteOpinionStore(opened[-1], clock=lambda: INDEXED_AT)

            yield open_store
            for db in opened:
                db.close()


class TestSqliteMemoryStore(OpinionStoreContract):
    @contextmanager
    def fresh(self) -> Iterator[Callable[[], OpinionStore]]:
        db = Database(None)
        yield lambda: SqliteOpinionStore(db, clock=lambda: INDEXED_AT)
        db.close()


def test_a_write_that_is_rolled_back_never_was() -> None:
    db = Database(None)
    store = SqliteOpinionStore(db)
    store.write([opinion("a", "大跌", entities=(mention("T.US"),))])
    with pytest.raises(ZeroDivisionError), db.begin():
        store.write([opinion("a", "改", entities=(mention("NEW.US"),)), opinion("b", "大跌")])
        assert ids(store, Search("改")) == ["a"]
        raise ZeroDivisionError
    assert ids(store, Search("大跌")) == ["a"]
    assert ids(store, Search("改")) == []
    assert store.stats()["opinions"] == 1
    # the number that NEW.US had in the lost transaction must not be used for it now
    store.write([opinion("c", entities=(mention("OTHER.US"),)), opinion("d", entities=(mention("NEW.US"),))])
    for entity in ("OTHER.US", "NEW.US"):
        assert [b.total for b in store.bins(entity_key(entity), LONG_AGO, FAR_OFF)] == [1]


def test_the_newest_are_found_by_walking_not_by_sorting_all() -> None:
    """The plan must hold no temporary B-tree over the matches: that is what makes it flat in size."""
    from pipeline.store.finding import Finding

    db = Database(None)
    SqliteOpinionStore(db)
    for search in (Search(), Search("茅台")):
        sql, values = Finding.of(search).sql("{id}", "ORDER BY {id} DESC LIMIT 20")
        with db.read() as connection:
            plan = " ".join(str(row[3]) for row in raw(connection).execute(f"EXPLAIN QUERY PLAN {sql}", values))
        assert "TEMP B-TREE" not in plan, plan


def test_the_index_stays_sound_through_overwrites() -> None:
    db = Database(None)
    store = SqliteOpinionStore(db)
    for i in range(5):
        store.write([opinion(f"{j}", f"第{i}次 text {i}") for j in range(20)])
    with db.begin() as connection:
        raw(connection).execute("INSERT INTO store_index (store_index) VALUES ('integrity-check')")
    assert store.search(Search("第4次")).total == 20
    assert store.search(Search("第3次")).total == 0
