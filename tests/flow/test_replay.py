"""The whole path: file → alert, its dead letters, its export; killed anywhere and started again, the same."""

import io
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from pipeline.compose import open_embedded
from pipeline.dead_letters import list_letters, retry_letters
from pipeline.exporting import export, records_of
from pipeline.status import status_of
from tests.flow.replay_keyword import run
from tests.flow.texts import stream

CLOCKS = ("fetched_at", "scored_at", "indexed_at")


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("flow") / "stream.jsonl"
    lines = [json.dumps(r, ensure_ascii=False).encode() for r in stream()]
    lines.insert(100, b"{not json")
    lines.insert(200, b"\xff\xfe broken")
    lines.insert(300, b'{"id": "e", "ts": "2026-03-03T00:00:00Z", "text": ""}')
    lines.insert(400, b'{"id": "old", "ts": "1970-01-01T00:00:00Z", "text": "from the epoch"}')
    lines.insert(500, b'{"id": "far", "ts": "2099-01-01T00:00:00Z", "text": "from the future"}')
    lines.insert(600, json.dumps({"id": "big", "ts": "2026-03-03T00:00:00Z", "text": "big " * 400_000}).encode())
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def exported(data_dir: Path, what: str) -> list[dict]:
    stores = open_embedded(data_dir, create=False)
    out = io.BytesIO()
    export(records_of(stores, what), "jsonl", out)
    stores.close()
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    return [{k: v for k, v in row.items() if k not in CLOCKS} for row in rows]


@pytest.fixture(scope="module")
def undisturbed(file, tmp_path_factory) -> Path:
    data_dir = tmp_path_factory.mktemp("undisturbed")
    run(file, data_dir)
    return data_dir


def test_the_crisis_raises_one_alert_with_its_evidence(undisturbed):
    fired = [a for a in exported(undisturbed, "alerts") if a["event"] == "fired" and a["key"] == "entity:TSLA.US"]
    assert len(fired) == 1
    alert = fired[0]
    assert alert["start"].startswith("2026-03-12T")
    evidence = alert["evidence"]
    assert evidence["negatives"] >= 5 and evidence["ratio"] >= 2 and evidence["sources"] >= 3
    assert evidence["top_stories"] and "Tesla" in evidence["sentence_en"] and "特斯拉" in evidence["sentence_zh"]


def test_nothing_is_lost_and_every_bad_line_is_a_dead_letter_with_its_reason(undisturbed, file):
    opinions = exported(undisturbed, "opinions")
    assert [o["post_id"] for o in opinions] == sorted({o["post_id"] for o in opinions})
    stores = open_embedded(undisturbed, create=False)
    letters = list(list_letters(stores))
    status = status_of(stores)
    stores.close()
    assert len(opinions) + len(letters) == len(file.read_bytes().splitlines())
    reasons = " | ".join(d.letter.reason for d in letters)
    assert len(letters) == 6, reasons
    for expected in ("JSON", "UTF-8", "1980", "24 h"):
        assert expected in reasons, reasons
    assert sum(status["dead_letters"].values()) == 6
    assert all(s["lag"] == 0 for s in status["stages"].values())


def test_two_runs_export_the_same(undisturbed, file, tmp_path):
    run(file, tmp_path)
    assert exported(tmp_path, "opinions") == exported(undisturbed, "opinions")
    assert exported(tmp_path, "alerts") == exported(undisturbed, "alerts")


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_the_same(undisturbed, file, tmp_path):
    rng = random.Random(11)
    kills = 0
    for _ in range(200):
        process = subprocess.Popen([sys.executable, "-m", "tests.flow.replay_keyword", str(file), str(tmp_path)])
        time.sleep(rng.uniform(0.8, 3.0) if kills < 20 else 0)
        if kills < 20 and process.poll() is None:
            process.kill()
            kills += 1
            process.wait()
            continue
        assert process.wait(timeout=120) == 0
        break
    assert exported(tmp_path, "opinions") == exported(undisturbed, "opinions")
    assert exported(tmp_path, "alerts") == exported(undisturbed, "alerts")


def test_a_dead_letter_is_sent_again_once_the_cause_is_mended(file, tmp_path):
    run(file, tmp_path)
    stores = open_embedded(tmp_path)
    first = next(d for d in list_letters(stores) if "1980" in d.letter.reason)
    result = retry_letters(stores, [first.id])
    assert result.sent == 1 and not result.still_bad
    assert first.id not in [d.id for d in list_letters(stores)]
    newest = list(stores.bus.read("raw", start=stores.bus.end("raw") - 1))
    assert msgspec.json.decode(newest[0].value)["text"] == "from the epoch"
    stores.close()
