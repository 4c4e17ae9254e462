"""What the doctor says of servers: nothing set, nobody there, somebody silent, things amiss."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.deliver.secrets import new_key
from pipeline.doctor import examine
from pipeline.doctor_servers import Check, ask, secret_key, server_checks, tables_check, template_check, topic_checks
from pipeline.errors import Retry, WindvaneError
from pipeline.settings import DeliverSettings, Settings


@pytest.fixture
def closed() -> Iterator[str]:
    """An address at which nobody listens and nobody else will."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{s.getsockname()[1]}"


def test_without_servers_it_says_embedded(tmp_path) -> None:
    checks = {c.what: c for c in examine(Settings(data_dir=tmp_path))}
    assert checks["servers"].ok and "embedded" in checks["servers"].found


def test_servers_that_are_away_are_named_with_what_to_do_and_without_secrets(closed: str) -> None:
    settings = Settings(
        kafka={"servers": closed},
        elasticsearch={"url": f"http://elastic:hidden@{closed}"},
        postgres={"url": f"postgresql://windvane:hidden@{closed}/windvane"},
        deliver={"secret_key": new_key()},
    )
    *checks, key = server_checks(settings, answer_s=1.0)
    assert key.ok and key.what == "secret key"
    assert [(c.what, c.ok) for c in checks] == [("kafka", False), ("elasticsearch", False), ("postgres", False)]
    for check in checks:
        assert closed in check.found and "no answer within" not in check.found
        assert f"WINDVANE_{check.what.upper()}__" in check.do
    assert "hidden" not in str(checks)


def test_some_of_the_three_is_not_enough(closed: str) -> None:
    [_, check, _] = server_checks(Settings(postgres={"url": f"postgresql://u:p@{closed}/x"}), answer_s=1.0)
    assert check == Check(
        "servers", False, "postgres.url set, kafka.servers, elasticsearch.url not",
        "Set kafka.servers and elasticsearch.url too: workers need all three.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("key", "ok", "says"),
    [
        (None, False, "stored as they are, and messages have no links"),
        (" ", False, "stored as they are"),
        ("short", False, "44 characters"),
        (f"{new_key()},{new_key()}", True, "sealed"),
    ],
    ids=["none", "blank", "short", "two"],
)
def test_without_a_key_of_its_own_a_distributed_run_seals_nothing(key: str | None, ok: bool, says: str) -> None:
    check = secret_key(DeliverSettings(secret_key=key))
    assert check.ok == ok and says in check.found and "windvane secret-key" in (check.do or "windvane secret-key")


def test_a_server_that_never_answers_costs_only_the_time_limit() -> None:
    over = threading.Event()
    began = time.monotonic()
    checks = ask(
        {"kafka.servers": lambda: over.wait(60) and [], "postgres.url": lambda: [Check("postgres", True, "18")]}, 0.2
    )
    over.set()
    assert time.monotonic() - began < 5
    assert [(c.what, c.ok) for c in checks] == [("kafka", False), ("postgres", True)]
    assert "no answer within 0.2 s" in checks[0].found and "kafka.servers" in checks[0].do


@pytest.mark.parametrize("error", [Retry("away"), WindvaneError("refused"), ZeroDivisionError("a bug")])
def test_whatever_goes_wrong_is_a_finding(error: Exception) -> None:
    def probe() -> list[Check]:
        raise error

    [check] = ask({"postgres.url": probe}, 5)
    assert not check.ok and str(error) in check.found and "postgres" in check.do


@pytest.mark.parametrize(
    "there, ok, says",
    [
        ({}, True, "none of w.* yet"),
        ({"raw": 6, "timeline": 1}, True, "all 2 are there"),
        ({"raw": 12, "timeline": 1}, True, r"other than the setting says: raw (12)"),
        ({"raw": 6}, False, "missing: w.timeline"),
        ({"raw": 6, "timeline": 6}, False, "w.timeline has 6 partitions; it must have 1"),
    ],
)
def test_topics(there: dict[str, int], ok: bool, says: str) -> None:
    [check] = topic_checks("w.", {"raw": 6, "timeline": 1}, there)
    assert (check.ok, bool(check.do)) == (ok, not ok)
    assert says in check.found


@pytest.mark.parametrize("there, months, ok", [(True, 3, True), (False, 0, True), (False, 3, False)])
def test_the_index_template(there: bool, months: int, ok: bool) -> None:
    assert template_check("opinions", there, months).ok is ok


@pytest.mark.parametrize(
    "found, may_make, ok, says",
    [
        (None, True, True, "none yet"),
        (None, False, False, "may not make tables"),
        ("0002", False, True, "version 0002"),
        ("0001", True, False, "migrations up to 0002 are pending"),
        ("0003", True, False, "version 0003; this program knows 0002"),
    ],
)
def test_the_control_tables(found: str | None, may_make: bool, ok: bool, says: str) -> None:
    check = tables_check(found, "0002", may_make)
    assert (check.ok, bool(check.do)) == (ok, not ok)
    assert says in check.found
