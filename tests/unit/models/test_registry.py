"""What a release refuses: anything touched, missing, pickled, cut short or of another shape, each with a sentence."""

import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from models.calibration import Registers
from models.registry import MANIFEST, REGISTERS, WEIGHTS, ModelError, Release, load_release, sha256, version_of
from models.release import ReleaseInfo, seal
from tests.tiny_release import tiny_release


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return tiny_release(tmp_path)


def change(release: Release, edit: Callable[[dict[str, Any]], object], file: str = "") -> None:
    """Edit the manifest; with `file`, state its hash and the new version, as whoever tampers with care would."""
    manifest = json.loads((release.folder / MANIFEST).read_text(encoding="utf-8"))
    edit(manifest)
    if file:
        manifest["files"][file] = {"sha256": sha256(release.folder / file)}
        manifest["version"] = version_of(manifest)
    (release.folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def test_the_version_names_all_that_decides_an_answer(release: Release) -> None:
    before = release.version
    assert before == version_of(release.manifest)
    seal(release.folder, ReleaseInfo("tiny", temperatures={"sentiment": {"en": 1.3, "zh": 3.0}}))
    warmer = load_release(release.folder).version
    seal(release.folder, ReleaseInfo("tiny", temperatures={"sentiment": {"en": 1.3, "zh": 3.0}}, metrics={}))
    assert before != warmer
    assert load_release(release.folder).version == warmer


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m["calibration"]["floor"].update(sentiment=0.0),
        lambda m: m["calibration"]["thresholds"].update(earnings=0.01),
        lambda m: m["heads"]["sentiment"]["labels"].reverse(),
        lambda m: m["encoder"].update(max_tokens=8),
        lambda m: m.update(name="another"),
    ],
)
def test_a_tampered_manifest_is_refused(release: Release, edit: Callable[[dict[str, Any]], object]) -> None:
    change(release, edit)
    with pytest.raises(ModelError, match=r"should have the version .* changed or damaged\. Restore"):
        load_release(release.folder)


def test_a_release_of_format_1_is_still_read(release: Release) -> None:
    weights = release.manifest["files"][WEIGHTS]["sha256"]
    change(release, lambda m: m.update(format=1, version=f"tiny+{weights[:8]}"))
    assert load_release(release.folder).version == f"tiny+{weights[:8]}"
    assert load_release(release.folder).calibration.registers is None


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "tokenizer.json", "CARD.md"])
def test_a_missing_file_is_named(release: Release, name: str) -> None:
    (release.folder / name).unlink()
    with pytest.raises(ModelError, match=rf"should hold {name}, which is missing\. Restore"):
        load_release(release.folder)


def test_pickled_weights_are_not_read(release: Release, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "exploded",)

    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    for given in (tmp_path / "hub", tmp_path / "hub" / "pytorch_model.bin"):
        with pytest.raises(ModelError, match=r"found pytorch_model\.bin: pickled weights are not.*Give the"):
            load_release(given)
    # and under the right name, with hash and version in order
    (release.folder / WEIGHTS).write_bytes(pickle.dumps(Bomb()))
    change(release, lambda m: None, WEIGHTS)
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        _ = load_release(release.folder).state
    # or as one more file of the release
    (release.folder / "head.bin").write_bytes(pickle.dumps(Bomb()))
    change(release, lambda m: None, "head.bin")
    with pytest.raises(ModelError, match=r"names 'head\.bin': expected .* pickled file"):
        load_release(release.folder)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", ["../source/config.json", "..", ".", "", "head.joblib", "notes.txt"])
def test_a_file_that_no_release_has_is_refused(release: Release, name: str) -> None:
    change(release, lambda m: m["files"].update({name: {"sha256": "0" * 64}}))
    with pytest.raises(
        ModelError, match=rf"names {re.escape(repr(name))}: expected model\.safetensors or .*CARD\.md, as"
    ):
        load_release(release.folder)


def test_files_without_a_hash_are_refused(release: Release) -> None:
    change(release, lambda m: m["files"].update({"config.json": "as it was"}))
    with pytest.raises(ModelError, match=r"states no SHA-256 for config\.json"):
        load_release(release.folder)
    change(release, lambda m: m["files"].pop(WEIGHTS))
    with pytest.raises(ModelError, match=r"states no SHA-256 for model\.safetensors"):
        load_release(release.folder)


def test_a_truncated_file_is_refused_even_when_its_hash_is_in_order(release: Release) -> None:
    content = (release.folder / WEIGHTS).read_bytes()
    (release.folder / WEIGHTS).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="should have SHA-256"):
        load_release(release.folder)
    change(release, lambda m: None, WEIGHTS)
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        _ = load_release(release.folder).heads


def replaced(release: Release, name: str, value: np.ndarray) -> Release:
    """The release with another tensor, hash and version in order."""
    tensors = load_file(release.folder / WEIGHTS)
    save_file(tensors | {name: value}, release.folder / WEIGHTS)
    change(release, lambda m: None, WEIGHTS)
    return load_release(release.folder)


@pytest.mark.parametrize("shape", [(3, 5), (4, 32)])
def test_a_head_of_another_shape_is_refused(release: Release, shape: tuple[int, int]) -> None:
    other = replaced(release, "heads.sentiment.weight", np.zeros(shape, np.float32))
    with pytest.raises(ModelError, match=rf"promises a head 'sentiment' of 3 .* holds \[{shape[0]}, {shape[1]}\]"):
        _ = other.heads


def test_an_encoder_of_another_shape_is_refused(release: Release) -> None:
    other = replaced(release, "encoder.embeddings.word_embeddings.weight", np.zeros((40, 7), np.int8))
    with pytest.raises(ModelError, match=r"promises an encoder .* shape \[40, 7\]: a checkpoint of another"):
        other.packed()


def test_registers_travel_in_a_file_of_their_own(release: Release) -> None:
    width = int(release.manifest["encoder"]["hidden_size"])
    scales = {"sentiment": np.array([1.0, 2.0], np.float32)}
    weight, bias = np.ones((2, width), np.float32), np.zeros(2, np.float32)
    registers = Registers(("forum", "news"), weight, bias, scales)
    seal(release.folder, ReleaseInfo("tiny", registers=registers))
    read = load_release(release.folder).calibration.registers
    assert read is not None
    assert read.names == ("forum", "news")
    np.testing.assert_array_equal(read.scales["sentiment"], [1.0, 2.0])
    np.testing.assert_array_equal(read.weight, weight)

    save_file({"register.weight": weight[:1], "register.bias": bias[:1]}, release.folder / REGISTERS)
    change(release, lambda m: None, REGISTERS)
    with pytest.raises(ModelError, match=r"calibration .* cannot be used: 2 registers, but .* Restore"):
        _ = load_release(release.folder).calibration

    seal(release.folder, ReleaseInfo("tiny"))
    assert not (release.folder / REGISTERS).exists()
