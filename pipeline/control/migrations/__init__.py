"""Bringing the control tables to this program's version, at every opening. Alembic is imported only when there is work.

A change: edit models.py, then write versions/<next>.py by hand after 0001.py and raise HEAD. The unit tests compare
the migrated tables with the models.
"""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

HEAD = "0001"
VERSION_TABLE = "control_version"


def current(connection: Connection) -> str | None:
    """The version of the tables as they are; None: there are none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()


def upgrade(connection: Connection) -> None:
    """Run what is missing, inside the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
