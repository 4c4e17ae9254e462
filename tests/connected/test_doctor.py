"""The doctor on real servers: fresh, in order, and with something amiss."""

import secrets

from pydantic import SecretStr
from sqlalchemy import text

from pipeline.bus.kafka import KafkaBus
from pipeline.control import migrations
from pipeline.control.postgres import PostgresDatabase, open_postgres_control, parse
from pipeline.doctor_servers import Check, elasticsearch, kafka, postgres, server_checks
from pipeline.settings import ElasticsearchSettings, KafkaSettings, PostgresSettings, Settings
from pipeline.store.elasticsearch import ElasticsearchOpinionStore
from pipeline.store.es_client import Connection
from tests.connected.test_control_postgres import schema
from tests.contract.samples import opinion


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.what: check for check in checks}


def test_postgres(postgres_server) -> None:
    with schema(postgres_server.address) as url:
        settings = PostgresSettings(url=SecretStr(url))
        server, tables = postgres(settings)
        assert server.ok and postgres_server.version.split(".")[0] in server.found
        assert tables == Check("control tables", True, "none yet; the first worker that starts makes them")
        open_postgres_control(settings).close()
        assert by_name(postgres(settings))["control tables"].found == f"version {migrations.HEAD}"
        db = PostgresDatabase(url)
        for version, says in (("0000", "pending"), ("9999", "this program knows")):
            with db.begin() as connection:
                connection.execute(text(f"UPDATE {migrations.VERSION_TABLE} SET version_num = '{version}'"))
            check = by_name(postgres(settings))["control tables"]
            assert not check.ok and says in check.found and check.do
        db.close()


def test_a_postgres_user_who_may_not_make_tables_is_told(postgres_server) -> None:
    with schema(postgres_server.address) as url:
        db, name, password = PostgresDatabase(url), f"u{secrets.token_hex(4)}", secrets.token_hex(8)
        with db.begin() as connection:
            connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'"))
            connection.execute(
                text(f"GRANT USAGE ON SCHEMA {connection.execute(text('SELECT current_schema()')).scalar()} TO {name}")
            )
        theirs = parse(url).set(username=name, password=password, drivername="postgresql")
        settings = PostgresSettings(url=SecretStr(theirs.render_as_string(hide_password=False)))
        check = by_name(postgres(settings))["control tables"]
        assert not check.ok and "may not make tables" in check.found
        with db.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {name}"))
            connection.execute(text(f"DROP ROLE {name}"))
        db.close()


def test_kafka(kafka_server) -> None:
    settings = KafkaSettings(servers=kafka_server.address, prefix=f"doctor-{secrets.token_hex(4)}.", partitions=2)
    cluster, topics = kafka(settings)
    assert cluster.ok and "Kafka" in cluster.found
    assert topics.ok and "yet" in topics.found
    bus = KafkaBus(settings)
    bus.ensure_topics()
    bus.close()
    topics = by_name(kafka(settings))["kafka topics"]
    assert topics.ok and topics.found.endswith("are there")
    more = settings.model_copy(update={"partitions": 3})
    assert "other than the setting says" in by_name(kafka(more))["kafka topics"].found


def test_elasticsearch(elasticsearch_server) -> None:
    settings = ElasticsearchSettings(url=elasticsearch_server.address, index=f"doctor-{secrets.token_hex(4)}")
    server, template = elasticsearch(settings)
    assert server.ok and elasticsearch_server.version in server.found
    assert template.ok and "yet" in template.found
    store = ElasticsearchOpinionStore(settings)
    store.write([opinion()])
    assert by_name(elasticsearch(settings))["index template"].found.endswith("over 1 month(s) of opinions")
    connection = Connection(settings)
    connection.request("DELETE", f"/_index_template/{settings.index}")
    template = by_name(elasticsearch(settings))["index template"]
    assert not template.ok and "missing" in template.found and "windvane worker index" in template.do
    store.drop_months(0)
    connection.close()
    store.close()


def test_a_refused_key_is_said(secure_elasticsearch_server) -> None:
    given = {"url": secure_elasticsearch_server.address, "api_key": secrets.token_urlsafe(24)}
    [check, *_] = server_checks(Settings(elasticsearch=given))
    assert not check.ok and "elasticsearch.api_key" in check.found
    assert given["api_key"] not in str(check)
