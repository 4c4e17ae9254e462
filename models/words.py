"""Words of a text as an explanation shows them, each with the tokens it is made of.

Where letters are set apart by spaces a word is what stands between them, marks around it left off: `$BYND`, `-3.5%`,
`price-cutting`, a link. Chinese has no spaces: there a word is a piece of the tokenizer, a word (公司) or as often one
character of it (停, 工). Emoji and runs of ! and ? are words, since they carry feeling; other marks are none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

_HAN = re.compile(r"[㐀-䶿一-鿿]")
_LETTER = r"[^\W㐀-䶿一-鿿]"  # a letter or digit that is no Han character
_WORD = re.compile(
    r"https?://[^\s㐀-䶿一-鿿]+"
    r"|[!?！？]+"
    rf"|[+\-−]?[$#@€£¥]?{_LETTER}(?:(?:{_LETTER}|[.,'’&%/:+\-=~@])*(?:{_LETTER}|%))?%?"
    r"|[^\w\s]"
)


class Word(NamedTuple):
    """Characters [start, end) of the text and the places of its tokens."""

    start: int
    end: int
    tokens: tuple[int, ...]


def words_of(text: str, offsets: Sequence[tuple[int, int]]) -> list[Word]:
    """The words of `text` in order, not overlapping; `offsets`: each token's characters, (0, 0) for special tokens.

    A token of marks only belongs to no word; text that no token covers (beyond the cut) has none.
    """
    spaced = [m.span() for m in _WORD.finditer(text) if _counts(m.group())]
    found: list[Word] = []
    for token, (start, end) in enumerate(offsets):
        span = _span_of(text, start, end, spaced)
        if span is None:
            continue
        if found and span[0] < found[-1].end:  # the rest of a word that was begun
            last = found.pop()
            found.append(Word(last.start, max(last.end, span[1]), (*last.tokens, token)))
        else:
            found.append(Word(*span, (token,)))
    return found


def grouped(words: Sequence[Word], most: int) -> list[Word]:
    """At most `most` words: neighbours joined evenly where there are more."""
    if len(words) <= most:
        return list(words)
    edges = [round(i * len(words) / most) for i in range(most + 1)]
    parts = [words[a:b] for a, b in pairwise(edges)]
    return [Word(p[0].start, p[-1].end, tuple(t for word in p for t in word.tokens)) for p in parts]


def _counts(written: str) -> bool:
    """A single mark is a word only when it is a picture (emoji and the like)."""
    return len(written) > 1 or written.isalnum() or written in "!?！？" or unicodedata.category(written) == "So"


def _span_of(text: str, start: int, end: int, spaced: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """The characters of the word a token belongs to: the token's own where it holds Han, else the word around it."""
    if _HAN.search(text, start, end):
        piece = text[start:end]
        return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())
    around = [span for span in spaced if span[0] < end and span[1] > start]
    return (around[0][0], around[-1][1]) if around else None
