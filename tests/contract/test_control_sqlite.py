"""The embedded control store passes the contract; its migrations give the tables that the models describe."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from pipeline.control import migrations
from pipeline.control.base import ControlStore
from pipeline.control.models import Base
from pipeline.control.sql import SqlControlStore
from pipeline.database import Database, raw
from pipeline.errors import WindvaneError
from tests.contract.control_contract import ControlStoreContract
from tests.contract.samples import NOON, alert
from tests.migrated import control_database


class TestSqliteFileControlStore(ControlStoreContract):
    @contextmanager
    def fresh(self) -> Iterator[Callable[[], ControlStore]]:
        opened: list[Database] = []
        with tempfile.TemporaryDirectory() as folder:

            def open_store() -> ControlStore:
                opened.append(control_database(Path(folder) / "windvane.db"))
                return SqlControlStore(opened[-1], clock=lambda: NOON)

            yield open_store
            for db in opened:
                db.close()


class TestSqliteMemoryControlStore(ControlStoreContract):
    @contextmanager
    def fresh(self) -> Iterator[Callable[[], ControlStore]]:
        db = control_database()
        yield lambda: SqlControlStore(db, clock=lambda: NOON)
        db.close()


def test_the_migrated_tables_are_the_models() -> None:
    db = Database(None)
    SqlControlStore(db)

    def ours(_object: object, name: str | None, kind: str, _reflected: bool, _compared: object) -> bool:
        return kind != "table" or ((name or "").startswith("control_") and name != migrations.VERSION_TABLE)

    with db.read() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_head_is_the_last_migration() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert scripts.get_heads() == [migrations.HEAD]


def test_tables_of_a_newer_windvane_are_refused() -> None:
    db = Database(None)
    SqlControlStore(db)
    with db.begin() as connection:
        raw(connection).execute(f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(WindvaneError, match=r"control tables have version 9999; this program knows 0002.*Upgrade"):
        SqlControlStore(db)


def test_an_alert_and_its_deliveries_come_with_the_callers_transaction_or_not_at_all() -> None:
    db = Database(None)
    store = SqlControlStore(db)
    with pytest.raises(ZeroDivisionError), db.begin():
        store.record_alert(alert(), [])
        raise ZeroDivisionError
    assert store.episodes() == store.alert_events() == []
