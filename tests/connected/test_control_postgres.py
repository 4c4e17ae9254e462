"""The PostgreSQL control store passes the contract; many workers share it and none sends what another is sending."""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import text

from pipeline.control import migrations
from pipeline.control.base import ControlStore, Subscription, Watch
from pipeline.control.models import Base
from pipeline.control.postgres import PostgresDatabase, open_postgres_control, parse
from pipeline.control.sql import SqlControlStore
from pipeline.errors import Retry, WindvaneError
from pipeline.settings import PostgresSettings
from tests.contract.control_contract import WEB, ControlStoreContract, delivery, label
from tests.contract.samples import NOON, after, alert

pytestmark = pytest.mark.connected
_numbers = itertools.count()


@contextmanager
def schema(server: str) -> Iterator[str]:
    """The url of an empty schema on the server, dropped in the end."""
    name = f"t{random.SystemRandom().getrandbits(48):x}_{next(_numbers)}"
    db = PostgresDatabase(server)
    with db.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    url = parse(server).update_query_dict({"options": f"-csearch_path={name}"})
    yield url.set(drivername="postgresql").render_as_string(hide_password=False)
    with db.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
    db.close()


@pytest.fixture
def url(postgres_server) -> Iterator[str]:
    with schema(postgres_server.address) as url:
        yield url


def opened(url: str) -> SqlControlStore:
    return open_postgres_control(PostgresSettings(url=SecretStr(url)), clock=lambda: NOON)


class TestPostgresControlStore(ControlStoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, postgres_server) -> None:
        self.address = postgres_server.address

    @contextmanager
    def fresh(self) -> Iterator[Callable[[], ControlStore]]:
        stores: list[ControlStore] = []
        with schema(self.address) as url:

            def open_store() -> ControlStore:
                stores.append(opened(url))
                return stores[-1]

            try:
                yield open_store
            finally:
                for store in stores:
                    store.close()


def test_the_migrated_tables_are_the_models(url: str) -> None:
    opened(url).close()
    db = PostgresDatabase(url)

    def ours(_object: object, name: str | None, kind: str, _reflected: bool, _compared: object) -> bool:
        return kind != "table" or name != migrations.VERSION_TABLE

    with db.read() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": ours, "compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        collations = connection.execute(
            text(
                "SELECT DISTINCT coalesce(collation_name, '') FROM information_schema.columns "
                "WHERE table_schema = current_schema() AND data_type IN ('text', 'character varying') "
                "AND table_name <> 'control_version'"
            )
        )
        assert collations.scalars().all() == ["C"]  # lists sort as they do on SQLite, whatever the server's locale
    db.close()


def test_many_workers_that_start_together_migrate_once(url: str) -> None:
    barrier = threading.Barrier(8)

    def start(_: int) -> SqlControlStore:
        barrier.wait()
        return opened(url)

    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(start, range(8)))
    stores[0].record_alert(alert(), [])
    assert all(store.alert_events() == [alert()] for store in stores)
    for store in stores:
        store.close()


