"""From a finished run to a release: calibrated, scored, with a card; and again from kept answers."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'windvane[models]')")
pytest.importorskip("transformers", reason="transformers is not installed (pip install 'windvane[models]')")
pytest.importorskip("sklearn", reason="scikit-learn is not installed (pip install 'windvane[models]')")

from safetensors.numpy import load_file, save_file  # noqa: E402

from models.cut import is_validation  # noqa: E402
from models.examples import Example  # noqa: E402
from models.labelled import Labelled  # noqa: E402
from models.network import build_network  # noqa: E402
from models.publish import languages_of, publish  # noqa: E402
from models.registry import ENCODER, REGISTERS, load_release  # noqa: E402
from models.settings import TrainConfig  # noqa: E402
from tests.unit.models.tiny_training import make_data, rows, tiny_config, write  # noqa: E402


@pytest.fixture
def run(tmp_path: Path) -> TrainConfig:
    """A run that has ended: random weights and its record."""
    make_data(tmp_path / "data", count=1600)
    config = tiny_config(tmp_path)
    work = Path(config.work)
    work.mkdir()
    torch.manual_seed(3)
    state = build_network(config.encoder, 0.0).released_state()
    save_file(
        {name: np.ascontiguousarray(value.numpy()) for name, value in state.items()}, work / "trained.safetensors"
    )
    counts = {"training": 1440, "validation": 160, "dropped_as_leaks": 0}
    record = {
        "config": asdict(config), "data": {"sha256": "ab" * 32, "rows": {"fpb": counts, "twitter": counts}},
        "machine": {"device": "cpu", "threads": 1, "torch": "2", "bf16": False}, "steps": 1, "tokens": 100,
        "seconds": 1.0, "validation": [],
    }  # fmt: skip
    (work / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return config


def test_a_finished_run_is_published_and_again_without_the_encoder(run: TrainConfig, tmp_path: Path) -> None:
    work, out = Path(run.work), tmp_path / "released"
    first = publish(work, out, run)
    assert first.manifest["format"] == 2
    assert first.calibration.registers is not None
    assert set(first.calibration.registers.names) == {"fpb", "twitter"}
    assert {(row["set"], row["head"]) for row in first.manifest["metrics"]["reliability"]["sets"]} == {
        ("fpb", "sentiment"), ("fpb", "fpb"), ("twitter", "sentiment"), ("twitter", "twitter"),
    }  # fmt: skip
    card = (out / "CARD.md").read_text(encoding="utf-8")
    for title in ("## Scores", "## Calibration", "## Reliability", "## The unsure band"):
        assert title in card

    # what was answered once is read back
    kept = {file.name: file.stat().st_mtime_ns for file in (work / "raw").iterdir()}
    again = publish(work, out, run)
    assert again.version == first.version
    assert {file.name: file.stat().st_mtime_ns for file in (work / "raw").iterdir()} == kept
    assert (out / REGISTERS).is_file()
    assert load_release(out).manifest["metrics"]["sets"] == first.manifest["metrics"]["sets"]

    # other weights are asked anew
    tensors = load_file(work / "trained.safetensors")
    word = f"{ENCODER}embeddings.word_embeddings.weight"
    save_file(tensors | {word: tensors[word] * 2}, work / "trained.safetensors")
    other = publish(work, out, run)
    assert other.version != first.version
    assert len(list((work / "raw").iterdir())) == 2 * len(kept)


def test_a_run_without_the_newer_heads_is_still_published(run: TrainConfig, tmp_path: Path) -> None:
    work = Path(run.work)
    tensors = load_file(work / "trained.safetensors")
    save_file({k: v for k, v in tensors.items() if not k.startswith("heads.fpb.")}, work / "trained.safetensors")
    release = publish(work, tmp_path / "released", replace(run, repeats={"fpb": 1.0}))
    assert "fpb" not in release.heads
    assert set(release.heads) == {"topics", "sentiment", "entity_sentiment"}  # nothing taught the others
    assert set(release.manifest["metrics"]["sets"]) == {"fpb", "twitter"}  # both are English
    assert release.languages == ("en",)
    assert release.calibration.registers is None  # one set alone: temperatures
    assert release.calibration.temperatures["sentiment"].keys() == {"en"}


def test_a_set_without_a_validation_text_is_trained_on_and_not_judged(run: TrainConfig, tmp_path: Path) -> None:
    small = [row for row in rows("twitter", 240) if not is_validation(row["text"])]
    write(Path(run.data) / "en_sent" / "twitter.jsonl", small)
    release = publish(Path(run.work), tmp_path / "released", run)
    assert {"fpb", "twitter"} <= set(release.heads)
    assert set(release.manifest["metrics"]["sets"]) == {"fpb"}
    assert [entry["set"] for entry in release.manifest["trained_on"]] == ["fpb", "twitter"]


def test_a_stray_text_does_not_make_a_run_bilingual() -> None:
    def cut(*languages: str) -> Labelled:
        return Labelled("desk", [Example("", "", "desk", language) for language in languages])

    english = cut(*["en"] * 40, "zh")
    assert languages_of([english]) == ("en",)
    assert languages_of([english, cut("zh")]) == ("en", "zh")  # a set of its own, however small
    assert languages_of([cut()]) == ("en", "zh")
