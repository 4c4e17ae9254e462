"""The ablation driver: same data and steps for each technique, a table, and no run twice."""

import pytest

pytest.importorskip("torch", reason="torch is not installed (pip install 'windvane[models]')")
pytest.importorskip("transformers", reason="transformers is not installed (pip install 'windvane[models]')")

from models.ablate import TECHNIQUES, ablate, changed, table
from models.settings import ConfigError
from tests.unit.models.tiny_training import tiny_config


def test_each_technique_is_trained_once_with_the_same_steps(tmp_path):
    config = tiny_config(tmp_path, passes=1, repeats={"fpb": 1.0, "twitter": 1.0})
    outcomes = ablate(config, ["r_drop", "dropout=0.3"], [1, 2], tmp_path / "runs")
    assert list(outcomes) == ["plain", "r_drop", "dropout=0.3"]
    assert {run["steps"] for runs in outcomes.values() for run in runs} == {outcomes["plain"][0]["planned"]}
    assert outcomes["r_drop"][1]["config"]["r_drop"] == 1.0 and outcomes["r_drop"][1]["config"]["seed"] == 2
    assert outcomes["dropout=0.3"][0]["config"]["dropout"] == 0.3
    started = outcomes["plain"][0]["started"], outcomes["plain"][0]["seconds"]
    again = ablate(config, ["r_drop"], [1], tmp_path / "runs")
    assert (again["plain"][0]["started"], again["plain"][0]["seconds"]) == started, "a finished run is not run again"
    lines = table(outcomes).splitlines()
    assert lines[0].startswith("| technique | fpb, own | fpb |") and lines[0].endswith("| steps | tokens | minutes |")
    assert len(lines) == 2 + 3 and "±" in lines[2] and lines[3].split("|")[-5].strip()[0] in "+-"


def test_every_technique_is_a_setting_and_others_are_a_sentence(tmp_path):
    config = tiny_config(tmp_path)
    assert all(changed(config, name) for name in TECHNIQUES)
    assert changed(config, "accumulate").repeats == {"fpb": 4.0, "twitter": 4.0}
    with pytest.raises(ConfigError, match="no technique is called 'magic'"):
        changed(config, "magic")
    with pytest.raises(ConfigError, match="'magic=1' is not a setting"):
        changed(config, "magic=1")
