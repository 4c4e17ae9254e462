"""Apache Kafka (KRaft, one node): 92 jars from Maven Central, no distribution needed."""

import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from tests.connected.servers.base import Missing, OwnServer, as_user, free_port, tail
from tests.connected.servers.cache import installed
from tests.connected.servers.maven import QUICK, java, mvn, repository

VERSION = "4.1.1"
HEAP = "-Xmx512m"
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>windvane.tests</groupId><artifactId>kafka-server</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{version}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
"""


def install(cache: Path) -> Path:
    """The folder whose lib/ holds the broker's jars; fetched where the cache has none."""
    return installed(cache, "kafka", VERSION, _fetch)


def _fetch(folder: Path) -> None:
    with repository(folder.parent) as repo:
        pom = repo / "pom.xml"
        pom.write_text(_POM.format(version=VERSION))
        mvn(repo, "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={folder / 'lib'}")


def properties(data: Path, port: int, controller_port: int) -> str:
    """server.properties of one small node on 127.0.0.1, for tests."""
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data,
        # one node: its internal topics have one copy, and few partitions so that it starts fast
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 2,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # tests join groups and lose members: no waiting for more, and dead ones may be noticed within a second
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 500,
        # a topic that springs up by itself has one partition: a forgotten topic has to be an error instead
        "auto.create.topics.enable": "false",
        "log.cleaner.dedupe.buffer.size": 16 * 2**20,
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())


class Kafka(OwnServer):
    """One broker, its own controller."""

    name = "Kafka"
    ready_within_s = 180.0

    def __init__(self, folder: Path, cache: Path, how: str = "from Maven Central") -> None:
        super().__init__(folder, how)
        self.java, self.home = java(), install(cache)
        self.address = f"127.0.0.1:{self.port}"

    def prepare(self) -> None:
        config = self.folder / "server.properties"
        config.write_text(properties(self.folder / "data", self.port, free_port()))
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        log = self.folder / "format.log"
        with log.open("wb") as out:
            code = subprocess.run(
                [
                    *self._java("-Xmx128m"),
                    "kafka.tools.StorageTool",
                    "format",
                    f"--cluster-id={cluster}",
                    "-c",
                    str(config),
                ],
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
                **as_user(self.user),
            ).returncode
        if code != 0:
            raise Missing(f"Kafka's storage could not be formatted (exit {code}): {tail(log)}")

    def _java(self, *options: str) -> list[str]:
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return [str(self.java), QUICK, *options, quiet, "-cp", f"{self.home}/lib/*"]

    def command(self) -> list[str]:
        return [*self._java(HEAP), "kafka.Kafka", str(self.folder / "server.properties")]

    def probe(self) -> str:
        ask(self.address)
        return VERSION


def ask(address: str, timeout_s: float = 5.0) -> str:
    """The version of the broker at `address`, as far as its protocol tells; raises when it does not take part yet."""
    from kafka import KafkaAdminClient

    ms = int(timeout_s * 1000)
    admin = KafkaAdminClient(bootstrap_servers=address.split(","), request_timeout_ms=ms, bootstrap_timeout_ms=ms)
    try:
        brokers = admin.describe_cluster()["brokers"]
        if not brokers:
            raise ConnectionError(f"the cluster at {address} has no broker yet")
        return ".".join(str(n) for n in admin.get_broker_version_data(brokers[0]["broker_id"]).broker_version)
    finally:
        admin.close()
