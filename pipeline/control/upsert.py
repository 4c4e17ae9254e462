"""INSERT … ON CONFLICT in the words of the database at hand; SQLite and PostgreSQL agree on the rest."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from pipeline.control.models import Base


def insert_new(connection: Connection, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert those whose primary key is not there yet; returns how many."""
    inserted = 0
    for row in rows:
        statement = _insert(connection)(model).values(**row).on_conflict_do_nothing()
        # without the option psycopg's count of an INSERT is forgotten (-1)
        inserted += connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount
    return inserted


def put(connection: Connection, model: type[Base], row: Mapping[str, Any]) -> None:
    """Insert or overwrite by primary key."""
    keys = [c.name for c in model.__table__.primary_key]
    rest = {name: value for name, value in row.items() if name not in keys}
    statement = _insert(connection)(model).values(**row)
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=rest))


def put_if_changed(connection: Connection, model: type[Base], row: Mapping[str, Any]) -> bool:
    """Insert or overwrite by primary key; False when it is there just so. Of two who put the same at once, one is told
    True. `row` holds every column."""
    if insert_new(connection, model, [row]):
        return True
    same = [c == row[c.name] for c in model.__table__.primary_key]
    there = connection.execute(select(model.__table__).where(*same).with_for_update()).one_or_none()
    if there is not None and dict(there._mapping) == dict(row):
        return False
    put(connection, model, row)
    return True


def _insert(connection: Connection) -> Any:
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
