"""One SQLite file under the bus, the opinion store and the control store: a result and its offset are one transaction.

    with db.begin():
        bus.publish(...); store.write(...); consumer.commit(...)

Durable against `kill -9` as it stands (WAL, synchronous=NORMAL); against a power cut with `full_sync=True`, which
waits for the disk at every commit. Why one file: docs/decisions/0001-one-sqlite-file.md.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool, StaticPool

from pipeline.errors import Retry, WindvaneError

_CACHE_KIB = 32 * 1024
_WAL_KEPT_BYTES = 64 * 1024 * 1024  # a write-ahead log that grew beyond this is cut back


def raw(connection: Connection) -> sqlite3.Connection:
    """The sqlite3 connection below, inside the same transaction: for hot paths (executemany)."""
    return cast(sqlite3.Connection, connection.connection.driver_connection)


class _Thread(threading.local):
    """What this thread has open."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.undo: list[Callable[[], None]] = []


class Database:
    """One SQLite database (`path` None: in memory), shared by any number of threads.

    Within a process writers queue; between processes SQLite's lock decides. Waiting longer than `busy_timeout_s`
    raises errors.Retry, as does a full disk: nothing of the transaction was done. A transaction belongs to its
    thread: never await inside one.
    """

    def __init__(self, path: Path | None, *, full_sync: bool = False, busy_timeout_s: float = 30.0) -> None:
        self.path = path
        self._full_sync = full_sync
        self._busy_timeout_s = busy_timeout_s
        self._writer = threading.RLock()
        self._thread = _Thread()
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as e:
                raise WindvaneError(
                    f"The data folder {path.parent} cannot be made: {e.strerror}. Choose another --data-dir."
                ) from e
        self._engine = create_engine("sqlite://", creator=self._connect, **self._pool())
        event.listen(self._engine, "begin", _emit_begin)
        with self.read():  # a file that is no database is found here, not at the first text
            pass

    @property
    def dialect(self) -> str:
        """ "sqlite"; a twin on a server says otherwise."""
        return self._engine.dialect.name

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A writing transaction, committed on leaving, rolled back on an exception.

        Called inside another `begin` of the same thread it joins it: an exception undoes the inner part only, and
        the outer commit decides for all.
        """
        with self._explained():
            outer = self._thread.connection
            with self._outermost() if outer is None else self._joined(outer) as connection:
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view of what is committed; inside `begin` of the same thread, of the open transaction.

        Keep it short: a long one stops the write-ahead log from being folded back into the file.
        """
        with self._explained():
            outer = self._thread.connection
            if outer is not None:
                yield outer
            elif self.path is None:  # one connection for all: a view is a turn at it
                with self._outermost() as connection:
                    yield connection
            else:
                with self._engine.connect() as connection, connection.begin():
                    yield connection

    def on_rollback(self, undo: Callable[[], None]) -> None:
        """Call `undo` if what is open on this thread is rolled back: for state in memory that follows the tables."""
        if self._thread.connection is not None:
            self._thread.undo.append(undo)

    def ensure_schema(self, part: str, steps: Sequence[Sequence[str]]) -> None:
        """Bring the tables of `part` to version len(steps): run the steps (lists of statements) not yet run.

        Raises WindvaneError when the file was written by a newer Windvane.
        """
        version = self._version(part)
        if version < len(steps):
            with self.begin() as connection:
                connection.exec_driver_sql(
                    "CREATE TABLE IF NOT EXISTS windvane_schema (part TEXT PRIMARY KEY, version INTEGER NOT NULL)"
                )
                version = self._version(part)  # another process may have been quicker
                for statement in (s for step in steps[version:] for s in step):
                    connection.exec_driver_sql(statement)
                connection.exec_driver_sql(
                    "INSERT INTO windvane_schema VALUES (?, ?) "
                    "ON CONFLICT (part) DO UPDATE SET version = max(version, excluded.version)",
                    (part, len(steps)),
                )
        if version > len(steps):
            raise newer(self.name, part, str(version), str(len(steps)))

    def close(self) -> None:
        """Close every connection that is not in use. Tables in memory are gone."""
        self._engine.dispose()

    def _version(self, part: str) -> int:
        with self.read() as connection:
            known = connection.exec_driver_sql(
                "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'windvane_schema'"
            ).first()
            if known is None:
                return 0
            return (
                connection.exec_driver_sql("SELECT version FROM windvane_schema WHERE part = ?", (part,)).scalar() or 0
            )

    @contextmanager
    def _outermost(self) -> Iterator[Connection]:
        if not self._writer.acquire(timeout=self._busy_timeout_s):
            raise self._locked()
        thread = self._thread
        try:
            with self._engine.connect() as connection:
                connection.execution_options(windvane_begin="IMMEDIATE")
                with connection.begin():
                    thread.connection = connection
                    yield connection
                    self._still_open(connection)
        except BaseException:
            self._undo(0)
            raise
        finally:
            thread.connection = None
            thread.undo.clear()
            self._writer.release()

    @contextmanager
    def _joined(self, connection: Connection) -> Iterator[Connection]:
        self._still_open(connection)
        mark = len(self._thread.undo)
        raw(connection).execute("SAVEPOINT windvane")
        try:
            yield connection
            self._still_open(connection)
        except BaseException:
            self._undo(mark)
            if raw(connection).in_transaction:
                raw(connection).execute("ROLLBACK TO windvane")
                raw(connection).execute("RELEASE windvane")
            raise
        raw(connection).execute("RELEASE windvane")

    def _undo(self, mark: int) -> None:
        undo = self._thread.undo
        while len(undo) > mark:
            undo.pop()()

    def _still_open(self, connection: Connection) -> None:
        """SQLite itself rolls all back on a full disk; going on after that would commit a part."""
        if not raw(connection).in_transaction:
            raise Retry(f"The transaction on {self.name} was given up by SQLite. Nothing of it was done.")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            ":memory:" if self.path is None else self.path,
            timeout=self._busy_timeout_s,
            isolation_level=None,  # BEGIN is ours: see _emit_begin
            check_same_thread=False,
            cached_statements=256,
        )
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode not in ("wal", "memory"):
                raise WindvaneError(
                    f"{self.name} cannot be used as a write-ahead database (SQLite answered {mode!r}). "
                    "Put the data folder on a local disk that can be written; network folders do not work."
                )
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._full_sync else 'NORMAL'}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
            connection.execute("PRAGMA temp_store = MEMORY")
        except BaseException:
            connection.close()
            raise
        return connection

    def _pool(self) -> dict[str, Any]:
        if self.path is None:
            return {"poolclass": StaticPool}
        return {"poolclass": QueuePool, "pool_size": 8, "max_overflow": -1}

    @property
    def name(self) -> str:
        """Which database this is, in an error's words."""
        return "the database in memory" if self.path is None else f"the database {self.path}"

    def _locked(self) -> Retry:
        return Retry(
            f"Waited {self._busy_timeout_s:g} s for {self.name}, which something else keeps locked. Nothing was "
            "done. Stop the other program that writes to it, or give this one its own --data-dir."
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """SQLite's errors as instructions (Retry) and sentences (WindvaneError)."""
        try:
            yield
        except (sqlite3.Error, DBAPIError) as e:
            explained = self._explain(e.orig if isinstance(e, DBAPIError) else e)
            if explained is None:
                raise
            raise explained from e

    def _explain(self, error: BaseException | None) -> Exception | None:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return self._locked()
        if code == sqlite3.SQLITE_FULL:
            return Retry(
                f"There is no room left for {self.name}: the disk is full. Nothing was done. Free some space; "
                "the work goes on by itself.",
                after=10.0,
            )
        if code == sqlite3.SQLITE_IOERR:
            return Retry(
                f"The disk under {self.name} gave an error ({error}). Nothing was done. Check the disk and its "
                "free space; the work goes on by itself.",
                after=10.0,
            )
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return WindvaneError(
                f"Expected a Windvane database at {self.path}, found a file that is damaged or something else "
                f"({error}). Move it away or restore a copy, then start again."
            )
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
            return WindvaneError(
                f"Expected to read and write {self.path}, found that this is not possible ({error}). Check the "
                "folder's permissions, or choose another --data-dir."
            )
        return None


def newer(name: str, part: str, found: str, expected: str) -> WindvaneError:
    """The error for a database that a newer Windvane wrote."""
    return WindvaneError(
        f"{name[:1].upper()}{name[1:]} was written by a newer Windvane (its {part} tables have version {found}; this "
        f"program knows {expected}). Upgrade Windvane, or give this one a --data-dir (or a postgres.url) of its own."
    )


def _emit_begin(connection: Connection) -> None:
    # IMMEDIATE takes the write lock at once: a transaction that reads first can then not fail when it writes
    mode = connection.get_execution_options().get("windvane_begin", "DEFERRED")
    connection.exec_driver_sql(f"BEGIN {mode}")
