"""The demo does what its README promises: with the released model both crises raise their alerts, the traps none."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.programs.demo import demo_settings, sample
from pipeline.programs.replay import replay
from pipeline.programs.running import running
from pipeline.records import Alert
from pipeline.settings import Settings
from pipeline.sources.files import file_source

ROOT = Path(__file__).resolve().parents[2]
EXPECTED: dict[str, Any] = json.loads(sample().with_name("expected.json").read_text(encoding="utf-8"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not any((ROOT / "models" / "released").glob("*/manifest.json")),
        reason="models/released holds no model: train and export one, or check out the released one",
    ),
]


def time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def days_of(alert: dict[str, Any]) -> tuple[datetime, datetime]:
    """From the crisis's first text to where it no longer explains an alert."""
    return time(alert["begins"]), time(alert["explains_until"])


@pytest.fixture(scope="module")
def fired(tmp_path_factory: pytest.TempPathFactory) -> list[Alert]:
    """Every episode's first event, of one replay of the whole sample."""
    settings = demo_settings(Settings(data_dir=tmp_path_factory.mktemp("demo")))
    with running(settings) as (stores, embedded, _):
        done = replay(embedded=embedded, stores=stores, source=file_source(sample()), speed=0, report=lambda sent: None)
        assert done.dead_letters == 0
        assert done.opinions == done.texts
        return [event for event in stores.control.alert_events() if event.event == "fired"]


@pytest.mark.parametrize("alert", EXPECTED["alerts"], ids=lambda a: a["entity"])
def test_a_crisis_fires_in_time(fired: list[Alert], alert: dict[str, Any]) -> None:
    of_it = [a for a in fired if a.key == alert["key"]]
    assert of_it, f"no alert for {alert['key']}; fired: {[(a.key, a.fired_at) for a in fired]}"
    first = min(of_it, key=lambda a: a.fired_at)
    begins = time(alert["begins"])
    assert begins < first.fired_at <= time(alert["fires_by"])
    assert begins - timedelta(hours=1) <= first.start <= first.fired_at


@pytest.mark.parametrize("trap", EXPECTED["traps"], ids=lambda t: t["kind"])
def test_a_trap_raises_nothing(fired: list[Alert], trap: dict[str, Any]) -> None:
    assert [(a.key, a.fired_at) for a in fired if trap["entity"] in a.key] == []
    during = [a for a in fired if time(trap["from"]) <= a.fired_at < time(trap["to"]) + timedelta(hours=24)]
    assert [(a.key, a.fired_at) for a in during] == []


def test_nothing_else_fires(fired: list[Alert]) -> None:
    """Alerts on a topic, or on a topic within the company, are right while a crisis explains them; others are false."""
    companies = {a["key"].removeprefix("entity:") for a in EXPECTED["alerts"]}
    explained = [days_of(a) for a in EXPECTED["alerts"]]
    for alert in fired:
        assert any(begins < alert.fired_at <= until for begins, until in explained), (alert.key, alert.fired_at)
        if alert.key.startswith("entity"):
            assert alert.key.split(":", 1)[1].split("|")[0] in companies, alert.key
