"""The environment's address first; then one of our own; and where neither is to be had, a sentence that helps."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.connected.servers.__main__ import exports, settings
from tests.connected.servers.base import External, Missing, OwnServer
from tests.connected.servers.elasticsearch import configuration
from tests.connected.servers.find import KINDS, Kind, find, split_login
from tests.connected.servers.kafka import properties
from tests.connected.servers.postgres import newest

ECHO = "import http.server, sys; http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]))"


class Small(OwnServer):
    """A server of the standard library, to see starting and stopping with."""

    name = "Small"
    ready_within_s = 30.0
    program = ECHO

    def __init__(self, folder: Path, cache: Path) -> None:
        super().__init__(folder, "made here")
        self.address = f"127.0.0.1:{self.port}"
        self.prepared_times = 0

    def prepare(self) -> None:
        self.prepared_times += 1

    def command(self) -> list[str]:
        return [sys.executable, "-c", self.program, str(self.port)]

    def probe(self) -> str:
        return "1"


class Stubborn(Small):
    """Does not end when it is asked to."""

    program = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + ECHO


class Broken(Small):
    program = "import sys; sys.exit('no room on the disk')"


def never(*_: object) -> Path:
    raise Missing("java 17 or newer is needed and none was found: install it")


def kind(make: Any = Small, install: Any = never, ask: Any = lambda address: "9.9") -> Kind:
    return Kind("Small", "WINDVANE_TEST_SMALL", "0 MB", ask, install, make)


def test_an_address_in_the_environment_comes_first() -> None:
    server = find(kind(make=never), {"WINDVANE_TEST_SMALL": "there:1"})
    assert isinstance(server, External)
    assert (server.address, server.version) == ("there:1", "9.9")
    assert str(server) == "Small 9.9 at there:1 (given by WINDVANE_TEST_SMALL)"
    with pytest.raises(Missing, match="not ours to stop"):
        server.stop()
    server.close()


def test_an_address_that_does_not_answer_is_an_error_even_where_we_could_start_one() -> None:
    def refused(address: str) -> str:
        raise ConnectionRefusedError("refused,\n\ttwice")

    with pytest.raises(Missing, match=r"WINDVANE_TEST_SMALL names a server that does not answer \(refused, twice\)"):
        find(kind(ask=refused), {"WINDVANE_TEST_SMALL": "there:1"})


def test_otherwise_one_of_our_own(tmp_path: Path) -> None:
    server = find(kind(), {}, tmp_path)
    assert server.running and server.stoppable and server.how == "made here"
    assert isinstance(server, OwnServer) and server.folder.exists()
    server.close()
    assert not server.running and not server.folder.exists()


def test_a_machine_without_java_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Missing) as said:
        find(kind(make=never), {}, tmp_path)
    assert str(said.value) == (
        "Small: java 17 or newer is needed and none was found: install it; or set WINDVANE_TEST_SMALL to one that runs"
    )


def test_one_that_ends_at_once_says_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(Missing, match=r"ended with code 1.*no room on the disk"):
        find(kind(make=Broken), {}, tmp_path)


@pytest.mark.parametrize("end", ["stop", "kill", "restart"])
def test_stopped_or_killed_it_starts_again_on_its_port_with_its_folder(tmp_path: Path, end: str) -> None:
    server = Small(tmp_path / "s", tmp_path)
    server.start()
    pid, address = server.pid, server.address
    getattr(server, end)()
    assert server.running == (end == "restart")
    server.start()
    assert server.running and server.address == address and server.prepared_times == 1
    assert server.pid != pid
    server.close()


def test_starting_twice_starts_one(tmp_path: Path) -> None:
    server = Small(tmp_path / "s", tmp_path)
    server.start()
    pid = server.pid
    server.start()
    assert server.pid == pid
    server.close()
    server.stop()


def test_one_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    server = Stubborn(tmp_path / "s", tmp_path)
    server.stop_within_s = 0.5
    server.start()
    process, began = server.process, time.monotonic()
    server.stop()
    assert process is not None and process.returncode == -signal.SIGKILL
    assert time.monotonic() - began < 20
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", server.port)) != 0


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (Linux)")
def test_it_does_not_outlive_a_run_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from tests.unit.servers.test_find import Small\n"
        "server = Small(pathlib.Path(sys.argv[1]) / 's', pathlib.Path(sys.argv[1]))\n"
        "server.start(); print(server.port, flush=True); time.sleep(60)"
    )
    run = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    port = int(run.stdout.readline())
    run.kill()
    run.wait()
    run.stdout.close()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.05)
    raise AssertionError("the server is still there")


def test_a_login_is_cut_from_the_address() -> None:
    assert split_login("http://elastic:p%40ss@h:9200/x") == ("http://h:9200/x", "elastic", "p@ss")
    assert split_login("https://h:9200") == ("https://h:9200", "", "")


def test_a_given_server_with_security_has_its_login_apart() -> None:
    asked = replace(KINDS["secure_elasticsearch"], ask=lambda address: "8.19.8")
    server = find(asked, {asked.variable: "http://elastic:secret@h:9200"})
    assert (server.address, server.username, server.password) == ("http://h:9200", "elastic", "secret")
    assert "secret" not in str(server)


def test_a_password_is_not_printed() -> None:
    server = find(kind(), {"WINDVANE_TEST_SMALL": "postgresql://user:secret@h:5432/d"})
    assert str(server) == "Small 9.9 at postgresql://user:***@h:5432/d (given by WINDVANE_TEST_SMALL)"


def test_what_a_person_exports() -> None:
    found = {
        "kafka": External("Kafka", "h:9092", "4.1", "x"),
        "secure_elasticsearch": External("Elasticsearch with security", "http://h:1", "8", "x"),
        "postgres": External("PostgreSQL", "postgresql://u:a b@h/d", "18", "x"),
    }
    assert exports(settings(found)) == (
        "export WINDVANE_KAFKA__SERVERS=h:9092\nexport WINDVANE_POSTGRES__URL='postgresql://u:a b@h/d'\n"
    )


def test_kafkas_properties_are_those_of_one_node(tmp_path: Path) -> None:
    read = dict(line.split("=", 1) for line in properties(tmp_path, 9092, 9093).splitlines())
    assert read["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert read["controller.quorum.voters"] == "1@127.0.0.1:9093"
    assert read["log.dirs"] == str(tmp_path)
    assert {read[k] for k in read if k.endswith(("replication.factor", "min.isr"))} == {"1"}
    assert read["auto.create.topics.enable"] == "false"
    assert read["group.initial.rebalance.delay.ms"] == "0"


@pytest.mark.parametrize("secure", [False, True])
def test_elasticsearchs_configuration(tmp_path: Path, secure: bool) -> None:
    import yaml

    read = yaml.safe_load(configuration(tmp_path, 9200, 9300, secure))
    assert (read["http.port"], read["transport.port"]) == (9200, 9300)
    assert (read["network.host"], read["discovery.type"]) == ("127.0.0.1", "single-node")
    assert read["xpack.security.enabled"] is secure
    assert not [key for key in read if key.startswith("ingest.")]  # the module is not there: it would refuse to start


def test_the_newest_postgres_of_the_package(tmp_path: Path) -> None:
    for name in ("pginstall", "pginstall18", "pginstall9", "pginstall19"):
        (tmp_path / name / "bin").mkdir(parents=True)
    for name in ("pginstall", "pginstall18", "pginstall9"):
        (tmp_path / name / "bin" / "postgres").touch()
    assert newest(tmp_path).name == "pginstall18"
    with pytest.raises(Missing, match="there is none"):
        newest(tmp_path / "pginstall")
