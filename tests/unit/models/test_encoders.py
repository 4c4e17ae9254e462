"""Any encoder by name or folder: taken as it is, laid out when its tokenizer is of an older kind, or refused."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed (pip install 'windvane[models]')")
pytest.importorskip("transformers", reason="transformers is not installed (pip install 'windvane[models]')")

from transformers import BertConfig, BertModel, T5Config, T5Model

from models.batches import training_tokenizer
from models.encoders import EncoderError, encoder_folder, load_encoder_model
from tests.unit.models.tiny_training import make_encoder


def test_a_complete_folder_is_used_where_it_lies(tmp_path: Path) -> None:
    folder = make_encoder(tmp_path / "base")
    assert encoder_folder(str(folder), tmp_path / "work") == folder
    assert not (tmp_path / "work").exists()


def test_a_folder_with_a_vocabulary_only_is_laid_out_once(tmp_path: Path) -> None:
    old = tmp_path / "old"
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "profit", "warn", "##ing", "股", "价")
    config = BertConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=32)  # fmt: skip
    BertModel(config).save_pretrained(old)
    (old / "vocab.txt").write_text("\n".join(words) + "\n", "utf-8")
    folder = encoder_folder(str(old), tmp_path / "work")
    assert folder == tmp_path / "work" / "encoder"
    encoding = training_tokenizer(folder, 16).encode("profit warning 股价")
    assert encoding.tokens == ["[CLS]", "profit", "warn", "##ing", "股", "价", "[SEP]"]
    assert load_encoder_model(folder).config.hidden_size == 16
    made = (folder / "model.safetensors").stat().st_mtime_ns
    assert encoder_folder(str(old), tmp_path / "work") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == made


def test_a_model_that_writes_text_is_refused(tmp_path: Path) -> None:
    T5Model(T5Config(vocab_size=20, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)).save_pretrained(
        tmp_path / "t5"
    )
    with pytest.raises(EncoderError, match=r"expected an encoder such as BERT .* found T5Model"):
        load_encoder_model(tmp_path / "t5")
