"""`windvane reindex` and `windvane retention` where there is nothing for them to do."""

import pytest
from typer.testing import CliRunner

from pipeline.bus.sqlite import SqliteBus
from pipeline.cli.app import app
from pipeline.database import Database
from pipeline.errors import WindvaneError
from pipeline.records import encode
from pipeline.reindexing import _Topic
from tests.contract.samples import after, opinion


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("reindex", "found the embedded one, which is written in one transaction with its log"),
        ("retention", "expected the address of Elasticsearch in elasticsearch.url"),
    ],
)
def test_the_embedded_store_needs_neither(command: str, says: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [command])
    assert isinstance(result.exception, WindvaneError)
    assert says in str(result.exception)


class Partitioned:
    """Two partitions, each a topic of its own below."""

    def __init__(self, bus: SqliteBus) -> None:
        self._bus = bus

    def partitions(self, topic):
        return 2

    def read(self, topic, start=0, partition=0):
        return self._bus.read(f"{topic}{partition}", start)

    def committed(self, group, topic, partition=0):
        return self._bus.committed(group, f"{topic}{partition}")

    def end(self, topic, partition=0):
        return self._bus.end(f"{topic}{partition}")


def test_partitions_are_read_in_the_order_of_scoring_and_on_from_there() -> None:
    db = Database(None)
    bus = SqliteBus(db)
    for partition, seconds in ((0, (1, 4, 5)), (1, (2, 3, 6))):
        bus.publish(f"opinions{partition}", [("", encode(opinion(str(s), scored_at=after(s)))) for s in seconds])
    bus.publish("opinions1", [("", b"{}")])
    topic = _Topic(Partitioned(bus))  # type: ignore[arg-type]
    assert topic.held == 7
    assert [o.opinion_id for o in topic.opinions()] == list("123456")
    assert (topic.read, topic.unreadable) == (7, 1)
    bus.publish("opinions0", [("", encode(opinion("7")))])
    assert [o.opinion_id for o in topic.opinions()] == ["7"]
    db.close()
