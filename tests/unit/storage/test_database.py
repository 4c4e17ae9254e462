"""Transactions, and what people are told when the file cannot be used."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

import pytest

from pipeline.bus.sqlite import SqliteBus
from pipeline.database import Database, raw
from pipeline.errors import Retry, WindvaneError


@pytest.fixture(params=["file", "memory"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "deep" / "windvane.db" if request.param == "file" else None)
    database.ensure_schema("test", [["CREATE TABLE n (value INTEGER)"]])
    yield database
    database.close()


def add(db: Database, value: int) -> None:
    with db.begin() as connection:
        raw(connection).execute("INSERT INTO n VALUES (?)", (value,))


def values(db: Database) -> list[int]:
    with db.read() as connection:
        return [v for (v,) in raw(connection).execute("SELECT value FROM n ORDER BY value")]


def test_an_exception_undoes_all_of_the_outer_transaction(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.begin():
        add(db, 1)
        add(db, 2)
        assert values(db) == [1, 2]  # a reader on the same thread sees what is open
        raise ZeroDivisionError
    assert values(db) == []


def test_an_exception_caught_between_undoes_the_inner_part_only(db: Database) -> None:
    undone: list[str] = []
    with db.begin():
        db.on_rollback(lambda: undone.append("outer"))
        add(db, 1)
        with pytest.raises(ZeroDivisionError), db.begin():
            add(db, 2)
            db.on_rollback(lambda: undone.append("inner"))
            raise ZeroDivisionError
        add(db, 3)
    assert values(db) == [1, 3]
    assert undone == ["inner"]


def test_other_threads_see_nothing_before_the_commit(tmp_path: Path) -> None:
    db = Database(tmp_path / "w.db")
    db.ensure_schema("test", [["CREATE TABLE n (value INTEGER)"]])
    seen: list[list[int]] = []
    with db.begin():
        add(db, 1)
        thread = threading.Thread(target=lambda: seen.append(values(db)))
        thread.start()
        thread.join(10)
    assert seen == [[]]
    assert values(db) == [1]


def test_threads_queue_and_lose_no_update(db: Database) -> None:
    add(db, 0)

    def count() -> None:
        for _ in range(25):
            with db.begin() as connection:
                n = raw(connection).execute("SELECT value FROM n").fetchone()[0]
                raw(connection).execute("UPDATE n SET value = ?", (n + 1,))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert values(db) == [100]


def test_programs_on_one_file_queue_too(tmp_path: Path) -> None:
    """A transaction that reads and then writes must not be overtaken between the two."""
    programs = [Database(tmp_path / "w.db") for _ in range(2)]
    programs[0].ensure_schema("test", [["CREATE TABLE n (value INTEGER)", "INSERT INTO n VALUES (0)"]])
    failures: list[BaseException] = []

    def count(db: Database) -> None:
        try:
            for _ in range(20):
                with db.begin() as connection:
                    n = raw(connection).execute("SELECT value FROM n").fetchone()[0]
                    time.sleep(0.001)
                    raw(connection).execute("UPDATE n SET value = ?", (n + 1,))
        except Exception as e:
            failures.append(e)

    threads = [threading.Thread(target=count, args=(db,)) for db in programs]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert failures == []
    assert values(programs[0]) == [40]


def test_a_locked_file_is_retried_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    db = Database(path, busy_timeout_s=0.05)
    db.ensure_schema("test", [["CREATE TABLE n (value INTEGER)"]])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Retry, match=r"Waited 0\.05 s .*w\.db.*other program"):
        add(db, 1)
    assert values(db) == []  # reading goes on
    other.execute("ROLLBACK")
    add(db, 1)
    assert values(db) == [1]


def test_a_thread_that_waits_too_long_for_another_retries(tmp_path: Path) -> None:
    db = Database(tmp_path / "w.db", busy_timeout_s=0.05)
    db.ensure_schema("test", [["CREATE TABLE n (value INTEGER)"]])
    failures: list[BaseException] = []

    def other() -> None:
        try:
            add(db, 2)
        except Retry as e:
            failures.append(e)

    with db.begin():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(10)
    assert len(failures) == 1


def ignoring(kind: type[Exception] | None) -> AbstractContextManager[None]:
    return suppress(kind) if kind else nullcontext()


@pytest.mark.parametrize("swallowed", ["nowhere", "outside", "inside"])
def test_a_full_disk_undoes_the_whole_transaction(swallowed: str) -> None:
    db = Database(None)
    db.ensure_schema("test", [["CREATE TABLE n (value INTEGER)", "CREATE TABLE big (value BLOB)"]])
    with db.read() as connection:
        pages = raw(connection).execute("PRAGMA page_count").fetchone()[0]
        raw(connection).execute(f"PRAGMA max_page_count = {pages + 20}")
    with pytest.raises(Retry) as caught, db.begin():
        add(db, 1)
        outside = ignoring(Retry if swallowed == "outside" else None)
        inside = ignoring(sqlite3.OperationalError if swallowed == "inside" else None)
        with outside, db.begin() as connection, inside:
            raw(connection).execute("INSERT INTO big VALUES (zeroblob(1000000))")
        add(db, 2)
    assert "disk is full" in caught.value.reason or "given up" in caught.value.reason
    assert values(db) == []
    add(db, 3)  # and there is a way on
    assert values(db) == [3]


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "windvane.db"
    path.write_bytes(b"a shopping list, not a database " * 100)
    with pytest.raises(WindvaneError, match=r"Expected a Windvane database at .*windvane\.db"):
        Database(path)


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WindvaneError, match="Expected to read and write"):
        Database(tmp_path)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(WindvaneError, match="data folder"):
        Database(tmp_path / "data" / "windvane.db")


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    db = Database(path)
    db.ensure_schema("bus", [["CREATE TABLE a (x)"], ["CREATE TABLE b (x)"]])
    with pytest.raises(WindvaneError, match=r"newer Windvane .*version 2; this program knows 1.*Upgrade"):
        SqliteBus(db)


def test_only_the_missing_steps_are_run(tmp_path: Path) -> None:
    first = ["CREATE TABLE a (x)"]
    for steps in ([first], [first, ["CREATE TABLE b (x)"]], [first, ["CREATE TABLE b (x)"]]):
        db = Database(tmp_path / "w.db")
        db.ensure_schema("part", steps)
        db.close()
    with sqlite3.connect(tmp_path / "w.db") as connection:
        names = {n for (n,) in connection.execute("SELECT name FROM sqlite_master")}
    assert {"a", "b"} <= names


def test_a_step_that_fails_leaves_no_half_schema(tmp_path: Path) -> None:
    db = Database(tmp_path / "w.db")
    with pytest.raises(Exception, match="syntax"):
        db.ensure_schema("part", [["CREATE TABLE a (x)", "CREATE NONSENSE"]])
    db.ensure_schema("part", [["CREATE TABLE a (x)"]])


_WRITER = """
import sys
from pathlib import Path
from pipeline.bus.sqlite import SqliteBus
from pipeline.database import Database
db = Database(Path(sys.argv[1])); bus = SqliteBus(db); consumer = bus.consumer("g", "in")
while True:
    with db.begin():
        bus.publish("in", [("k", b"x")] * 3)
        messages = consumer.poll(3)
        bus.publish("out", [("k", m.value) for m in messages])
        consumer.commit(messages)
    print("done", flush=True)
"""


def test_kill_9_leaves_whole_transactions(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    for moment in (0.003, 0.011, 0.017):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline()
        time.sleep(moment)
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged = 1 + writer.stdout.read().count(b"\n")
        writer.wait(10)
        writer.stdout.close()
        db = Database(path)
        bus = SqliteBus(db)
        assert bus.end("in") == bus.end("out") == sum(1 for _ in bus.read("out"))
        assert bus.lag("g", "in") == 0
        assert bus.end("out") >= 3 * acknowledged
        db.close()
