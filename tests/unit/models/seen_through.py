"""A release whose answers can be read off its texts: the words bad, flat and good are its three sentiments."""

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, normalizers
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from models.data import Example
from models.labelled import Labelled
from models.registry import ENCODER, Release
from models.release import HEAD_SPECS, ReleaseInfo, write_release

WORDS = ("[PAD]", "[UNK]", "bad", "flat", "good", "acme", "bolt")


class OneHot:
    """A contract encoder whose hidden state says which of bad, flat, good each token is."""

    name = "one-hot"

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        hidden = np.zeros((*ids.shape, 3), dtype=np.float32)
        for place, word in enumerate(("bad", "flat", "good")):
            hidden[..., place] = (ids == WORDS.index(word)) * mask
        return hidden


def release_in(folder: Path, **heads: np.ndarray) -> Release:
    """The release; `heads` are weights [L, 3] of heads that shall answer; own heads not named answer nothing."""
    source = folder / "encoder"
    source.mkdir()
    (source / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 3, "pad_token_id": 0}))
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(source / "tokenizer.json"))
    state: dict[str, np.ndarray] = {f"{ENCODER}w": np.zeros((2, 2), dtype=np.float32)}
    for name, spec in HEAD_SPECS.items():
        width = 6 if spec.input == "mention+text" else 3
        state[f"heads.{name}.weight"] = np.zeros((len(spec.labels), width), dtype=np.float32)
        state[f"heads.{name}.bias"] = np.zeros(len(spec.labels), dtype=np.float32)
    state["heads.sentiment.weight"] = np.eye(3, dtype=np.float32) * 20
    state["heads.entity_sentiment.weight"] = np.eye(3, 6, dtype=np.float32) * 20
    for name, weight in heads.items():
        state[f"heads.{name}.weight"] = weight.astype(np.float32)
    return write_release(folder / "tiny", state, source, ReleaseInfo("tiny"))


def labelled(*pairs: tuple[str, int], name: str = "fpb") -> Labelled:
    """Texts with the index of their sentiment."""
    said = ("negative", "neutral", "positive")
    examples = [Example(str(n), text, name, "en", sentiment=gold, own=(said[gold],)) for n, (text, gold) in
                enumerate(pairs)]  # fmt: skip
    return Labelled(name, examples)
