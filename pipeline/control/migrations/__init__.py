"""Bringing the control tables to this program's version, at every opening. Alembic is imported only when there is work.

A change: edit models.py, then write versions/<next>.py by hand after 0001.py and raise HEAD. The unit tests compare
the migrated tables with the models.
"""

from pathlib import Path

from sqlalchemy import Connection, func, inspect, select, text

HEAD = "0002"
VERSION_TABLE = "control_version"
_LOCK = 0x77696E64  # "wind": whoever migrates a PostgreSQL database holds this advisory lock


def current(connection: Connection) -> str | None:
    """The version of the tables as they are; None: there are none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()


def upgrade(connection: Connection) -> str:
    """Run what is missing, inside the caller's transaction. Returns the version then: HEAD, or a newer Windvane's.

    Of many that start together one migrates and the others wait for it: SQLite has one writer, PostgreSQL a lock that
    ends with the transaction.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    version = current(connection)
    if version is not None and version >= HEAD:
        return version
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
    return HEAD
