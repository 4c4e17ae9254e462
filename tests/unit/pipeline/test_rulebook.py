"""Rules that people change: versions, who and when, two at once; the API over them; the running detector takes them."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from sys import getrefcount
from typing import Any, ClassVar

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from dashboards.api_rules import Preview, rule_routes
from pipeline.control.sql import SqlControlStore
from pipeline.database import Database
from pipeline.detect.detector import Detector
from pipeline.detect.rules import DEFAULT_RULES, Rule
from pipeline.errors import WindvaneError
from pipeline.naming import KeyNames
from pipeline.previewing import TAKEN, TooMuch, preview
from pipeline.records import Opinion
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
    with pytest.raises(WindvaneError, match="change 1 by ana, made meanwhile"):
        book.put([ENTRY], "bo", after=0)
    with pytest.raises(WindvaneError, match="kind"):
        book.put([{"id": "x", "kind": "y"}], "bo")
    assert len(book.history()) == 1


class Slow(RuleBook):
    """Another person changes the rules between its reading and its writing, `times` times."""

    def __init__(self, control: SqlControlStore, times: int) -> None:
        self.times = times
        self.other = RuleBook(control, DEFAULT_RULES, lambda: NOW)
        super().__init__(control, DEFAULT_RULES, self.late)

    def late(self) -> datetime:  # the clock is read after the rules
        if self.times:
            self.times -= 1
            self.other.put([ENTRY], "bo")
        return NOW


def test_a_change_made_between_reading_and_writing_is_not_lost() -> None:
    control = SqlControlStore(Database(None), lambda: NOW)
    with pytest.raises(WindvaneError, match="found change 1 by bo"):
        Slow(control, 1).put([{"id": "a"}], "ana", after=0)
    assert Slow(control, 2).put([{"id": "a"}], "ana").number == 4  # stated nothing: it comes after theirs
    assert [c.by for c in Slow(control, 0).history()] == ["bo", "bo", "bo", "ana"]


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


def test_the_running_stage_tells_until_when_rules_wait_for_a_new_model(book: RuleBook) -> None:
    class Holding(Detector):
        until: datetime | None = None

        @property
        def held_until(self) -> datetime | None:
            return self.until

    clock, told = [0.0], list[datetime | None]()
    detector = Holding(book.rules)
    stage = Detect(detector, lambda: book.rules, lambda: clock[0], told.append)
    for until in (None, None, NOW, NOW, NOW + timedelta(days=1), None):
        clock[0] += 3
        detector.until = until
        stage.reload()
    assert told == [None, NOW, NOW + timedelta(days=1), None]
    stage.restore(stage.snapshot())  # another may have told something else meanwhile
    clock[0] += 3
    stage.reload()
    assert told[-2:] == [None, None]


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


def test_preview_holds_few_of_the_opinions_it_reads_at_once() -> None:
    class Watching(SqliteOpinionStore):
        """Counts the opinions of a scan that somebody still holds when the next but one is asked for."""

        kept = 0
        asked: ClassVar[list[int]] = []

        def scan(self, start: datetime | None = None) -> Iterator[Opinion]:
            before: list[Opinion] = []
            for opinion in super().scan(start):
                before = [*before[-1:], opinion]
                del opinion
                yield before[-1]
                self.kept += getrefcount(before[0]) > 2 and len(before) > 1

        def get(self, ids: Sequence[str]) -> list[Opinion]:
            self.asked.append(len(ids))
            return super().get(ids)

    store = Watching(Database(None), lambda: NOW)
    store.write(in_time(quiet(14)))
    texts = preview(Rule(), store, 14, KeyNames(), {})["texts"]
    assert store.kept == 0
    assert sum(store.asked) == texts and max(store.asked) == TAKEN < texts


def test_preview_reads_no_more_than_it_may() -> None:
    store = SqliteOpinionStore(Database(None), lambda: NOW)
    store.write(in_time(quiet(14)))
    texts = int(store.stats()["opinions"] or 0)
    assert preview(Rule(), store, 7, KeyNames(), {}, texts)["texts"] > 0
    with pytest.raises(TooMuch, match=f"at most {texts - 1:,} texts.*--days 7"):
        preview(Rule(), store, 7, KeyNames(), {}, texts - 1)


def asking(book: RuleBook, preview: Preview) -> TestClient:
    app = FastAPI()
    app.include_router(rule_routes(book, preview))
    return TestClient(app)


def test_a_preview_over_the_api(book: RuleBook) -> None:
    seen: list[tuple[Rule, int]] = []

    def says(rule: Rule, days: int) -> dict[str, Any]:
        seen.append((rule, days))
        if days == 90:
            raise TooMuch("expected at most 10 texts, found 11.")
        return {"rule": rule.id, "to": NOW, "alerts": []}

    client = asking(book, says)
    answer = client.post("/api/rules/preview", json={"rule": "negative_spike"})
    assert answer.json() == {"rule": "negative_spike", "to": "2026-03-02T00:00:00Z", "alerts": []}
    client.post("/api/rules/preview", json={"rule": {"id": "mine", "sensitivity": "high"}, "days": 7})
    assert seen == [(DEFAULT_RULES[0], 28), (Rule(id="mine", sensitivity="high"), 7)]
    for body, status, says_why in (
        ({"rule": "none"}, 404, "There are: negative_spike"),
        ({"rule": {"id": "a", "floor": 0}}, 422, "floor"),
        ({"rule": "negative_spike", "days": 91}, 422, "days"),
        ({"rule": "negative_spike", "days": 90}, 422, "found 11"),
    ):
        refused = client.post("/api/rules/preview", json=body)
        assert refused.status_code == status and says_why in refused.text, body
    assert len(seen) == 3  # what was refused before it was worked out cost nothing


def test_one_preview_at_a_time(book: RuleBook) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(rule: Rule, days: int) -> dict[str, Any]:
        started.set()
        assert go_on.wait(30)
        return {"rule": rule.id}

    client = asking(book, slow)
    ask = lambda: client.post("/api/rules/preview", json={"rule": "negative_spike"}).status_code  # noqa: E731
    with ThreadPoolExecutor() as pool:
        first = pool.submit(ask)
        assert started.wait(30)
        assert client.get("/api/rules").status_code == 200  # the page goes on
        assert ask() == 503
        go_on.set()
        assert first.result(30) == 200
    assert ask() == 200
