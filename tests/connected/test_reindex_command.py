"""`windvane reindex` and `windvane retention` as a person runs them, on all three servers."""

import json
import uuid

import pytest
from typer.testing import CliRunner

from pipeline.bus.kafka import KafkaBus
from pipeline.cli.app import app
from pipeline.records import encode
from pipeline.settings import KafkaSettings
from pipeline.store.elasticsearch import ElasticsearchOpinionStore
from tests.connected.elasticsearch_alias import an_alias
from tests.contract.samples import opinion

pytestmark = pytest.mark.connected


def test_the_store_is_rebuilt_and_old_months_go(kafka_server, elasticsearch_server, postgres_server) -> None:
    prefix = f"test-{uuid.uuid4().hex[:12]}."
    some = [opinion(f"{i:03}", f"第{i}", story_id=f"s{i % 7}") for i in range(100)]
    bus = KafkaBus(KafkaSettings(servers=kafka_server.address, prefix=prefix, partitions=3))
    bus.publish("opinions", [(o.story_id, encode(o)) for o in some])
    assert bus.partitions("opinions") == 3
    bus.close()
    with an_alias(elasticsearch_server.address) as settings:
        store = ElasticsearchOpinionStore(settings)
        store.write([opinion("damage"), opinion("005", "damaged")])
        environment = {
            "WINDVANE_KAFKA__SERVERS": kafka_server.address,
            "WINDVANE_KAFKA__PREFIX": prefix,
            "WINDVANE_ELASTICSEARCH__URL": elasticsearch_server.address,
            "WINDVANE_ELASTICSEARCH__INDEX": settings.index,
            "WINDVANE_POSTGRES__URL": postgres_server.address,
        }
        run = CliRunner(env=environment)
        told = json.loads(run.invoke(app, ["reindex", "--json"], catch_exceptions=False).stdout)
        assert told == {"texts": 100, "carried": 0, "refused": 0, "unreadable": 0, "reason": ""}
        assert [(o.opinion_id, o.text) for o in store.scan()] == [(o.opinion_id, o.text) for o in some]
        told = json.loads(run.invoke(app, ["retention", "--months", "3", "--json"], catch_exceptions=False).stdout)
        assert told == {"kept_months": 3, "dropped": [f"{settings.index}-2024.03-r2"]}
        assert store.stats()["opinions"] == 0
        store.close()
