"""A control store of an earlier Windvane is brought to this one, and what was in it keeps its way."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect, text

from pipeline.control import migrations
from pipeline.control.sql import SqlControlStore
from pipeline.database import Database
from tests.contract.samples import NOON


def go(connection: Connection, verb: str, version: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    getattr(command, verb)(config, version)


def test_what_was_there_keeps_its_way(tmp_path) -> None:
    db = Database(tmp_path / "old.sqlite3")
    with db.begin() as connection:
        go(connection, "upgrade", "0001")
        connection.execute(
            text(
                "INSERT INTO control_subscriptions (id, channel, target, keys, severities, language, active) "
                "VALUES ('hook', 'webhook', 'https://example.org', '[]', '[\"S1\"]', 'zh', 1)"
            )
        )
        for id_, state in (("done", "accepted"), ("open", "retry")):
            connection.execute(
                text(
                    "INSERT INTO control_deliveries (id, alert_id, seq, subscription_id, channel, severity, alert_at, "
                    "state, attempts, next_at, reason, created_at) VALUES (:id, 'a', 1, 'hook', 'webhook', 'S1', :at, "
                    ":state, 2, :at, '503', :at)"
                ),
                {"id": id_, "state": state, "at": NOON.replace(tzinfo=None).isoformat(" ")},
            )
    store = SqlControlStore(db)
    [hook] = store.subscriptions()
    assert (hook.severities, hook.daily_cap, hook.quiet, hook.digest, hook.s1_at_once) == (("S1",), 0, "", "none", True)
    done, waiting = store.deliveries()
    assert (done.ended_at, waiting.ended_at) == (NOON, None)
    assert (waiting.kind, waiting.lease, waiting.attempts, waiting.bundle) == ("event", 0, 2, "")
    db.close()


def test_it_can_be_taken_back(tmp_path) -> None:
    db = Database(tmp_path / "new.sqlite3")
    SqlControlStore(db)
    with db.begin() as connection:
        go(connection, "downgrade", "0001")
        assert "control_snoozes" not in inspect(connection).get_table_names()
        assert {c["name"] for c in inspect(connection).get_columns("control_subscriptions")} == {
            "id", "channel", "target", "keys", "severities", "language", "active",
        }  # fmt: skip
    SqlControlStore(db)
    db.close()
