"""Masked-language-model data: texts as tokens in words, and batches with some of the words hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from models.batches import unknown_id

NO_WORD = -1  # special tokens
NOTHING = -100  # a position that is not to be guessed


@dataclass(frozen=True)
class Words:
    """A text's token ids, and for each token the number of the word it is part of (NO_WORD: none)."""

    ids: list[int]
    words: list[int]


@dataclass(frozen=True)
class Masked:
    """A batch to guess in: ids and mask [B, T]; target [B, T], the hidden token's id or NOTHING."""

    ids: Tensor
    mask: Tensor
    target: Tensor


def mask_id(tokenizer: Tokenizer) -> int:
    """The token that hides a word: the vocabulary's own mask token, else its unknown token (an encoder cut for use may
    have lost the former)."""
    for name in ("<mask>", "[MASK]"):
        if (found := tokenizer.token_to_id(name)) is not None:
            return int(found)
    return unknown_id(tokenizer)


def in_words(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Words]:
    """Tokenise texts and number their words, in order; texts without a word are left out.

    Latin letters and digits next to each other are one word. Chinese has no spaces: a token of several characters is
    a word already; single characters next to each other are taken in pairs, the commonest length of a word.
    """
    found = []
    for text, encoding in zip(texts, tokenizer.encode_batch(list(texts)), strict=True):
        words: list[int] = []
        number, end, lone = -1, -1, False
        for start, stop in encoding.offsets:
            piece = text[start:stop].strip()
            if not piece:
                words.append(NO_WORD)
                end, lone = -1, False
                continue
            begins = start + text[start:stop].index(piece)
            han = is_han(piece[0])
            touches = begins == end
            joins = touches and (lone if han and len(piece) == 1 else not han and _joint(text, begins))
            if not joins:
                number += 1
            words.append(number)
            lone = han and len(piece) == 1 and not joins
            end = stop
        if number >= 0:
            found.append(Words(list(encoding.ids), words))
    return found


def is_han(character: str) -> bool:
    """Is it a Chinese character?"""
    return "\u3400" <= character <= "\u9fff" or "\uf900" <= character <= "\ufaff"


def _joint(text: str, at: int) -> bool:
    """Are the characters before and at a place both letters or digits of one word?"""
    before, here = text[at - 1], text[at]
    return before.isalnum() and here.isalnum() and not is_han(before)


def hide(items: Sequence[Words], pad: int, mask: int, share: float, random: torch.Generator) -> Masked:
    """Pad texts and hide about a `share` of each one's tokens, whole words at a time, at least one word.

    All of a chosen word is hidden: whole-word masking, Cui et al. 2019, "Pre-Training with Whole Word Masking for
    Chinese BERT". Of ten hidden words eight become the mask token, one a random token of the batch, one stays: Devlin
    et al. 2018, "BERT", section 3.1.
    """
    width = max(len(item.ids) for item in items)
    ids = torch.full((len(items), width), pad, dtype=torch.long)
    real = torch.zeros((len(items), width), dtype=torch.long)
    target = torch.full((len(items), width), NOTHING, dtype=torch.long)
    present = torch.tensor([t for item in items for t, word in zip(item.ids, item.words, strict=True) if word >= 0])
    for row, item in enumerate(items):
        given = torch.tensor(item.ids)
        ids[row, : len(given)], real[row, : len(given)] = given, 1
        words = torch.tensor(item.words)
        count = int(words.max()) + 1
        left = max(1, round(share * int((words >= 0).sum())))
        for word in torch.randperm(count, generator=random).tolist():
            at = (words == word).nonzero().flatten()
            left -= len(at)
            target[row, at] = given[at]
            draw = float(torch.rand((), generator=random))
            if draw < 0.8:
                ids[row, at] = mask
            elif draw < 0.9:
                ids[row, at] = present[torch.randint(len(present), (len(at),), generator=random)]
            if left <= 0:
                break
    return Masked(ids, real, target)
