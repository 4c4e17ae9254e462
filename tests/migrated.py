"""Databases that have the control store's tables already: running the migrations takes 60 ms of a core, a copy of what
they make 2 ms. That the migrations run, and make what the models describe, tests/contract/test_control_*.py say."""

from functools import cache
from pathlib import Path

from pipeline.control.sql import SqlControlStore
from pipeline.database import Database, raw


@cache
def _tables() -> tuple[str, ...]:
    """The statements that make what the migrations make, data included."""
    db = Database(None)
    SqlControlStore(db)
    with db.read() as connection:
        statements = tuple(s for s in raw(connection).iterdump() if s not in ("BEGIN TRANSACTION;", "COMMIT;"))
    db.close()
    return statements


def control_database(path: Path | None = None) -> Database:
    """A new database, in memory without a path, with the control tables; one that is there is only opened."""
    new = path is None or not path.exists()
    db = Database(path)
    if new:
        with db.begin() as connection:
            for statement in _tables():
                connection.exec_driver_sql(statement)
    return db
