"""A training small enough for a unit test: a random encoder of two layers, two sets of made-up headlines."""

import json
import random
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from models.settings import TrainConfig

UP, DOWN, FLAT = ("gains", "soars", "beats"), ("falls", "loses", "misses"), ("meets", "holds", "says")
NAMES = ("acme", "bolt", "corex", "delta", "ember", "fjord", "gala", "helio", "iris", "juno")
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
HIDDEN = 16


def make_encoder(folder: Path) -> Path:
    """A BERT of two layers with random weights, and a tokenizer of the words above."""
    folder.mkdir(parents=True, exist_ok=True)
    words = (*SPECIAL, *UP, *DOWN, *FLAT, *NAMES, *(str(n) for n in range(40)))
    config = BertConfig(
        vocab_size=len(words), hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, pad_token_id=1,
    )  # fmt: skip
    import torch

    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def rows(name: str, count: int, rare: int = 4) -> list[dict[str, Any]]:
    """Headlines whose verb says their label; one in `rare` is positive, as many are neutral, the others negative."""
    rng = random.Random(name)
    made = []
    for number in range(count):
        label, verbs = (
            ("positive", UP) if number % rare == 0 else ("neutral", FLAT) if number % rare == 1 else ("negative", DOWN)
        )
        text = " ".join([rng.choice(NAMES), rng.choice(verbs), *(rng.choice(NAMES) for _ in range(rng.randint(2, 6)))])
        made.append({"id": f"{name}-{number}", "text": text, "label": label, "lang": "en", "agree": 50})
    return made


def write(file: Path, made: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")


def make_data(folder: Path, count: int = 240) -> Path:
    """A data folder with the sets fpb and twitter."""
    for name in ("fpb", "twitter"):
        write(folder / "en_sent" / f"{name}.jsonl", rows(name, count))
    return folder


def tiny_config(folder: Path, **changes: Any) -> TrainConfig:
    """A training of about 20 steps under a folder; encoder and data are made when they are not there."""
    encoder, data = folder / "base", folder / "data"
    if not encoder.exists():
        make_encoder(encoder)
    if not data.exists():
        make_data(data)
    given: dict[str, Any] = {
        "repeats": {"fpb": 2.0, "twitter": 2.0}, "passes": 2, "tokens": 256, "max_tokens": 16, "ema_every": 1,
        "head_lr": 1e-2, "lr": 1e-3, "task_weights": {"sentiment": 1.0, "own_sentiment": 0.5},
        "work": str(folder / "work"),
    }  # fmt: skip
    return TrainConfig(**{"name": "tiny", "encoder": str(encoder), "data": str(data), **given, **changes})
