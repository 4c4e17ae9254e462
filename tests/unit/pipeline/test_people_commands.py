"""windvane subscriptions, deliveries and explain-delivery: what they print, and which sentence they refuse with."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pipeline.cli.app import app
from pipeline.compose import open_embedded
from pipeline.control.holding import put_held_until
from pipeline.errors import WindvaneError
from pipeline.stages.record import Record
from tests.unit.deliver.alerts import make_alert


class Shell:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *words: str) -> Result:
        return CliRunner(env={"COLUMNS": "200"}).invoke(app, [*words, "--data-dir", str(self.folder)])

    def json(self, *words: str) -> Any:
        result = self.run(*words, "--json")
        assert result.exit_code == 0, result.exception
        return json.loads(result.stdout)

    def refused(self, *words: str) -> str:
        result = self.run(*words)
        assert isinstance(result.exception, WindvaneError), result.output
        return str(result.exception)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    assert shell.run("subscriptions", "add", "duty", "email", "duty@example.org").exit_code == 0
    added = shell.run(
        "subscriptions", "add", "ann", "email", "ann@example.org", "--set", "severities=S1", "--set", "owner=Ann Li",
        "--set", "quiet=22:00-07:30", "--set", "zone=Asia/Shanghai", "--set", "escalate_to=duty",
        "--set", "escalate_min=15",
    )  # fmt: skip
    assert added.exit_code == 0
    return shell


def recorded(folder: Path, **alert: Any) -> None:
    stores = open_embedded(folder)
    Record(stores.control, stores.clock)([make_alert(**alert)])
    stores.close()


def test_subscriptions_are_listed_changed_and_removed(shell: Shell) -> None:
    found = {s["id"]: s for s in shell.json("subscriptions", "list")}
    assert (found["ann"]["quiet"], found["ann"]["target"]) == ("22:00-07:30", "a•••@example.org")
    assert "ann@example.org" not in (shell.folder / "windvane.sqlite3").read_bytes().decode("latin-1")
    assert shell.run("subscriptions", "add", "ann", "email", "--set", "language=zh").exit_code == 0  # keeps its address
    again = {s["id"]: s for s in shell.json("subscriptions", "list")}["ann"]
    assert (again["language"], again["target"], again["quiet"]) == ("zh", "a•••@example.org", "")
    assert shell.run("subscriptions", "remove", "ann").exit_code == 0
    assert [s["id"] for s in shell.json("subscriptions", "list")] == ["duty"]


def test_status_says_until_when_rules_wait_for_a_new_model(shell: Shell) -> None:
    assert shell.json("status")["rules_held_until"] is None
    stores = open_embedded(shell.folder)
    put_held_until(stores.control, datetime(2026, 3, 6, 7, 5, tzinfo=UTC))
    stores.close()
    assert shell.json("status")["rules_held_until"] == "2026-03-06T07:05:00+00:00"
    assert "rules on negatives wait until 2026-03-06T07:05 UTC" in shell.run("status").stdout


def test_what_is_wrong_is_a_sentence(shell: Shell) -> None:
    assert "zone: expected an IANA" in shell.refused("subscriptions", "add", "a", "web", "--set", "zone=Mars")
    assert "expected an id and a channel, or --file" in shell.refused("subscriptions", "add")
    assert "there is no subscription bob" in shell.refused("subscriptions", "remove", "bob")
    assert "there is no subscription bob" in shell.refused("subscriptions", "test", "bob")
    assert "--state: expected one of" in shell.refused("deliveries", "list", "--state", "lost")
    assert "which is neither" in shell.refused("explain-delivery", "nothing")


def test_the_test_message_shows_the_answer_and_fails_when_it_was_not_taken(shell: Shell) -> None:
    result = shell.run("subscriptions", "test", "ann")
    assert result.exit_code == 1 and "There is no mail server" in result.output + result.stderr


def test_who_was_told_and_why_and_sending_again(shell: Shell) -> None:
    recorded(shell.folder, alert_id="a1b2c3d4e5", severity="S2")
    [duty] = shell.json("deliveries", "list", "--alert", "a1b2c3d4e5")
    stores = open_embedded(shell.folder)
    stores.control.finish_delivery(duty["id"], "dead", "550 no such mailbox")
    stores.close()
    found = shell.json("explain-delivery", "a1b2c3")
    said = {s["id"]: s["events"][0] for s in found["subscriptions"]}
    assert said["ann"]["mismatches"] == ["severities is S1; the alert has S2"]
    assert said["duty"]["deliveries"][0]["answer"] == "550 no such mailbox"
    words = shell.run("explain-delivery", duty["id"])
    text = words.output + words.stderr
    assert "ann (email) of Ann Li" in text and "severities is S1; the alert has S2" in text
    assert f"→ {duty['id']}: dead, 0 tries" in text and "550 no such mailbox" in text
    assert [d["id"] for d in shell.json("deliveries", "list")] == [duty["id"]]
    assert shell.json("status")["deliveries"] == {"dead": 1}
    assert shell.run("deliveries", "retry").exit_code == 0
    assert [d["state"] for d in shell.json("deliveries", "list", "--alert", "a1b2c3d4e5")] == ["pending"]
    assert "found also" in shell.refused("deliveries", "retry", duty["id"])
    assert shell.json("status")["oldest_delivery_s"] >= 0