def test_tables_of_a_newer_windvane_are_refused(url: str) -> None:
    opened(url).close()
    db = PostgresDatabase(url)
    with db.begin() as connection:
        connection.execute(text(f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9999'"))
    db.close()
    with pytest.raises(WindvaneError, match=r"control tables have version 9999; this program knows 0002.*Upgrade"):
        opened(url)


def test_the_inner_transaction_is_undone_alone_and_the_outer_with_all(url: str) -> None:
    db = PostgresDatabase(url)
    store = SqlControlStore(db)
    with db.begin():
        store.put_checkpoint("kept", b"1")
        with pytest.raises(ZeroDivisionError), db.begin():
            store.put_checkpoint("undone", b"1")
            raise ZeroDivisionError
        assert store.checkpoint("kept") == b"1"  # a reader inside sees it
    assert (store.checkpoint("kept"), store.checkpoint("undone")) == (b"1", None)
    with pytest.raises(ZeroDivisionError), db.begin():
        store.put_checkpoint("kept", b"2")
        raise ZeroDivisionError
    assert store.checkpoint("kept") == b"1"
    db.close()


def test_what_a_webhook_answers_may_hold_any_character(url: str) -> None:
    store = opened(url)
    store.record_alert(alert(), [delivery(alert())])
    store.finish_delivery(delivery(alert()).id, "retry", "nul \0 风 🌬", next_at=NOON)
    assert [d.reason for d in store.deliveries()] == ["nul \ufffd 风 🌬"]
    store.close()


def test_the_same_thing_said_by_many_at_once_is_said_once(url: str) -> None:
    stores = [opened(url) for _ in range(4)]
    barrier = threading.Barrier(4)

    def say(store: ControlStore) -> None:
        for i in range(10):
            barrier.wait()
            store.record_alert(alert(f"e{i}"), [delivery(alert(f"e{i}"))])
            store.put_subscription(Subscription(f"s{i}", "log"))
            store.put_watch(Watch(f"w{i}", "name", "keyword", "k"))
            store.add_feedback(label(f"f{i}", "yes", i))
            store.acknowledge(f"e{i}", "li", after(i))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(say, stores))
    [store, *_] = stores
    assert len(store.alert_events()) == len(store.deliveries()) == len(store.feedback()) == 10
    actions = Counter(row["action"] for row in store.audit(limit=1000))
    assert actions == dict.fromkeys(["put_subscription", "put_watch", "label", "acknowledge"], 10)
    for store in stores:
        store.close()


def fill(store: ControlStore, n: int) -> None:
    store.put_subscription(WEB)
    for i in range(n):
        event = alert(f"e{i}", severity=f"S{1 + i % 3}", at=after(0))
        store.record_alert(event, [delivery(event)])


def test_a_lessee_does_not_wait_for_one_that_is_slow(url: str) -> None:
    db, store = PostgresDatabase(url), opened(url)
    fill(store, 3)
    slow = SqlControlStore(db)
    with db.begin():
        [(taken, _, _)] = slow.lease_deliveries(after(1), 1, 60)  # and its transaction stays open
        start = time.monotonic()
        others = store.lease_deliveries(after(1), 9, 60)
        assert time.monotonic() - start < 5
    assert {taken.id, *(d.id for d, _, _ in others)} == {f"e{i}/1/web" for i in range(3)}
    assert len(others) == 2
    db.close()
    store.close()


def test_a_wrong_password_or_database_is_a_sentence_that_keeps_the_password(postgres_server) -> None:
    right = parse(postgres_server.address)
    if right.password is None:
        pytest.skip("this server asks for no password")
    for url, says in [
        (right.set(password="not-the-one"), r"refused the connection.*password authentication failed.*postgres\.url"),
        (right.set(database="nowhere"), r'"nowhere" does not exist. Create it, or correct postgres\.url'),
    ]:
        text_url = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with pytest.raises(WindvaneError, match=says) as refused:
            opened(text_url)
        assert "not-the-one" not in str(refused.value) and str(right.password) not in str(refused.value)


def test_an_outage_is_a_retry_and_the_same_store_goes_on_after_it(stoppable_postgres) -> None:
    with schema(stoppable_postgres.address) as url:
        through_an_outage(stoppable_postgres, url)


def through_an_outage(server, url: str) -> None:
    store = opened(url)
    store.put_checkpoint("x", b"1")
    with pytest.raises(Retry, match="postgres"), PostgresDatabase(url).begin() as connection:
        connection.execute(text("SELECT 1"))
        server.kill()  # in the middle of a transaction
        connection.execute(text("SELECT 1"))
    with pytest.raises(Retry, match=r"cannot be reached.*postgres\.url"):
        store.put_checkpoint("x", b"2")
    with pytest.raises(Retry):
        opened(url)
    server.start()
    assert store.checkpoint("x") == b"1"  # without a new store: the pool notices that its connections are dead
    store.put_checkpoint("x", b"2")
    server.restart()
    assert store.checkpoint("x") == b"2"
    store.close()
