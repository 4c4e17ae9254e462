"""The servers that everything else here rests on: they keep their data over a restart and over a kill -9."""

import json
import urllib.error
import urllib.request
import uuid

import psycopg
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic

from tests.connected.servers.base import Server


def test_kafka_keeps_what_it_acknowledged(stoppable_kafka: Server) -> None:
    server, topic = stoppable_kafka, f"smoke-{uuid.uuid4()}"
    admin = KafkaAdminClient(bootstrap_servers=server.address)
    admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    admin.close()
    produce(server.address, topic, b"before")
    pid, address = server.pid, server.address
    server.restart()
    assert server.address == address and server.pid != pid
    produce(server.address, topic, b"between")
    server.kill()
    assert not server.running
    server.start()
    consumer = KafkaConsumer(
        topic, bootstrap_servers=server.address, auto_offset_reset="earliest", consumer_timeout_ms=30_000
    )
    assert [next(consumer).value for _ in range(2)] == [b"before", b"between"]
    consumer.close()


def produce(address: str, topic: str, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=address, acks="all", enable_idempotence=True)
    producer.send(topic, value).get(timeout=60)
    producer.close()


def test_kafka_makes_no_topic_by_itself(stoppable_kafka: Server) -> None:
    name = f"smoke-{uuid.uuid4()}"
    consumer = KafkaConsumer(name, bootstrap_servers=stoppable_kafka.address)
    consumer.poll(timeout_ms=2000)
    consumer.close()
    admin = KafkaAdminClient(bootstrap_servers=stoppable_kafka.address)
    assert name not in admin.list_topics()
    admin.close()


def call(server: Server, method: str, path: str, body: object = None, authorization: str = "") -> dict[str, object]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": authorization} if authorization else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.address + path, data=data, headers=headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        return dict(json.load(answer))


def test_elasticsearch_keeps_what_it_acknowledged(stoppable_elasticsearch: Server) -> None:
    server, index = stoppable_elasticsearch, f"smoke-{uuid.uuid4()}"
    mapping = {"properties": {"text": {"type": "text", "analyzer": "cjk"}}}
    call(server, "PUT", f"/{index}", {"settings": {"number_of_replicas": 0}, "mappings": mapping})
    call(server, "PUT", f"/{index}/_doc/1", {"text": "恒大又一次违约"})
    server.restart()
    call(server, "PUT", f"/{index}/_doc/2", {"text": "恒大的债务"})
    server.kill()
    server.start()
    call(server, "POST", f"/{index}/_refresh")
    found = call(server, "GET", f"/{index}/_count", {"query": {"match": {"text": "恒大"}}})
    assert found["count"] == 2
    call(server, "DELETE", f"/{index}")


def test_elasticsearch_with_security_wants_a_login(secure_elasticsearch_server: Server) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        call(secure_elasticsearch_server, "GET", "/")
    assert secure_elasticsearch_server.username and secure_elasticsearch_server.password


def test_postgres_keeps_what_it_committed(stoppable_postgres: Server) -> None:
    server, table = stoppable_postgres, f"smoke_{uuid.uuid4().hex}"
    with psycopg.connect(server.address) as connection:
        connection.execute(f"CREATE TABLE {table} (n int)")  # type: ignore[call-overload]
        connection.execute(f"INSERT INTO {table} VALUES (1)")  # type: ignore[call-overload]
    server.restart()
    with psycopg.connect(server.address) as connection:
        connection.execute(f"INSERT INTO {table} VALUES (2)")  # type: ignore[call-overload]
    server.kill()
    server.start()
    with psycopg.connect(server.address) as connection:
        rows = connection.execute(f"SELECT n FROM {table} ORDER BY n").fetchall()  # type: ignore[call-overload]
        connection.execute(f"DROP TABLE {table}")  # type: ignore[call-overload]
    assert rows == [(1,), (2,)]
