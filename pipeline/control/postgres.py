"""The control store's database on PostgreSQL: the same two verbs as database.Database. psycopg comes in here only."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, TimeoutError

from pipeline.clock import Clock, system_clock
from pipeline.control.sql import SqlControlStore
from pipeline.errors import Retry, WindvaneError
from pipeline.settings import PostgresSettings

_EXPECTED = "Expected postgres.url (WINDVANE_POSTGRES__URL) to be postgresql://user:password@host:port/database"
_DRIVERS = ("postgres", "postgresql", "postgresql+psycopg")
_CONNECTION = {  # each can be set otherwise in the url: ?connect_timeout=30
    "application_name": "windvane",
    "keepalives_idle": "10",  # a server that is gone without a word is noticed within about 25 s
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
_SESSION = (
    "SET lock_timeout = '30s'",
    "SET idle_in_transaction_session_timeout = '60s'",  # a worker that vanished holds its rows no longer than this
)
_REFUSED = ("authentication failed", "no password supplied", "pg_hba.conf", "SSL", "certificate")


class _Thread(threading.local):
    """What this thread has open."""

    connection: Connection | None = None


class PostgresDatabase:
    """One PostgreSQL database, shared by any number of threads; see control.sql.Transactions.

    Nothing is connected before the first use. A lost connection, a server that starts, stops or is full, and a
    deadlock raise errors.Retry; a wrong address or password raises WindvaneError. If the connection is lost while
    committing, the transaction may have been done all the same: the control store's verbs can be called again.
    """

    def __init__(self, url: str, *, connect_timeout_s: int = 10, pool: int = 5) -> None:
        parsed = parse(url)
        defaults = {**_CONNECTION, "connect_timeout": str(max(2, connect_timeout_s))}  # libpq takes 2 s or more
        parsed = parsed.update_query_dict({k: v for k, v in defaults.items() if k not in parsed.query})
        self.name = f"the PostgreSQL database {where(parsed)}"
        self._thread = _Thread()
        try:
            self._engine = create_engine(
                parsed, pool_pre_ping=True, pool_size=pool, max_overflow=10, hide_parameters=True
            )
        except ModuleNotFoundError as e:
            raise WindvaneError(
                f"postgres.url is set, but the PostgreSQL client is not installed ({e.name} is missing). "
                "Install it: pip install 'windvane[postgres]'."
            ) from e
        event.listen(self._engine, "connect", _set_up_session)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A writing transaction (read committed), committed on leaving, rolled back on an exception.

        Called inside another `begin` of the same thread it joins it: an exception undoes the inner part only, and
        the outer commit decides for all.
        """
        with self._explained():
            outer = self._thread.connection
            if outer is not None:
                with outer.begin_nested():
                    yield outer
                return
            with self._engine.begin() as connection:
                self._thread.connection = connection
                try:
                    yield connection
                finally:
                    self._thread.connection = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view of what is committed; inside `begin` of the same thread, of the open transaction."""
        with self._explained():
            outer = self._thread.connection
            if outer is not None:
                yield outer
                return
            with self._engine.connect() as connection:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                with connection.begin():
                    yield connection

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """PostgreSQL's errors as instructions (Retry) and sentences (WindvaneError)."""
        try:
            yield
        except TimeoutError as e:
            raise Retry(f"Every connection to {self.name} is in use by this worker. Nothing was done.") from e
        except DBAPIError as e:
            explained = self._explain(e)
            if explained is None:
                raise
            raise explained from e

    def _explain(self, error: DBAPIError) -> Exception | None:
        state = getattr(error.orig, "sqlstate", None) or ""
        said = " ".join(str(error.orig).split())
        if state in ("40001", "40P01", "55P03"):
            return Retry(f"{self.name} was busy with another writer ({said}). Nothing was done.", after=0.2)
        if state.startswith("53"):
            return Retry(f"{self.name} has run out of something ({said}). Free it; the work goes on by itself.", 10.0)
        if state == "25006":
            return Retry(f"{self.name} takes no writes at the moment ({said}): is it a standby? Look at postgres.url.")
        if state == "42501":
            return WindvaneError(
                f"The user of postgres.url may not do this in {self.name} ({said}). "
                "Make it the owner of the database, or grant it what is missing."
            )
        if error.connection_invalidated or state.startswith(("08", "57P")) or state == "25P03":
            return Retry(f"The connection to {self.name} was lost ({said}). The work goes on once the server is back.")
        if state or not type(error.orig).__name__.startswith(("OperationalError", "ConnectionTimeout")):
            return None
        return self._not_connected(said)

    def _not_connected(self, said: str) -> Exception:
        """libpq gives no code for a connection that never was: only words, English unless the server's were set."""
        if any(word in said for word in _REFUSED):
            return WindvaneError(
                f"{self.name} refused the connection: {said}. Correct the user, the password or the TLS settings in "
                "postgres.url (WINDVANE_POSTGRES__URL); characters such as @ : / in a password are written %40 %3A %2F."
            )
        if "does not exist" in said:
            return WindvaneError(f"{self.name} cannot be opened: {said}. Create it, or correct postgres.url.")
        return Retry(
            f"{self.name} cannot be reached: {said}. Start the server or correct postgres.url "
            "(WINDVANE_POSTGRES__URL); the work goes on by itself once it answers.",
            after=2.0,
        )


def open_postgres_control(settings: PostgresSettings, clock: Clock = system_clock) -> SqlControlStore:
    """The control store on `postgres.url`, its tables brought to this program's version. Closing it closes its
    connections. Raises Retry while the server cannot be reached."""
    if settings.url is None:
        raise WindvaneError(f"{_EXPECTED}, found nothing. Set it.")
    db = PostgresDatabase(settings.url.get_secret_value())
    try:
        return SqlControlStore(db, clock, owns_db=True)
    except BaseException:
        db.close()
        raise


def parse(url: str) -> URL:
    """The url with psycopg as its driver. No message holds the url itself: it has a password in it."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise WindvaneError(f"{_EXPECTED}, found something else. Correct it.") from None
    if parsed.drivername not in _DRIVERS:
        raise WindvaneError(f"{_EXPECTED}, found one that begins with {parsed.drivername}://. Correct it.")
    if "@" in (parsed.host or "") + (parsed.database or ""):
        raise WindvaneError(f"{_EXPECTED}, found a second @ in it. Write an @ in the user or the password as %40.")
    return parsed.set(drivername="postgresql+psycopg")


def where(url: URL) -> str:
    """host:port/database, for people."""
    hosts = url.host or url.query.get("host") or "localhost"
    host = hosts if isinstance(hosts, str) else ",".join(hosts)
    port = f":{url.port}" if url.port else ""
    return f"{host}{port}/{url.database or ''}"


def _set_up_session(connection: Any, _record: Any) -> None:
    for statement in _SESSION:
        connection.execute(statement)
    connection.commit()
