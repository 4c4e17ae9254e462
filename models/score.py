"""Raw answers of a release over many texts: every head's logits, through any encoder of models/contract.py.

This is the evaluation's way; the product's own (thresholds, cache, threads) is models/classifier.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.batching import clean, load_tokenizer, pad, token_span
from models.contract import Encoder
from models.data import Example
from models.heads import MENTION, mean_pool, mention_input, span_pool
from models.registry import Release

LONGEST = 256  # tokens, as models/classifier.py reads by default


@dataclass(frozen=True)
class Scores:
    """Logits of N texts, and of the mentions in them that were found (in text order)."""

    text: dict[str, NDArray[np.float32]]  # head -> [N, L]
    mention: NDArray[np.float32]  # [M, 3]
    mention_gold: NDArray[np.int64]  # [M]; -1: only known not to be negative
    mention_rows: NDArray[np.int64]  # [M], the text each mention is in
    pooled: NDArray[np.float32]  # [N, H], the mean over each text's tokens: what its register is read off


def score(release: Release, encoder: Encoder, examples: Sequence[Example], batch: int = 32) -> Scores:
    """Run every head over the examples; results are in their order. Texts are cut at LONGEST tokens."""
    tokenizer = load_tokenizer(release.tokenizer_path, min(LONGEST, release.max_tokens))
    encodings = tokenizer.encode_batch([clean(example.text, LONGEST) for example in examples])
    order = sorted(range(len(examples)), key=lambda index: len(encodings[index].ids))
    heads = {name: head for name, head in release.heads.items() if head.input != MENTION}
    text = {name: np.zeros((len(examples), len(head.labels)), dtype=np.float32) for name, head in heads.items()}
    whole = np.zeros((len(examples), int(release.manifest["encoder"]["hidden_size"])), dtype=np.float32)
    mentions: dict[int, list[tuple[NDArray[np.float32], int]]] = {}
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        ids, mask = pad([encodings[row].ids for row in rows], int(release.manifest["encoder"]["pad_token_id"]))
        hidden = encoder(ids, mask)
        pooled = whole[rows] = mean_pool(hidden, mask)
        for name, head in heads.items():
            text[name][rows] = head.logits(pooled)
        spans = [(i, *span) for i, row in enumerate(rows) for span in _spans(examples[row], encodings[row].offsets)]
        if spans:
            inputs = mention_input(span_pool(hidden, [s[:3] for s in spans]), pooled, [s[0] for s in spans])
            logits = release.heads["entity_sentiment"].logits(inputs)
            for (i, _, _, gold), values in zip(spans, logits, strict=True):
                mentions.setdefault(rows[i], []).append((values, gold))
    flat = [pair for row in sorted(mentions) for pair in mentions[row]]
    return Scores(
        text,
        np.array([values for values, _ in flat], dtype=np.float32).reshape(-1, 3),
        np.array([gold for _, gold in flat], dtype=np.int64),
        np.array([row for row in sorted(mentions) for _ in mentions[row]], dtype=np.int64),
        whole,
    )


def _spans(example: Example, offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """(first token, token past the last, gold) of each mention that lies before the cut."""
    table = np.array(offsets, dtype=np.int64).reshape(-1, 2)
    found = ((m, token_span(table, (m.start, m.end))) for m in example.mentions)
    return [(*span, -1 if m.not_negative else m.sentiment) for m, span in found if span is not None]
