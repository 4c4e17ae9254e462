"""`windvane topics` without a Kafka says what it needs."""

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.errors import WindvaneError


def test_topics_without_servers_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WINDVANE_KAFKA__SERVERS", raising=False)
    result = CliRunner().invoke(app, ["topics"])
    assert isinstance(result.exception, WindvaneError)
    assert "kafka.servers" in str(result.exception)
