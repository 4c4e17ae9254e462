"""The embedded bus passes the contract, and takes part in the database's transactions."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.bus.base import Bus
from pipeline.bus.sqlite import SqliteBus
from pipeline.database import Database
from tests.contract.bus_contract import BusContract, publish


class TestSqliteFileBus(BusContract):
    @contextmanager
    def fresh(self) -> Iterator[Callable[[], Bus]]:
        opened: list[Database] = []
        with tempfile.TemporaryDirectory() as folder:

            def open_bus() -> Bus:
                opened.append(Database(Path(folder) / "windvane.db"))
                return SqliteBus(opened[-1])

            yield open_bus
            for db in opened:
                db.close()


class TestSqliteMemoryBus(BusContract):
    @contextmanager
    def fresh(self) -> Iterator[Callable[[], Bus]]:
        db = Database(None)
        yield lambda: SqliteBus(db)
        db.close()


@pytest.fixture(params=["file", "memory"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "windvane.db" if request.param == "file" else None)
    yield database
    database.close()


def test_results_and_offset_are_one_transaction(db: Database) -> None:
    bus = SqliteBus(db)
    publish(bus, b"in")
    consumer = bus.consumer("g", "t")
    messages = consumer.poll(10)
    with pytest.raises(ZeroDivisionError), db.begin():
        publish(bus, b"out", topic="results")
        consumer.commit(messages)
        raise ZeroDivisionError
    assert (bus.end("results"), bus.lag("g", "t")) == (0, 1)
    with db.begin():
        publish(bus, b"out", topic="results")
        consumer.commit(messages)
    assert (bus.end("results"), bus.lag("g", "t")) == (1, 0)


def test_a_poll_in_a_transaction_that_fails_is_undone_with_it(db: Database) -> None:
    bus = SqliteBus(db)
    consumer = bus.consumer("g", "t")
    with pytest.raises(ZeroDivisionError), db.begin():
        publish(bus, b"never", b"was")
        assert len(consumer.poll(10)) == 2
        raise ZeroDivisionError
    publish(bus, b"is")
    assert [(m.offset, m.value) for m in consumer.poll(10)] == [(0, b"is")]


def test_truncation_keeps_what_a_group_needs_and_gives_no_offset_twice(db: Database) -> None:
    bus = SqliteBus(db)
    publish(bus, b"0", b"1", b"2", b"3")
    publish(bus, b"other", topic="u")
    consumer = bus.consumer("g", "t")
    consumer.commit(consumer.poll(2))
    assert bus.truncate_before("t", 99) == 2  # 2 and 3 are not committed yet
    assert [m.offset for m in bus.read("t")] == [2, 3]
    assert (bus.messages("t"), bus.messages("u")) == (2, 1)
    consumer.commit(consumer.poll(9))
    assert bus.truncate_before("t", 99) == 2
    publish(bus, b"4")
    assert [(m.offset, m.value) for m in bus.read("t")] == [(4, b"4")]
    assert bus.lag("g", "t") == 1
    assert bus.lag("newcomer", "t") == 1
    assert [m.value for m in bus.consumer("newcomer", "t").poll(9)] == [b"4"]
    assert [m.value for m in bus.read("u")] == [b"other"]
    assert bus.topics() == ["t", "u"]


def test_a_commit_of_anothers_messages_is_refused(db: Database) -> None:
    bus = SqliteBus(db)
    publish(bus, b"x", topic="u")
    messages = bus.consumer("g", "u").poll(1)
    with pytest.raises(ValueError, match="consumer of t"):
        bus.consumer("g", "t").commit(messages)


def test_a_closed_consumer_says_so(db: Database) -> None:
    consumer = SqliteBus(db).consumer("g", "t")
    consumer.close()
    with pytest.raises(RuntimeError, match="closed"):
        consumer.poll(1)
