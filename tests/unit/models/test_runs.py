"""Recorded runs: listed by state and time, shown, compared. No torch."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.runs import RunError, compare, curves, find_runs, hold, open_run, sparkline
from pipeline.cli.app import app
from pipeline.errors import WindvaneError


def record(started: str, **changes) -> dict:
    return {
        "config": {"name": "a", "seed": 20, "lr": 1e-4, "repeats": {"fpb": 2.0}, "work": "somewhere"},
        "data": {"sha256": "ab" * 32}, "kind": "train", "started": started, "state": "running", "stopped": "",
        "planned": 100, "steps": 50, "tokens": 123456, "seconds": 90.0,
        "curve": [{"step": 25, "loss": 2.0, "topics": 0.0}, {"step": 50, "loss": 1.0, "topics": 0.0}],
        "validation": [{"step": 25, "seconds": 40, "fpb": 0.8, "guess_loss": 3.0},
                       {"step": 50, "seconds": 90, "fpb": 0.7, "guess_loss": 2.0}],
        **changes,
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = {
        "old": record("2026-01-01T00:00:00Z", state="finished", stopped="no better validation than at step 25"),
        "deep/new": record(
            "2026-02-01T00:00:00Z", config={"name": "b", "seed": 3, "lr": 2e-4, "repeats": {"fpb": 2.0}}
        ),
        "first": {k: v for k, v in record("").items() if k not in ("state", "started", "kind", "stopped", "planned")}
        | {"weights": "trained.safetensors"},  # as the first version wrote them
    }
    for name, content in made.items():
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text(json.dumps(content), "utf-8")
    return tmp_path


def test_the_newest_comes_first_with_its_state_and_scores(folder):
    found = find_runs(folder)
    assert [(run.name, run.state) for run in found] == [
        ("deep/new", "stopped"), ("old", "finished"), ("first", "finished"),
    ]  # fmt: skip
    old = found[1]
    assert (old.minutes, old.steps, old.tokens, old.seed, old.stopped) == (
        1.5, 50, 123456, 20, "no better validation than at step 25",
    )  # fmt: skip
    assert old.scores == {"fpb": 0.7, "guess_loss": 2.0}
    assert old.best == {"fpb": 0.8, "guess_loss": 2.0}, "of a loss the lowest"


def test_a_run_is_running_as_long_as_its_process_holds_the_folder(folder):
    with hold(folder / "deep" / "new"):
        assert find_runs(folder)[0].state == "running"
        with pytest.raises(WindvaneError, match="another process is training"), hold(folder / "deep" / "new"):
            pass
    assert find_runs(folder)[0].state == "stopped"


def test_what_cannot_be_found_or_read_is_a_sentence(folder):
    with pytest.raises(RunError, match=r"expected a run called gone under .*; there are deep/new, old, first"):
        open_run(folder, "gone")
    with pytest.raises(RunError, match=r"no such folder\. Give the folder with --runs"):
        find_runs(folder / "nowhere")
    (folder / "old" / "run.json").write_text('{"config": {}}', "utf-8")
    with pytest.raises(RunError, match=r"old/run\.json should be the record of a training run.*KeyError"):
        find_runs(folder)


def test_a_curve_is_one_line(folder):
    assert sparkline([0.0, 1.0]) == "▁█"
    assert sparkline([3.0, 3.0, 3.0]) == "▁▁▁"
    assert sparkline([]) == ""
    assert len(sparkline(list(range(1000)), width=40)) == 40
    shown = curves(open_run(folder, "old")[1])
    assert shown == {"loss": [2.0, 1.0], "fpb": [0.8, 0.7], "guess_loss": [3.0, 2.0]}, "what is always 0 is left out"


def test_two_runs_are_compared_by_what_differs_and_by_their_scores(folder):
    rows = compare(open_run(folder, "old")[1], open_run(folder, "deep/new")[1])
    assert rows["lr"] == (1e-4, 2e-4) and rows["seed"] == (20, 3)
    assert "repeats" not in rows and "work" not in rows and "data (SHA-256)" not in rows
    assert rows["score fpb"] == (0.7, 0.7)


def test_the_commands_list_show_and_compare(folder):
    runner = CliRunner(env={"COLUMNS": "160"})
    listed = runner.invoke(app, ["runs", "--runs", str(folder), "--json"])
    assert [run["name"] for run in json.loads(listed.output)] == ["deep/new", "old", "first"]
    assert json.loads(listed.output)[1]["score"] == pytest.approx(1.35)
    assert runner.invoke(app, ["runs", "--runs", str(folder)]).exit_code == 0
    shown = runner.invoke(app, ["runs", "show", "old", "--runs", str(folder)])
    assert shown.exit_code == 0
    assert (
        json.loads(runner.invoke(app, ["runs", "show", "old", "--runs", str(folder), "--json"]).output)["steps"] == 50
    )
    compared = runner.invoke(app, ["runs", "compare", "old", "deep/new", "--runs", str(folder), "--json"])
    assert json.loads(compared.output)["lr"] == [1e-4, 2e-4]
