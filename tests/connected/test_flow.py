"""The whole distributed run on real servers: what it stores and raises equals the embedded run's, id by id."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.connected import stream
from tests.connected.cluster import Cluster, Servers
from tests.connected.comparing import differences, embedded, recorded_once, same_alerts
from tests.connected.servers.base import Server

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "streams"
WORKERS = ("prepare", "prepare", "story", "classify", "classify", "index", "index", "order", "detect", "record")


@pytest.fixture(scope="module")
def servers(kafka_server: Server, elasticsearch_server: Server, postgres_server: Server) -> Servers:
    return Servers.of(kafka_server, elasticsearch_server, postgres_server)


def flow_equals_embedded(servers: Servers, file: Path, folder: Path) -> list[dict[str, Any]]:
    opinions, alerts = embedded(file, folder / "embedded")
    with Cluster(servers, folder / "workers") as cluster:
        cluster.publish(file, wait=False)
        cluster.start(*WORKERS)
        cluster.wait_until_done()
        assert differences(cluster.opinions(), opinions) == []
        assert same_alerts(cluster.alerts(), alerts) == []
        assert recorded_once(cluster)
        assert cluster.dead_letters() == []
    return alerts


def test_a_replay_by_workers_equals_the_embedded_run(servers: Servers, tmp_path: Path) -> None:
    file = stream.write(tmp_path / "stream.jsonl", stream.rows(1500))
    alerts = flow_equals_embedded(servers, file, tmp_path)
    assert {a["key"] for a in alerts if a["event"] == "fired"} >= set(stream.CRISES)


@pytest.fixture
def crypto(tmp_path: Path) -> Iterator[Path]:
    source = SHARED / "crypto_2022-05_2022-09.jsonl"
    if not source.exists():
        pytest.skip(f"needs {source.name} in ../shared/data/streams")
    file = tmp_path / source.name
    with source.open("rb") as lines:
        file.write_bytes(b"".join(line for line, _ in zip(lines, range(1500), strict=False)))
    yield file


@pytest.mark.data
def test_real_news_by_workers_equals_the_embedded_run(servers: Servers, crypto: Path, tmp_path: Path) -> None:
    flow_equals_embedded(servers, crypto, tmp_path)


def test_reposts_by_several_sources_end_in_one_story(servers: Servers, tmp_path: Path) -> None:
    """Keyed by source, as a crawl publishes, they go over all partitions of `raw` to both prepare workers."""
    rows = list(stream.spread(stories=60, copies=4))
    file = stream.write(tmp_path / "spread.jsonl", rows)
    with Cluster(servers, tmp_path / "workers") as cluster:
        cluster.start("prepare", "prepare", "story", "classify", "index", "order", "detect", "record")
        cluster.publish(file, by_source=True)
        cluster.wait_until_done()
        assert sum(cluster.stores.bus.end("raw", p) > 0 for p in range(4)) > 1
        stories = defaultdict(set)
        for opinion in cluster.opinions().values():
            stories[opinion["attributes"]["story"]].add(opinion["story_id"])
        assert len(stories) == 60
        assert {text: ids for text, ids in stories.items() if len(ids) != 1} == {}
        assert len({next(iter(ids)) for ids in stories.values()}) == 60
