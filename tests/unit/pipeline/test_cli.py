"""The command line: errors are sentences, exports are whole, watches and dead letters can be managed."""

import csv
import io
import json
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.errors import WindvaneError
from tests.flow.replay_keyword import run
from tests.flow.texts import stream

runner = CliRunner()


def windvane(*args):
    return runner.invoke(app, [str(a) for a in args], catch_exceptions=True)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    file = folder / "rows.jsonl"
    file.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in stream(texts=200, days=4)) + "\n{bad\n")
    run(file, folder)
    return folder


@pytest.mark.parametrize(
    "args, says",
    [
        (("status", "--data-dir", "nowhere"), "expected the data of an earlier run in nowhere"),
        (("classify", "nowhere.jsonl"), "found no file at nowhere.jsonl"),
        (("replay", "nowhere.jsonl"), "nowhere.jsonl"),
        (("run",), "expected a source, found none"),
        (("export", "cats"), "expected opinions or alerts"),
        (
            ("search", "x", "--sentiment", "angry"),
            "sentiment: expected one of negative, neutral, positive; found 'angry'",
        ),
        (("watch", "add", "x", "(", "--kind", "regex", "--data-dir", "nowhere"), "no regular expression"),
        (("serve", "--data-dir", "nowhere"), "expected the data of an earlier run"),
    ],
)
def test_a_wrong_call_is_answered_with_a_sentence(args, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = windvane(*args)
    assert isinstance(result.exception, WindvaneError), result.exception
    assert says in str(result.exception)
    assert not (tmp_path / "nowhere").exists()


def test_the_program_itself_prints_the_sentence_and_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "from pipeline.cli import main; main()", "status", "--data-dir", str(tmp_path / "no")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("windvane: expected the data of an earlier run")
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("WINDVANE_WEB__PORT", "99999")
    result = windvane("status", "--data-dir", tmp_path)
    assert "setting web.port" in str(result.exception) and "99999" in str(result.exception)


def test_status_counts_every_stage(data_dir):
    status = json.loads(windvane("status", "--data-dir", data_dir, "--json").output)
    assert status["stages"]["prepare"] == {"reads": "raw", "processed": 280, "lag": 0}
    assert status["opinions"] == 280
    assert status["dead_letters"] == {"raw": 1}
    assert status["alerts"]["total"] >= 1
    assert status["log"]["raw"] == status["log"]["posts"] == status["log"]["opinions"] == 280
    assert "on the log: 280 raw, 280 posts, 280 opinions" in windvane("status", "--data-dir", data_dir).output


def test_doctor_says_how_large_the_data_is(data_dir):
    checks = json.loads(windvane("doctor", "--data-dir", data_dir, "--json").output)
    found = next(check["found"] for check in checks if check["what"] == "data folder")
    assert re.search(r"can be written, its database has \d+\.\d MiB$", found)


def test_csv_holds_what_jsonl_holds(data_dir, tmp_path):
    rows = [json.loads(line) for line in windvane("export", "opinions", "--data-dir", data_dir).output.splitlines()]
    out = tmp_path / "o.csv"
    assert windvane("export", "opinions", "--data-dir", data_dir, "--format", "csv", "--out", out).exit_code == 0
    table = list(csv.DictReader(io.StringIO(out.read_text("utf-8"))))
    assert [r["post_id"] for r in table] == [r["post_id"] for r in rows] == sorted(r["post_id"] for r in rows)
    assert [r["text"] for r in table] == [r["text"] for r in rows]
    assert json.loads(table[0]["sentiment"]) == rows[0]["sentiment"]


def test_parquet_holds_what_jsonl_holds(data_dir, tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    out = tmp_path / "o.parquet"
    assert windvane("export", "alerts", "--data-dir", data_dir, "--format", "parquet", "--out", out).exit_code == 0
    lines = windvane("export", "alerts", "--data-dir", data_dir).output.splitlines()
    assert pandas.read_parquet(out)["alert_id"].tolist() == [json.loads(line)["alert_id"] for line in lines]


def test_search_finds_a_two_character_word(data_dir):
    found = json.loads(windvane("search", "暴跌", "--data-dir", data_dir, "--json").output)
    assert found["total"] > 0 and all("暴跌" in i["text"] for i in found["items"])


def test_a_dead_letter_is_listed_and_one_that_is_still_bad_says_so(data_dir):
    [letter] = json.loads(windvane("dlq", "list", "--data-dir", data_dir, "--json").output)
    assert letter["id"] == "raw:0" and letter["origin"].endswith("rows.jsonl:281") and letter["payload"] == "{bad"
    result = windvane("dlq", "retry", "raw:0", "--data-dir", data_dir)
    assert result.exit_code == 1
    assert isinstance(windvane("dlq", "retry", "raw:9", "--data-dir", data_dir).exception, WindvaneError)


def test_watches_are_added_listed_and_removed(tmp_path):
    assert (
        windvane("watch", "add", "Cloud outage", "outage|宕机", "--kind", "regex", "--data-dir", tmp_path).exit_code
        == 0
    )
    [watch] = json.loads(windvane("watch", "list", "--data-dir", tmp_path, "--json").output)
    assert watch == {"id": "cloud-outage", "name": "Cloud outage", "kind": "regex", "pattern": "outage|宕机"}
    assert windvane("watch", "remove", "cloud-outage", "--data-dir", tmp_path).exit_code == 0
    assert json.loads(windvane("watch", "list", "--data-dir", tmp_path, "--json").output) == []
