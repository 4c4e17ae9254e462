"""Which twin runs is one branch; half a set of servers is a mistake that is said."""

import pytest
from pydantic import SecretStr

from pipeline.bus.sqlite import SqliteBus
from pipeline.cli.common import load_settings
from pipeline.compose import distributed, open_stores
from pipeline.errors import WindvaneError
from pipeline.programs.publish import publish_file
from pipeline.programs.worker import run_worker
from pipeline.settings import ElasticsearchSettings, KafkaSettings, PostgresSettings, Settings

KAFKA = KafkaSettings(servers="127.0.0.1:9092")
ELASTICSEARCH = ElasticsearchSettings(url="http://127.0.0.1:9200")
POSTGRES = PostgresSettings(url=SecretStr("postgresql://127.0.0.1/windvane"))


def test_without_servers_everything_is_in_the_data_folder(tmp_path):
    settings = Settings(data_dir=tmp_path)
    assert not distributed(settings)
    stores = open_stores(settings)
    assert isinstance(stores.bus, SqliteBus)
    stores.close()


def test_all_three_servers_make_it_distributed_and_fewer_are_named():
    assert distributed(Settings(kafka=KAFKA, elasticsearch=ELASTICSEARCH, postgres=POSTGRES))
    with pytest.raises(WindvaneError, match=r"found only kafka\.servers.*Set elasticsearch\.url, postgres\.url"):
        distributed(Settings(kafka=KAFKA))


def test_a_data_folder_asked_for_by_hand_wins_over_the_environment(tmp_path, monkeypatch):
    for name, value in (("KAFKA__SERVERS", "x:1"), ("ELASTICSEARCH__URL", "http://x"), ("POSTGRES__URL", "y://x")):
        monkeypatch.setenv(f"WINDVANE_{name}", value)
    assert distributed(load_settings())
    assert not distributed(load_settings(tmp_path))


def test_workers_without_servers_say_what_to_do(tmp_path):
    with pytest.raises(WindvaneError, match=r"a worker needs servers.*windvane run"):
        run_worker(Settings(), "classify", None)
    with pytest.raises(WindvaneError, match=r"one of prepare, story.*found 'clasify'"):
        run_worker(Settings(), "clasify", None)
    file = tmp_path / "x.jsonl"
    file.write_text('{"text": "a"}\n')
    with pytest.raises(WindvaneError, match=r"publishing to Kafka needs servers"):
        publish_file(Settings(), file, 0, lambda done, text: None)
