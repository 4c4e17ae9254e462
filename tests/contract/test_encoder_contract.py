"""Both engines, in each precision, pass the encoder contract on a small random BERT made here."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.batching import pad
from models.contract import Encoder
from models.engines.onnx import OnnxEncoder, Weights, load_onnx_encoder
from models.engines.onnx_graph import Form, build_graph
from models.engines.processor import instruction_sets, int8_is_exact
from models.quantise import unpack
from models.registry import ModelError
from tests.contract.encoder_contract import LENGTHS, EncoderContract, encode, some_rows
from tests.tiny_release import bert, tiny_config, tiny_packed


def weights(**changes: object) -> Weights:
    """As a release stores them: matrices as int8 with a scale per row."""
    config = tiny_config(**changes)
    return Weights(config, tiny_packed(config), "tiny")


class OnnxContract(EncoderContract):
    precision: str

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls) -> Encoder:
        return load_onnx_encoder(weights(), cls.precision, threads=2)

    def test_threads_change_nothing(self, alone: list[NDArray[np.float32]]) -> None:
        one = load_onnx_encoder(weights(), self.precision, threads=1)
        assert all(map(np.array_equal, encode(one, some_rows(LENGTHS)), alone))

    def test_damaged_cache_is_built_again(self, alone: list[NDArray[np.float32]], tmp_path: Path) -> None:
        folder = tmp_path / "not" / "there" / "yet"
        load_onnx_encoder(weights(), self.precision, cache_dir=folder)
        (file,) = folder.iterdir()
        good = file.read_bytes()
        for bad in (b"", good[: len(good) // 2], good[:5000] + b"\x00\x01\x02" + good[5003:]):
            file.write_bytes(bad)
            encoder = load_onnx_encoder(weights(), self.precision, cache_dir=folder)
            assert file.read_bytes() == good and [f.name for f in folder.iterdir()] == [file.name]
        assert np.array_equal(encode(encoder, some_rows(LENGTHS)[:1])[0], alone[0])

    def test_a_cache_that_cannot_be_written_only_costs_time(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a folder")
        assert load_onnx_encoder(weights(), self.precision, cache_dir=tmp_path / "file" / "cache").name


class TestOnnxFp32(OnnxContract):
    precision, tolerance = "fp32", 2e-5


class TestOnnxInt8(OnnxContract):
    precision, tolerance = "int8", 0.25

    def test_the_cache_is_used(self, tmp_path: Path) -> None:
        """A file whose digest is right is taken as it is."""
        load_onnx_encoder(weights(), "int8", cache_dir=tmp_path)
        (file,) = tmp_path.iterdir()
        before = file.stat().st_mtime_ns
        load_onnx_encoder(weights(), "int8", cache_dir=tmp_path)
        assert file.stat().st_mtime_ns == before

    @pytest.mark.skipif(not int8_is_exact(instruction_sets()), reason="this processor needs the wide form anyway")
    def test_wide_weights_give_the_same_bits(self, alone: list[NDArray[np.float32]]) -> None:
        given = weights()
        model = build_graph(given.config, given.tensors, Form("int8", wide=True)).SerializeToString()
        wide = OnnxEncoder(model, given.config, "int8 wide", 2)
        assert all(map(np.array_equal, encode(wide, some_rows(LENGTHS)), alone))


@pytest.mark.slow  # importing transformers takes seconds
class TestTorchFp32(EncoderContract):
    precision, tolerance = "fp32", 2e-5

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls) -> Encoder:
        pytest.importorskip("transformers")
        from models.engines.torch import load_torch_encoder

        return load_torch_encoder(weights().config, unpack(weights().tensors), cls.precision, threads=1)


class TestTorchBf16(TestTorchFp32):
    precision, tolerance = "bf16", 0.25


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_the_reference_and_onnx_are_as_transformers_computes(kind: str) -> None:
    """Also the RoBERTa family's way to count positions."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.set_num_threads(1)  # two beside a busy neighbour take fifty times as long
    given, rows = weights(model_type=kind), some_rows((3, 12, 40, 300))
    settings = {k: v for k, v in given.config.items() if k != "model_type"}
    model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(kind, **settings)).eval()
    state = {name: torch.from_numpy(value) for name, value in unpack(given.tensors).items()}
    assert not model.load_state_dict(state, strict=False).unexpected_keys
    for row, ours in zip(rows, encode(load_onnx_encoder(given, "fp32"), rows), strict=True):
        with torch.inference_mode():
            theirs = model(input_ids=torch.tensor([row])).last_hidden_state[0].numpy()
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
        if kind == "bert":
            np.testing.assert_allclose(bert(unpack(given.tensors), row), theirs, atol=2e-5)


@pytest.mark.parametrize("changes", [{"model_type": "distilbert"}, {"hidden_act": "relu"}])
def test_another_encoder_is_sent_to_torch(changes: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="--engine torch"):
        load_onnx_encoder(weights(**changes), "fp32")


def test_weights_of_another_encoder_are_named() -> None:
    given = weights()
    lacking = {k: v for k, v in given.tensors.items() if "layer.1.output.dense" not in k}
    with pytest.raises(ModelError, match=r"encoder\.layer\.1\.output\.dense"):
        load_onnx_encoder(given._replace(tensors=lacking), "fp32")


def test_pad_marks_real_tokens() -> None:
    ids, mask = pad([[5, 6, 7], [8]], 1)
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1]] and mask.tolist() == [[1, 1, 1], [1, 0, 0]]
