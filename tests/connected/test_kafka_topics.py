"""`windvane topics` on a real Kafka: what lies where, and who is behind."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.topics import topics_report
from tests.connected.kafka_help import bus_on, until

pytestmark = pytest.mark.connected


def test_the_report_counts_messages_and_lag(kafka_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with bus_on(kafka_server.address, partitions=2) as bus:
        assert len(topics_report(bus).missing) == 16
        bus.ensure_topics()
        bus.publish("raw", [(f"k{i}", b"{}") for i in range(10)])
        consumer = bus.consumer("prepare", "raw")
        polled = until(lambda: consumer.poll(3))
        consumer.commit(polled)
        report = topics_report(bus)
        assert report.missing == []
        rows = {row.topic: row for row in report.topics}
        assert (rows["raw"].partitions, rows["raw"].messages, rows["raw"].kept) == (2, 10, "7 days")
        assert (rows["raw.dlq"].partitions, rows["raw.dlq"].messages, rows["raw.dlq"].kept) == (1, 0, "for ever")
        lags = {row.stage: row for row in report.stages}
        assert (lags["prepare"].done, lags["prepare"].lag) == (len(polled), 10 - len(polled))
        assert (lags["detect"].topic, lags["detect"].lag, lags["detect"].behind) == ("timeline", 0, None)

        monkeypatch.setenv("WINDVANE_KAFKA__SERVERS", kafka_server.address)
        monkeypatch.setenv("WINDVANE_KAFKA__PREFIX", bus._settings.prefix)
        said = CliRunner().invoke(app, ["topics", "--json"])
        assert said.exception is None, said.exception
        assert json.loads(said.stdout)["stages"][0]["lag"] == 10 - len(polled)
        table = CliRunner().invoke(app, ["topics"]).stdout
        assert "prepare" in table and "timeline.dlq" in table
