"""The real servers as fixtures. A missing one skips its tests, with the reason, and is named at the end of the run;
with WINDVANE_REQUIRE_SERVERS=1 it fails them.

    kafka_server, elasticsearch_server, secure_elasticsearch_server, postgres_server
        shared by the whole run: use names of your own on them (topics, indices, schemas)
    stoppable_kafka, stoppable_elasticsearch, stoppable_postgres
        the same where we started it, else one of our own: a test may stop, kill and restart it
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.connected.servers.base import Missing, Server
from tests.connected.servers.find import KINDS, find, ours

FOUND = pytest.StashKey[dict[str, str]]()
MISSING = pytest.StashKey[dict[str, str]]()
TIMEOUT_S = 900  # the first test on a server waits for its start, on a machine that may be busy


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.connected)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(TIMEOUT_S))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(FOUND, {}).values():
        terminalreporter.write_line(f"server: {line}")
    for line in config.stash.get(MISSING, {}).values():
        terminalreporter.write_line(f"server missing: {line}", red=True)


def found_or_missing(request: pytest.FixtureRequest, key: str, look: Callable[[], Server]) -> Server:
    """The server, noted for the end of the run; or the test is skipped (or failed, where servers are required)."""
    stash = request.config.stash
    try:
        server = look()
    except Missing as e:
        stash.setdefault(MISSING, {})[key] = str(e)
        if os.environ.get("WINDVANE_REQUIRE_SERVERS") == "1":
            pytest.fail(f"WINDVANE_REQUIRE_SERVERS=1 and a server is missing. {e}", pytrace=False)
        pytest.skip(str(e))
    stash.setdefault(FOUND, {})[key] = str(server)
    return server


def shared(key: str) -> Callable[[pytest.FixtureRequest], Iterator[Server]]:
    """A session's server."""

    @pytest.fixture(scope="session", name=f"{key}_server")
    def fixture(request: pytest.FixtureRequest) -> Iterator[Server]:
        server = found_or_missing(request, key, lambda: find(KINDS[key], os.environ))
        yield server
        server.close()

    return fixture


def stoppable(key: str) -> tuple[Callable[..., Iterator[Server]], Callable[..., Iterator[Server]]]:
    """A session's server that is ours, and the fixture that hands it to a test and has it running again afterwards."""

    @pytest.fixture(scope="session", name=f"own_{key}_server")
    def own(request: pytest.FixtureRequest) -> Iterator[Server]:
        server: Server = request.getfixturevalue(f"{key}_server")
        if server.stoppable:
            yield server
            return
        mine = found_or_missing(request, f"own {key}", lambda: ours(KINDS[key]))
        yield mine
        mine.close()

    @pytest.fixture(name=f"stoppable_{key}")
    def fixture(request: pytest.FixtureRequest) -> Iterator[Server]:
        server: Server = request.getfixturevalue(f"own_{key}_server")
        yield server
        server.start()  # does nothing where it runs

    return own, fixture


kafka_server = shared("kafka")
elasticsearch_server = shared("elasticsearch")
secure_elasticsearch_server = shared("secure_elasticsearch")
postgres_server = shared("postgres")
own_kafka_server, stoppable_kafka = stoppable("kafka")
own_elasticsearch_server, stoppable_elasticsearch = stoppable("elasticsearch")
own_postgres_server, stoppable_postgres = stoppable("postgres")
