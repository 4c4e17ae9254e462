"""INSERT … ON CONFLICT in the words of the database at hand; SQLite and PostgreSQL agree on the rest."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.control.models import Base


def insert_new(connection: Connection, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert those whose primary key is not there yet; returns how many."""
    inserted = 0
    for row in rows:
        statement = _insert(connection)(model).values(**row).on_conflict_do_nothing()
        inserted += connection.execute(statement).rowcount
    return inserted


def put(connection: Connection, model: type[Base], row: Mapping[str, Any]) -> None:
    """Insert or overwrite by primary key."""
    keys = [c.name for c in model.__table__.primary_key]
    rest = {name: value for name, value in row.items() if name not in keys}
    statement = _insert(connection)(model).values(**row)
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=rest))


def _insert(connection: Connection) -> Any:
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
