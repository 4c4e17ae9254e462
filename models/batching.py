"""From texts to token batches: cut, tokenise in bulk, sort by length, fill by a token budget. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.contract import Text
from models.registry import ModelError

CHARACTERS_PER_TOKEN = 32  # what lies beyond max_tokens times this many characters is never tokenised
SHOUTED = 12  # capital letters, and at least this share of all Latin letters: a text in capitals
SHOUTED_SHARE = 0.8
_SURROGATE = re.compile("[\ud800-\udfff]")
_CAPITAL = re.compile("[A-Z]")
_SMALL_LETTER = re.compile("[a-z]")
_SMALL = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


class Tokens(NamedTuple):
    """A tokenised text: its ids (special tokens included), and for each mention (first token, token past the last),
    None when the mention lies beyond the cut or covers no token."""

    ids: list[int]
    spans: tuple[tuple[int, int] | None, ...] = ()


def load_tokenizer(file: Path, max_tokens: int) -> Tokenizer:
    """A tokenizer that cuts at `max_tokens` and does not pad. ModelError when the file is none."""
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as e:  # the library raises bare Exception
        raise ModelError(f"{file} should be a tokenizer.json of the tokenizers library, but it cannot be read ({e}). "
                         "Restore the folder from the repository or release the model again.") from e  # fmt: skip
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def tokenise(tokenizer: Tokenizer, texts: Sequence[Text], max_tokens: int) -> list[Tokens]:
    """Token ids and mention spans of each text, in order. Never raises for a text.

    Texts without mentions take the tokenizer's fast way, which keeps no offsets.
    """
    bodies = [clean(text.text, max_tokens) for text in texts]
    with_spans = [i for i, text in enumerate(texts) if text.spans]
    without = [i for i, text in enumerate(texts) if not text.spans]
    result: list[Tokens] = [Tokens([])] * len(texts)
    for i, encoding in zip(without, tokenizer.encode_batch_fast([bodies[i] for i in without]), strict=True):
        result[i] = Tokens(encoding.ids)
    for i, encoding in zip(with_spans, tokenizer.encode_batch([bodies[i] for i in with_spans]), strict=True):
        offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        result[i] = Tokens(encoding.ids, tuple(token_span(offsets, span) for span in texts[i].spans))
    return result


def clean(text: str, max_tokens: int) -> str:
    """The text as the tokenizer can take it: cut, lone surrogates replaced one by one and a text in capitals read in
    small letters, so that offsets stay."""
    cut = _SURROGATE.sub("�", text[: max_tokens * CHARACTERS_PER_TOKEN])
    return cut.translate(_SMALL) if in_capitals(cut) else cut


def in_capitals(text: str) -> bool:
    """Does a text shout? A cased vocabulary takes capitals to pieces: on Financial PhraseBank they cost .11 of accuracy
    and small letters nothing (docs/evaluation.md). A ticker and a word are no shouting."""
    capitals = len(_CAPITAL.findall(text))
    return capitals >= SHOUTED and capitals >= SHOUTED_SHARE * (capitals + len(_SMALL_LETTER.findall(text)))


def token_span(offsets: NDArray[np.int64], span: tuple[int, int]) -> tuple[int, int] | None:
    """The tokens that share a character with `span`; offsets [tokens, 2] in code points, (0, 0) for special tokens."""
    start, end = span
    touched = (offsets[:, 0] < end) & (offsets[:, 1] > start) & (offsets[:, 1] > offsets[:, 0])
    found = np.flatnonzero(touched)
    return (int(found[0]), int(found[-1]) + 1) if len(found) else None


def fill(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, longest first, each at most `budget` tokens when padded (or one text).

    Longest first: the largest memory is asked for at the start, and the last batches are the quick ones.
    """
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and lengths[batch[0]] * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def pad(rows: Sequence[Sequence[int]], padding: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and mask, both [rows, longest]; padding on the right."""
    width = max((len(row) for row in rows), default=0)
    ids = np.full((len(rows), width), padding, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask


def in_chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Slices of at most `size`."""
    for at in range(0, len(items), size):
        yield items[at : at + size]
