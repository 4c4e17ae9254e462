"""Rules that people change: versions, who and when, two at once; the API over them; the running detector takes them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from dashboards.api_rules import rule_routes
from pipeline.control.sql import SqlControlStore
from pipeline.database import Database
from pipeline.detect.detector import Detector
from pipeline.detect.rules import DEFAULT_RULES, Rule
from pipeline.errors import WindvaneError
from pipeline.naming import KeyNames
from pipeline.previewing import preview
from pipeline.rulebook import RuleBook
from pipeline.stages.detect import Detect
from pipeline.store.sqlite import SqliteOpinionStore
from tests.unit.detect.make import MONDAY, burst, in_time, quiet

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ENTRY = {"id": "negative_spike", "sensitivity": "high"}


@pytest.fixture
def book() -> RuleBook:
    return RuleBook(SqlControlStore(Database(None), lambda: NOW), DEFAULT_RULES, lambda: NOW)


def test_the_file_holds_until_somebody_changes_the_rules(book: RuleBook) -> None:
    assert book.rules == DEFAULT_RULES and book.history() == []
    change = book.put([ENTRY], "ana")
    assert (change.number, change.by, change.at) == (1, "ana", NOW)
    assert book.rules == (Rule(sensitivity="high", version=2),)  # it says something new, so it has a new version
    assert book.put([{**ENTRY, "version": 1}], "bo").rules == book.rules  # and nothing new, no new version
    assert [c.by for c in book.history()] == ["ana", "bo"]


def test_two_people_do_not_undo_each_other(book: RuleBook) -> None:
    book.put([ENTRY], "ana", after=0)
    with pytest.raises(WindvaneError, match="change 1, made meanwhile"):
        book.put([ENTRY], "bo", after=0)
    with pytest.raises(WindvaneError, match="kind"):
        book.put([{"id": "x", "kind": "y"}], "bo")
    assert len(book.history()) == 1


def test_the_api(book: RuleBook) -> None:
    app = FastAPI()
    app.include_router(rule_routes(book))
    client = TestClient(app)
    assert client.get("/api/rules").json()["change"] == 0
    wrong: Any = client.put("/api/rules", json={"rules": [{"id": "a", "floor": 0}, {"id": "b", "kind": "c"}]})
    assert wrong.status_code == 422 and "floor" in wrong.text and "kind" in wrong.text
    done = client.put("/api/rules", json={"rules": [ENTRY], "by": "ana", "after": 0}).json()
    assert (done["change"], done["by"], done["rules"][0]["version"]) == (1, "ana", 2)
    assert client.put("/api/rules", json={"rules": [ENTRY], "after": 0}).status_code == 409
    assert [c["by"] for c in client.get("/api/rules/history").json()["items"]] == ["ana"]


def test_the_running_stage_takes_them_between_batches(book: RuleBook) -> None:
    clock = [0.0]
    stage = Detect(Detector(book.rules), lambda: book.rules, lambda: clock[0])
    assert stage.reload() is None
    book.put([ENTRY], "ana")
    assert stage.reload() is None  # it looks every two seconds
    clock[0] = 3.0
    assert stage.reload() == [] and stage.detector.rules == book.rules
    clock[0] = 6.0
    assert stage.reload() is None


def test_preview_says_what_would_have_been_sent() -> None:
    store = SqliteOpinionStore(Database(None), lambda: NOW)
    names = KeyNames()
    assert preview(Rule(), store, 7, names, {})["notes"] == ["Nothing is stored yet."]
    crisis = MONDAY + timedelta(days=12)
    store.write(in_time(quiet(14), burst(30, crisis), quiet(14, per_hour=1, share=0, entity="THIN.US", seed=5)))
    result = preview(Rule(), store, 7, names, {})
    (sent,) = result["alerts"]
    assert sent["key"] == "entity:ACME.US" and sent["stories"] and sent["end"] is not None
    assert (result["per_week"], result["texts"]) == (1.0, 7 * 72 + 31)  # both ends included
    assert result["thin"] == [{"key": "entity:THIN.US", "name": "THIN.US", "judged_with": None}]
    assert any("too little volume" in n for n in result["notes"])
