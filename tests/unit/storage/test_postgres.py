"""PostgreSQL without a server: what is wrong is said in a sentence that names postgres.url and keeps the password."""

import socket

import pytest
from pydantic import SecretStr

from pipeline.control.postgres import open_postgres_control, parse, where
from pipeline.errors import Retry, WindvaneError
from pipeline.settings import PostgresSettings


def opened(url: str | None) -> None:
    open_postgres_control(PostgresSettings(url=None if url is None else SecretStr(url)))


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_spelling_of_the_scheme_is_taken(scheme: str) -> None:
    url = parse(f"{scheme}://u:p%40ss@db:6432/windvane?sslmode=require")
    assert (url.drivername, url.password, where(url)) == ("postgresql+psycopg", "p@ss", "db:6432/windvane")
    assert url.query["sslmode"] == "require"


@pytest.mark.parametrize(
    "url, says",
    [
        (None, "found nothing"),
        ("db.example.org", "found something else"),
        ("postgresql://u:hidden@db:port/x", "found something else"),
        ("mysql://u:hidden@db/x", "begins with mysql"),
        ("postgresql+asyncpg://u:hidden@db/x", r"begins with postgresql\+asyncpg"),
        ("postgresql://u:hid@den@db/x", "second @"),
    ],
)
def test_a_wrong_url_is_a_sentence_without_the_password(url: str | None, says: str) -> None:
    with pytest.raises(WindvaneError, match=rf"Expected postgres\.url .*{says}") as e:
        opened(url)
    assert "hid" not in str(e.value) and "den" not in str(e.value)


def test_a_server_that_is_away_is_a_retry_that_says_where_and_what_to_do() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))  # taken, and nobody listens
        port = s.getsockname()[1]
        with pytest.raises(Retry, match=rf"127\.0\.0\.1:{port}/x cannot be reached.*refused.*postgres\.url") as e:
            opened(f"postgresql://u:hidden@127.0.0.1:{port}/x")
    assert "hidden" not in str(e.value)


def test_a_host_that_is_not_known_is_a_retry_too() -> None:
    with pytest.raises(Retry, match=r"no-such-host\.invalid/x cannot be reached.*postgres\.url"):
        opened("postgresql://u:hidden@no-such-host.invalid/x")
