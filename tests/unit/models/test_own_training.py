"""Sets of one's own, described in data_sets.toml and nothing else: trained, released, scored like the built-in ones."""

import csv
import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed (pip install 'windvane[models]')")
pytest.importorskip("transformers", reason="transformers is not installed (pip install 'windvane[models]')")
pytest.importorskip("sklearn", reason="scikit-learn is not installed (pip install 'windvane[models]')")

from models.batches import training_tokenizer
from models.data import DataError, known_sets
from models.judging import Question, texts_of
from models.publish import publish
from models.settings import ConfigError, TrainConfig
from models.train import load_data, train
from tests.unit.models.tiny_training import rows, tiny_config, write

TOML = """
[desk]
path = "own/desk.csv"
licence = "our own"
permissive = true
columns = {text = "body", label = "stance"}
labels = {positive = "positive", neutral = "neutral", negative = "negative"}

[wires]
path = "wires.jsonl"
licence = "not ours"
task = "topics"
labels = {positive = ["earnings"], negative = ["crypto"], neutral = []}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    write(folder / "wires.jsonl", rows("wires", 200))
    (folder / "own").mkdir()
    with (folder / "own" / "desk.csv").open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file, delimiter=";")
        table.writerows([["body", "stance"], *([row["text"], row["label"]] for row in rows("desk", 240))])
    (folder / "data_sets.toml").write_text(TOML, encoding="utf-8")
    return folder


def config(tmp_path: Path, **changes: object) -> TrainConfig:
    weights = {"sentiment": 1.0, "topics": 0.5}
    return tiny_config(tmp_path, **{"repeats": {"desk": 3.0, "wires": 2.0}, "task_weights": weights, **changes})


def test_own_sets_train_and_are_released_and_scored(tmp_path, data):
    given = config(tmp_path)
    train(given)
    record = json.loads((tmp_path / "work" / "run.json").read_text("utf-8"))
    assert record["data"]["rows"]["desk"]["training"] > 100
    release = publish(tmp_path / "work", tmp_path / "release", given)
    assert [(entry["set"], entry["licence"]) for entry in release.manifest["trained_on"]] == [
        ("desk", "our own"), ("wires", "not ours"),
    ]  # fmt: skip
    scores = release.manifest["metrics"]["sets"]
    assert scores["desk"]["n"] == record["data"]["rows"]["desk"]["validation"]
    assert "desk" in release.manifest["metrics"]["baseline"]
    assert scores["wires"]["judged_by"] == "product"
    assert "our own" in (tmp_path / "release" / "CARD.md").read_text("utf-8")


def test_a_file_laid_out_as_ones_own_set_can_be_scored(data):
    asked = Question(set="desk", file=data / "own" / "desk.csv", data=data)
    assert [example.sentiment for example in texts_of(asked).examples[:3]] == [2, 1, 0]


def test_the_licence_of_ones_own_set_counts(tmp_path, data):
    assert config(tmp_path, licence="permissive").sets() == {"desk": 3.0}
    with pytest.raises(ConfigError, match=r"repeats names dsek; known sets are fpb.* desk, wires"):
        config(tmp_path, repeats={"dsek": 1.0}).sets()


def test_a_class_that_no_training_text_has_stops_the_training(tmp_path, data):
    toml = TOML.replace('negative = "negative"', 'negative = "negative", other = "not negative"')
    (data / "data_sets.toml").write_text(toml, encoding="utf-8")
    given = config(tmp_path)
    assert known_sets(data)["desk"].classes[-1] == "not negative"
    with pytest.raises(DataError, match=r"expected training texts of desk for each of .* found none for not negative"):
        load_data(given, training_tokenizer(Path(given.encoder), given.max_tokens))
