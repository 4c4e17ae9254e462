"""A small random-weight release made on the spot, so that tests of the model need no weights and no data."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import erf, softmax
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel

from models.language import LANGUAGES
from models.pair import write_pair
from models.paired import Pair
from models.quantise import pack
from models.registry import Release
from models.release import HEAD_SPECS, ReleaseInfo, write_release
from models.taxonomy import TOPIC_IDS

HIDDEN, LAYERS, VOCABULARY, LONGEST = 64, 2, 400, 320


def tiny_config(**changes: Any) -> dict[str, Any]:
    """The configuration of a BERT of 2 layers and 64 dimensions."""
    base = {
        "model_type": "bert", "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
        "intermediate_size": 16 * HIDDEN, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "vocab_size": VOCABULARY,
        "max_position_embeddings": LONGEST, "type_vocab_size": 2, "pad_token_id": 1,
    }  # fmt: skip
    return base | changes


def tiny_state(config: dict[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
    """Random float32 tensors under Hugging Face's names, of the sizes that make attention and layers matter."""
    rng = np.random.default_rng(seed)
    h, wide = config["hidden_size"], config["intermediate_size"]

    def matrix(rows: int, columns: int, scale: float = 1.0) -> np.ndarray:
        return (rng.normal(0, scale / np.sqrt(columns), (rows, columns))).astype(np.float32)

    def vector(size: int, middle: float) -> np.ndarray:
        return (middle + rng.normal(0, 0.1, size)).astype(np.float32)

    state = {
        "embeddings.word_embeddings.weight": matrix(config["vocab_size"], h),
        "embeddings.position_embeddings.weight": matrix(config["max_position_embeddings"], h, 0.3),
        "embeddings.token_type_embeddings.weight": matrix(config["type_vocab_size"], h, 0.3),
    }
    norms = ["embeddings."]
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        square = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
        shapes = dict.fromkeys(square, (h, h)) | {"intermediate.dense": (wide, h), "output.dense": (h, wide)}
        for name, (rows, columns) in shapes.items():
            state[f"{at}{name}.weight"], state[f"{at}{name}.bias"] = matrix(rows, columns, 1.5), vector(rows, 0.0)
        norms += [at + "attention.output.", at + "output."]
    for at in norms:
        state[at + "LayerNorm.weight"], state[at + "LayerNorm.bias"] = vector(h, 1.0), vector(h, 0.0)
    return state


def tiny_packed(config: dict[str, Any] | None = None) -> dict[str, np.ndarray]:
    """The tensors as a release stores them: matrices as int8 with a scale per row."""
    return pack(tiny_state(config or tiny_config()), keep="heads.")


def bert(state: Mapping[str, np.ndarray], ids: list[int]) -> np.ndarray:
    """BERT in numpy, one row: the reference the engines are held to. A test compares it with transformers."""
    heads = 4

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ state[name + ".weight"].T + state[name + ".bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        return scaled * state[name + "LayerNorm.weight"] + state[name + "LayerNorm.bias"]

    def by_head(x: np.ndarray) -> np.ndarray:
        return x.reshape(len(ids), heads, -1).transpose(1, 0, 2)

    words, places, kinds = (state[f"embeddings.{k}_embeddings.weight"] for k in ("word", "position", "token_type"))
    x = norm(words[ids] + places[: len(ids)] + kinds[0], "embeddings.")
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        q, k, v = (by_head(linear(x, f"{at}attention.self.{part}")) for part in ("query", "key", "value"))
        context = softmax(q @ k.transpose(0, 2, 1) / np.sqrt(HIDDEN // heads), axis=-1) @ v
        context = context.transpose(1, 0, 2).reshape(len(ids), HIDDEN)
        x = norm(x + linear(context, at + "attention.output.dense"), at + "attention.output.")
        wide = linear(x, at + "intermediate.dense")
        x = norm(x + linear(wide * 0.5 * (1 + erf(wide / np.sqrt(2))), at + "output.dense"), at + "output.")
    return x


def tiny_tokenizer(file: Path) -> None:
    """Words by hash-free lookup: w0, w1, …; Han characters one by one; anything else is <unk>."""
    words = ["<s>", "<pad>", "</s>", "<unk>", *"苹果公司股价下跌大涨利好利空", "shares", "fall", "rise", "apple"]
    words = list(dict.fromkeys(words))
    words += [f"w{i}" for i in range(VOCABULARY - len(words))]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.normalizer = normalizers.BertNormalizer(clean_text=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(file))


def tiny_release(folder: Path, seed: int = 0) -> Release:
    """A whole release under `folder`, written and read back by the project's own code."""
    source = folder / "source"
    source.mkdir(parents=True)
    config = tiny_config()
    (source / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tiny_tokenizer(source / "tokenizer.json")
    state = {f"encoder.{name}": value for name, value in tiny_state(config, seed).items()}
    rng = np.random.default_rng(seed + 1)
    for name, spec in HEAD_SPECS.items():
        width = HIDDEN * (2 if spec.input == "mention+text" else 1)
        state[f"heads.{name}.weight"] = rng.normal(0, 0.5, (len(spec.labels), width)).astype(np.float32)
        state[f"heads.{name}.bias"] = np.zeros(len(spec.labels), np.float32)
    info = ReleaseInfo(
        "tiny",
        temperatures={"sentiment": {"en": 1.0, "zh": 3.0}, "topics": {"en": 1.0, "zh": 1.0}},
        thresholds=dict.fromkeys(TOPIC_IDS, 0.5),
        floor={"sentiment": 0.5, "entity_sentiment": 0.4},
    )
    return write_release(folder / "release", state, source, info)


def tiny_pair(folder: Path) -> Pair:
    """A pair of two different tiny releases, in `folder`/pair."""
    parts = {language: tiny_release(folder / language, seed) for seed, language in enumerate(LANGUAGES)}
    return write_pair(parts, folder / "pair", "tiny-pair")
