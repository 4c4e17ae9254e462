"""A run that goes on from earlier weights: what it starts from, what its card says, and the tokens it leaves out."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from models.joint import drop_tokens
from models.network import Batch, build_network
from models.publish import run_before, trained_on, with_trained_heads
from models.release import info_of, seal
from models.settings import TrainConfig
from models.train import starting_weights
from pipeline.errors import WindvaneError
from tests.tiny_release import tiny_release
from tests.unit.models.tiny_training import make_encoder

UNKNOWN = 3


def batch(*lengths: int) -> Batch:
    width = max(lengths)
    mask = torch.tensor([[int(at < n) for at in range(width)] for n in lengths])
    return Batch(mask * 100, mask, torch.zeros(0, width), torch.zeros(0, dtype=torch.long), {})


def test_about_the_share_is_dropped_and_never_the_ends_or_the_padding():
    torch.manual_seed(1)
    given = batch(400, 100, 3, 2, 1)
    dropped = drop_tokens(given, 0.25, UNKNOWN)
    gone = dropped.ids == UNKNOWN
    assert 0.2 < gone[0].float().mean() < 0.3
    for row, length in enumerate((400, 100, 3, 2, 1)):
        assert not gone[row, 0] and not gone[row, length - 1], "the special tokens at both ends stay"
        assert not gone[row, length:].any()
    assert (dropped.ids[~gone] == given.ids[~gone]).all()
    assert drop_tokens(given, 0.0, UNKNOWN) is given


def test_starting_weights_are_those_of_the_file_and_a_missing_one_is_a_sentence(tmp_path):
    file = tmp_path / "trained.safetensors"
    save_file({"heads.topics.bias": torch.tensor([1.0, 2.0])}, file)
    assert starting_weights(file)["heads.topics.bias"].tolist() == [1.0, 2.0]
    with pytest.raises(WindvaneError, match=r"weights to start from at .*none\.safetensors, found none"):
        starting_weights(tmp_path / "none.safetensors")


def test_the_card_counts_the_rounds_of_both_runs(tmp_path):
    record = {
        "config": {"name": "first", "repeats": {"fpb": 4.0, "finnl": 1.0}},
        "steps": 7,
        "tokens": 8,
        "seconds": 9.0,
    }
    (tmp_path / "run.json").write_text(json.dumps(record), encoding="utf-8")
    before = run_before({"config": {"start": str(tmp_path / "trained.safetensors")}})
    assert (before["name"], before["steps"]) == ("first", 7)
    config = TrainConfig("second", "e", "d", "w", repeats={"finnl": 2.5, "thuc10": 1.0}, task_weights={})
    assert {entry["set"]: entry["rounds"] for entry in trained_on(config, before)} == {
        "fpb": 4.0, "finnl": 3.5, "thuc10": 1.0,
    }  # fmt: skip
    assert run_before({"config": {"start": ""}}) == {}
    (tmp_path / "second").mkdir()
    second = {"config": {"name": "second", "start": str(tmp_path / "trained.safetensors"), "repeats": {"fpb": 1.5}},
              "steps": 1, "tokens": 2, "seconds": 3.0}  # fmt: skip
    (tmp_path / "second" / "run.json").write_text(json.dumps(second), encoding="utf-8")
    both = run_before({"config": {"start": str(tmp_path / "second" / "trained.safetensors")}})
    assert both == {"name": "first and second", "steps": 8, "tokens": 10, "seconds": 12.0,
                    "repeats": {"fpb": 5.5, "finnl": 1.0}}  # fmt: skip


def test_a_run_from_a_release_names_its_sets_and_their_terms(tmp_path):
    release = tiny_release(tmp_path)
    told = {"set": "desk", "rounds": 2.0, "title": "ours", "origin": "here", "licence": "secret"}
    seal(release.folder, replace(info_of(release), trained_on=[told]))
    before = run_before({"config": {"start": str(release.folder)}})
    assert before["name"] == "tiny"
    config = TrainConfig("second", "e", "d", "w", repeats={"fpb": 1.0}, task_weights={})
    found = trained_on(config, before)
    assert found[0] == told
    assert (found[1]["set"], found[1]["rounds"]) == ("fpb", 1.0)


def test_own_heads_that_the_weights_lack_begin_afresh(tmp_path):
    network = build_network(make_encoder(tmp_path / "base"), 0.0)
    whole = network.released_state()
    part = {k: v + 1 for k, v in whole.items() if not k.startswith(("heads.finnl.", "heads.fpb."))}
    network.load_released(part)
    found = network.released_state()
    assert (found["heads.finnl.weight"] == whole["heads.finnl.weight"]).all()
    assert (found["heads.fpb.weight"] == part["heads.sentiment.weight"]).all()
    with pytest.raises(WindvaneError, match=r"heads\.topics\.weight"):
        network.load_released({k: v for k, v in part.items() if k != "heads.topics.weight"})


def test_only_heads_that_a_set_of_the_runs_languages_taught_are_kept():
    names = ("topics", "sentiment", "entity_sentiment", "fpb", "twitter20", "finnl", "finfe")
    state = {f"heads.{name}.weight": name for name in names} | {"encoder.x": "x"}
    taught = [{"set": name} for name in ("fpb", "finnl", "thuc10", "desk")]
    assert set(with_trained_heads(state, taught, ("en",)).values()) == {
        "topics", "sentiment", "entity_sentiment", "fpb", "x",
    }  # fmt: skip
    assert "finnl" in with_trained_heads(state, taught, ("en", "zh")).values()
