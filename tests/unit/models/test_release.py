"""The released format: written, read back, refused when touched."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.heads import Head, mean_pool, mention_input, sigmoid, softmax, span_pool
from models.quantise import pack, quantise_rows, unpack
from models.registry import ENCODER, WEIGHTS, ModelError, Release, load_release
from models.release import HEAD_SPECS, ReleaseInfo, folder_bytes, warn_of_size, write_release

HIDDEN = 8


def tiny_state() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    state = {
        f"{ENCODER}embeddings.word_embeddings.weight": rng.normal(size=(30, HIDDEN)).astype(np.float32),
        f"{ENCODER}embeddings.LayerNorm.bias": rng.normal(size=HIDDEN).astype(np.float32),
    }
    for name, spec in HEAD_SPECS.items():
        width = HIDDEN * (2 if spec.input == "mention+text" else 1)
        state[f"heads.{name}.weight"] = rng.normal(size=(len(spec.labels), width)).astype(np.float32)
        state[f"heads.{name}.bias"] = rng.normal(size=len(spec.labels)).astype(np.float32)
    return state


@pytest.fixture
def release(tmp_path: Path) -> Release:
    source = tmp_path / "encoder"
    source.mkdir()
    config = {"model_type": "bert", "hidden_size": HIDDEN, "max_position_embeddings": 64, "pad_token_id": 1}
    (source / "config.json").write_text(json.dumps(config))
    (source / "tokenizer.json").write_text("{}")
    info = ReleaseInfo("tiny", temperatures={"sentiment": {"en": 1.5, "zh": 2.0}})
    return write_release(tmp_path / "tiny", tiny_state(), source, info)


def test_a_release_reads_back_what_was_written(release: Release) -> None:
    state = tiny_state()
    assert release.version.startswith("tiny+")
    assert release.max_tokens == 64
    head = release.heads["sentiment"]
    np.testing.assert_array_equal(head.weight, state["heads.sentiment.weight"])  # heads are not quantised
    words = state[f"{ENCODER}embeddings.word_embeddings.weight"]
    read = release.encoder_state()["embeddings.word_embeddings.weight"]
    assert np.abs(read - words).max() <= np.abs(words).max() / 127
    assert "Version" in (release.folder / "CARD.md").read_text(encoding="utf-8")


def test_a_language_never_seen_gets_the_cautious_temperature(release: Release) -> None:
    calibration = release.calibration
    assert calibration.temperature("sentiment", "en") == 1.5
    assert calibration.temperature("sentiment", "other") == 2.0
    assert calibration.temperature("topics", "en") == 1.0


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "tokenizer.json", "CARD.md"])
def test_a_changed_file_is_refused(release: Release, name: str) -> None:
    file = release.folder / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(ModelError, match=rf"{name} should have SHA-256 .* changed or damaged"):
        load_release(release.folder)


def test_a_missing_file_is_named(release: Release) -> None:
    (release.folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors, which is missing"):
        load_release(release.folder)


def test_no_folder_bad_json_and_another_format_are_sentences(release: Release, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No model in"):
        load_release(tmp_path / "nowhere")
    manifest = release.folder / "manifest.json"
    kept = manifest.read_text(encoding="utf-8")
    manifest.write_text("{")
    with pytest.raises(ModelError, match="should be JSON"):
        load_release(release.folder)
    manifest.write_text(kept.replace('"format": 2', '"format": 9'))
    with pytest.raises(ModelError, match="format 9"):
        load_release(release.folder)
    manifest.write_text("{}")
    with pytest.raises(ModelError, match="lacks format"):
        load_release(release.folder)


def test_quantised_rows_come_back_within_half_a_step() -> None:
    rng = np.random.default_rng(4)
    matrix = rng.normal(size=(20, 64)).astype(np.float32) * np.logspace(-4, 2, 20, dtype=np.float32)[:, None]
    matrix[3] = 0
    rows, scale = quantise_rows(matrix)
    assert rows.dtype == np.int8
    error = np.linalg.norm(rows * scale[:, None] - matrix, axis=1) / np.maximum(np.linalg.norm(matrix, axis=1), 1e-9)
    assert error.max() < 0.01
    kept = unpack(pack({"a.weight": matrix, "heads.a.weight": matrix}, keep="heads."))
    np.testing.assert_array_equal(kept["heads.a.weight"], matrix)


def test_pooling_leaves_padding_out() -> None:
    hidden = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    mask = np.array([[1, 1, 0], [1, 1, 1]])
    np.testing.assert_allclose(mean_pool(hidden, mask)[0], hidden[0, :2].mean(axis=0))
    mentions = span_pool(hidden, [(1, 1, 3)])
    np.testing.assert_allclose(mentions[0], hidden[1, 1:3].mean(axis=0))
    joined = mention_input(mentions, mean_pool(hidden, mask), [1])
    assert joined.shape == (1, 8)
    with pytest.raises(ValueError, match="at least one"):
        span_pool(hidden, [(0, 2, 2)])


def test_probabilities_are_safe_for_large_logits() -> None:
    np.testing.assert_allclose(softmax(np.array([[1e4, 0.0]], dtype=np.float32)), [[1.0, 0.0]])
    np.testing.assert_allclose(sigmoid(np.array([-1e4, 1e4], dtype=np.float32)), [0.0, 1.0])


def test_numpy_heads_equal_the_torch_module() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'windvane[models]')")
    pytest.importorskip("transformers", reason="transformers is not installed (pip install 'windvane[models]')")
    from transformers import BertConfig, BertModel

    from models.network import Batch, Network

    config = BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    network = Network(BertModel(config), 16, dropout=0.1).eval()
    ids = torch.randint(3, 40, (3, 6))
    mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2, [1] * 2 + [0] * 4])
    weights = torch.zeros(2, 6)
    weights[0, 1:3] = 0.5
    weights[1, 1] = 1.0
    with torch.no_grad():
        logits = network(Batch(ids, mask, weights, torch.tensor([0, 2]), {}))
        hidden = network.encoder(input_ids=ids, attention_mask=mask).last_hidden_state.numpy()
    state = {name: value.numpy() for name, value in network.released_state().items()}
    text = mean_pool(hidden, mask.numpy())
    mention = mention_input(span_pool(hidden, [(0, 1, 3), (2, 1, 2)]), text, [0, 2])
    for name, spec in HEAD_SPECS.items():
        head = Head(
            name, spec.kind, spec.input, spec.labels, state[f"heads.{name}.weight"], state[f"heads.{name}.bias"]
        )
        pooled = mention if spec.input == "mention+text" else text
        np.testing.assert_allclose(head.logits(pooled), logits[name].numpy(), atol=1e-5)


def test_a_model_of_ones_own_may_be_large(release: Release, caplog: pytest.LogCaptureFixture,
                                          monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr("models.release.MAX_BYTES", 100)
    assert folder_bytes(release.folder) == sum(file.stat().st_size for file in release.folder.iterdir())
    assert not caplog.text
    warn_of_size(release.folder)
    assert "cut_vocabulary" in caplog.text
