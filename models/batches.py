"""From examples to batches: encoding, repeating sets, sorting by length, filling by a token budget."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from tokenizers import Tokenizer

from models.batching import clean, load_tokenizer, token_span
from models.data import Example, topic_target_arrays
from models.losses import NONE, NOT_NEGATIVE
from models.network import Batch
from models.taxonomy import MULTILABEL_SETS, OWN_LABELS
from pipeline.errors import WindvaneError

READ = 64  # texts a batch where nothing is learnt
_MOST_READ = 125  # tokens' worth of characters that training reads at most, far beyond its cut


@dataclass(frozen=True)
class Encoded:
    """An example with its token ids (cut to the longest allowed) and its mentions as token spans."""

    example: Example
    ids: list[int]
    spans: tuple[tuple[int, int, int], ...]  # first token, past the last, target (see models/losses.py)


def training_tokenizer(encoder: Path, max_tokens: int) -> Tokenizer:
    """The tokenizer of an encoder's folder, cutting at `max_tokens`. WindvaneError when there is none."""
    file = encoder / "tokenizer.json"
    if not file.is_file():
        raise WindvaneError(
            f"expected the encoder's tokenizer.json in {encoder}, found none. "
            "Correct `encoder` in the configuration: the folder of a Hugging Face encoder, relative to where you are."
        )
    return load_tokenizer(file, max_tokens)


def unknown_id(tokenizer: Tokenizer) -> int:
    """The id of the unknown token, whatever its name. WindvaneError when the vocabulary has none."""
    for name in ("<unk>", "[UNK]", "<|unk|>"):
        if (found := tokenizer.token_to_id(name)) is not None:
            return int(found)
    raise WindvaneError("the encoder's tokenizer has no unknown token: set token_dropout = 0 in the configuration.")


def encode(tokenizer: Tokenizer, examples: Sequence[Example]) -> list[Encoded]:
    """Tokenise examples in order; mentions that fall past the cut are left out."""
    texts = [clean(example.text, _MOST_READ) for example in examples]
    result = []
    for example, encoding in zip(examples, tokenizer.encode_batch(texts), strict=True):
        offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        spans = []
        for mention in example.mentions:
            if (span := token_span(offsets, (mention.start, mention.end))) is not None:
                spans.append((*span, NOT_NEGATIVE if mention.not_negative else mention.sentiment))
        result.append(Encoded(example, list(encoding.ids), tuple(spans)))
    return result


def plan_pass(sets: Mapping[str, Sequence[Encoded]], repeats: Mapping[str, float], part: tuple[int, int],
              rng: random.Random) -> list[Encoded]:  # fmt: skip
    """The examples of pass `part` = (index, number of passes): each set gives its share of `repeats` rounds.

    The same text comes back only after all of its set's others; rounds are shuffled by set, not by pass.
    """
    index, passes = part
    chosen: list[Encoded] = []
    for name, items in sets.items():
        total = round(repeats.get(name, 0.0) * len(items))
        first, last = total * index // passes, total * (index + 1) // passes
        order = list(range(len(items)))
        for position in range(first, last):
            offset, at = divmod(position, len(items))
            if at == 0 or position == first:
                random.Random(f"{name}{offset}").shuffle(order := list(range(len(items))))
            chosen.append(items[order[at]])
    rng.shuffle(chosen)
    return chosen


class Tokenised(Protocol):
    """What has token ids."""

    @property
    def ids(self) -> list[int]:
        """Special tokens included."""


Item = TypeVar("Item", bound=Tokenised)


def fill(items: Sequence[Item], tokens: int, rng: random.Random, window: int = 24) -> list[list[Item]]:
    """Batches of similar lengths, each at most `tokens` padded tokens.

    Sorting happens inside windows of about `window` batches, so that batches stay mixed over sets.
    """
    mean = max(1.0, sum(len(item.ids) for item in items) / max(1, len(items)))
    step = max(1, int(window * tokens / mean))
    batches: list[list[Item]] = []
    for start in range(0, len(items), step):
        batch: list[Item] = []
        for item in sorted(items[start : start + step], key=lambda encoded: len(encoded.ids)):
            if batch and (len(batch) + 1) * len(item.ids) > tokens:
                batches.append(batch)
                batch = []
            batch.append(item)
        batches.append(batch)
    rng.shuffle(batches)
    return batches


def shortest_first(items: Sequence[Encoded], pad: int, device: str) -> tuple[Iterator[Batch], torch.Tensor]:
    """Batches of up to READ texts of similar length, and where among all of their rows each item's is."""
    order = sorted(range(len(items)), key=lambda index: len(items[index].ids))
    chosen = ([items[index] for index in order[start : start + READ]] for start in range(0, len(order), READ))
    return (collate(batch, pad, device) for batch in chosen), torch.tensor(order).argsort()


def collate(items: Sequence[Encoded], pad: int, device: str = "cpu") -> Batch:
    """Pad a batch and lay out every task's targets (dtype and meaning: models/losses.py)."""
    width = max(len(item.ids) for item in items)
    ids = torch.full((len(items), width), pad, dtype=torch.long)
    mask = torch.zeros((len(items), width), dtype=torch.long)
    for row, item in enumerate(items):
        ids[row, : len(item.ids)] = torch.tensor(item.ids)
        mask[row, : len(item.ids)] = 1
    flat = [(row, span) for row, item in enumerate(items) for span in item.spans]
    spans = torch.zeros((len(flat), width))
    for index, (_, (start, end, _target)) in enumerate(flat):
        spans[index, start:end] = 1.0 / (end - start)
    targets = _targets([item.example for item in items])
    targets["entity_sentiment"] = torch.tensor([span[2] for _, span in flat], dtype=torch.long)
    batch = Batch(ids, mask, spans, torch.tensor([row for row, _ in flat], dtype=torch.long), targets)
    if device == "cpu":
        return batch
    moved = {name: value.to(device) for name, value in targets.items()}
    return Batch(ids.to(device), mask.to(device), spans.to(device), batch.rows.to(device), moved)


def _targets(examples: Sequence[Example]) -> dict[str, torch.Tensor]:
    pairs = [topic_target_arrays(example) for example in examples]
    return {
        "sentiment": torch.tensor([_sentiment(example) for example in examples]),
        "no_neutral": torch.tensor([example.no_neutral for example in examples]),
        "topics": torch.tensor([pair[0] for pair in pairs]),
        "topics_weight": torch.tensor([pair[1] for pair in pairs]),
    } | {name: _own(examples, name, labels) for name, labels in OWN_LABELS.items()}


def _sentiment(example: Example) -> int:
    if example.not_negative:
        return NOT_NEGATIVE
    return NONE if example.sentiment is None else example.sentiment


def _own(examples: Sequence[Example], name: str, labels: tuple[str, ...]) -> torch.Tensor:
    """Targets of a set's own head: [N] of classes or NONE; multi-label [N, L] of 0 and 1, NONE in other sets' rows."""
    if name in MULTILABEL_SETS:
        return torch.tensor(
            [[float(label in e.own) if e.set == name else float(NONE) for label in labels] for e in examples]
        )
    return torch.tensor([labels.index(e.own[0]) if e.set == name else NONE for e in examples])
