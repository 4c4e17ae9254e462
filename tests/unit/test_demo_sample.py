"""The demo's sample is as its README and expected.json say: synthetic, two crises, two traps, nobody real harmed."""

import csv
import gzip
import json
import statistics
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import pipeline
from pipeline.prepare.entities import EntityLinker, EntityTable

DEMO = Path(pipeline.__file__).with_name("demo")
EXPECTED = json.loads((DEMO / "expected.json").read_text(encoding="utf-8"))
Row = dict[str, Any]
NEEDED = {"id", "ts", "source", "text", "url", "lang", "synthetic"}
OPTIONAL = {"author", "title", "repost_of"}


@cache
def rows() -> tuple[Row, ...]:
    with gzip.open(DEMO / "sample.jsonl.gz", "rt", encoding="utf-8") as lines:
        return tuple(json.loads(line) for line in lines)


@cache
def linked() -> dict[str, frozenset[str]]:
    """Row id -> the entities of the built-in table and the demo's own that it names."""
    linker = EntityLinker(EntityTable.load(DEMO / "aliases.csv"))
    return {r["id"]: frozenset(m.entity for m in linker.link(document(r))) for r in rows()}


@cache
def invented() -> frozenset[str]:
    with (DEMO / "aliases.csv").open(encoding="utf-8", newline="") as lines:
        return frozenset(row["entity"] for row in csv.DictReader(lines))


def document(row: Row) -> str:
    return "\n".join(part for part in (row.get("title"), row["text"]) if part)


def time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def voice(row: Row) -> str:
    return f"{row['source']}/{row['author']}" if "author" in row else row["source"]


def about(entity: str, start: datetime, end: datetime) -> list[Row]:
    return [r for r in rows() if entity in linked()[r["id"]] and start <= time(r["ts"]) < end]


def own(some: Iterable[Row]) -> list[Row]:
    """Those that are no script-made copy of another."""
    return [r for r in some if "repost_of" not in r]


def test_every_row_has_the_fields_and_says_it_is_synthetic() -> None:
    for row in rows():
        assert row.keys() >= NEEDED, row
        assert row.keys() <= NEEDED | OPTIONAL, row
        assert row["synthetic"] is True, row
        assert row["lang"] in ("en", "zh")
        assert row["url"].startswith("https://example.com/")
        assert row["text"].strip(), row


def test_ids_are_unique_times_sorted_and_within_the_three_weeks() -> None:
    assert len({r["id"] for r in rows()}) == len(rows())
    times = [time(r["ts"]) for r in rows()]
    assert times == sorted(times)
    assert time(EXPECTED["from"]) <= times[0]
    assert times[-1] < time(EXPECTED["to"])
    assert len({t.date() for t in times}) == 21


def test_size_languages_and_kinds_are_balanced() -> None:
    count = len(rows())
    assert 1900 <= count <= 2300
    assert 0.45 <= sum(r["lang"] == "zh" for r in rows()) / count <= 0.55
    assert 0.55 <= sum("author" in r for r in rows()) / count <= 0.67
    assert (DEMO / "sample.jsonl.gz").stat().st_size < 600_000


def test_no_two_written_texts_are_near_identical() -> None:
    """Jaccard of character 3-grams under 0.6 for every pair that is not a repost: no frames filled in."""
    texts = ["".join(document(r).lower().split()) for r in own(rows())]
    known: dict[str, int] = {}
    at: list[tuple[int, int]] = []
    for i, text in enumerate(texts):
        grams = {text[k : k + 3] for k in range(max(1, len(text) - 2))}
        at += [(i, known.setdefault(g, len(known))) for g in grams]
    row, column = np.array(at).T
    has = sparse.csr_matrix((np.ones(len(at), dtype=np.int32), (row, column)))
    shared = (has @ has.T).tocoo()
    size = np.asarray(has.sum(axis=1)).ravel()
    jaccard = shared.data / (size[shared.row] + size[shared.col] - shared.data)
    close = [
        (texts[i], texts[j])
        for i, j, value in zip(shared.row, shared.col, jaccard, strict=True)
        if i < j and value >= 0.6
    ]
    assert close == []


def test_reposts_name_an_earlier_text_that_is_no_repost() -> None:
    place = {r["id"]: n for n, r in enumerate(rows())}
    originals = {r["id"] for r in own(rows())}
    for n, row in enumerate(rows()):
        if "repost_of" in row:
            assert row["repost_of"] in originals
            assert place[row["repost_of"]] < n


@pytest.mark.parametrize("alert", EXPECTED["alerts"], ids=lambda a: a["entity"])
def test_a_crisis_has_many_different_texts_and_voices_within_three_hours(alert: Row) -> None:
    begin = time(alert["begins"])
    rush = about(alert["entity"], begin, begin + timedelta(hours=3, minutes=5))
    assert len(own(rush)) >= 60
    assert len({voice(r) for r in own(rush)}) >= 25
    assert sum(r["lang"] == alert["language"] for r in own(rush)) >= 55
    day = about(alert["entity"], begin, begin + timedelta(days=1))
    assert len(day) - len(own(day)) >= 30
    assert len(own(about(alert["entity"], begin + timedelta(hours=4), begin + timedelta(days=1)))) >= 15


@pytest.mark.parametrize("alert", EXPECTED["alerts"], ids=lambda a: a["entity"])
def test_a_crisis_follows_a_steady_baseline(alert: Row) -> None:
    begin = time(alert["begins"])
    days = Counter(time(r["ts"]).date() for r in about(alert["entity"], time(EXPECTED["from"]), begin))
    whole_days = (begin - time(EXPECTED["from"])).days
    assert [d for d in range(whole_days) if not 4 <= days[begin.date() - timedelta(days=whole_days - d)] <= 9] == []


@pytest.mark.parametrize("alert", EXPECTED["alerts"], ids=lambda a: a["entity"])
def test_nobody_real_has_a_part_in_a_crisis(alert: Row) -> None:
    for row in about(alert["entity"], time(alert["begins"]), time(alert["explains_until"])):
        assert linked()[row["id"]] <= invented(), document(row)


def test_the_invented_companies_are_not_in_the_built_in_table() -> None:
    built_in = EntityTable.load()
    assert invented().isdisjoint(built_in.names)
    assert {e for alert in EXPECTED["alerts"] + EXPECTED["traps"] for e in [alert["entity"]]} <= invented()


def test_the_repost_wave_is_one_story() -> None:
    trap = next(t for t in EXPECTED["traps"] if t["kind"] == "repost_wave")
    wave = about(trap["entity"], time(trap["from"]), time(trap["from"]) + timedelta(minutes=70))
    copied = Counter(r.get("repost_of") for r in wave)
    story, copies = max(((s, n) for s, n in copied.items() if s), key=lambda x: x[1])
    assert copies >= 40
    assert [r["id"] for r in own(wave)].count(story) == 1
    assert len(own(wave)) <= 2


def test_the_launch_is_ten_times_the_usual_volume() -> None:
    trap = next(t for t in EXPECTED["traps"] if t["kind"] == "volume_only")
    days = Counter(r["ts"][:10] for r in about(trap["entity"], time(EXPECTED["from"]), time(EXPECTED["to"])))
    launch = days.pop(trap["from"][:10])
    assert launch >= 10 * statistics.median(days.values())
    assert not [r for r in about(trap["entity"], time(trap["from"]), time(trap["to"])) if "repost_of" in r]


def test_the_first_crisis_comes_early_in_a_fast_replay() -> None:
    first = min(alert["begins"] for alert in EXPECTED["alerts"])
    assert 600 <= sum(r["ts"] < first for r in rows()) <= 900
