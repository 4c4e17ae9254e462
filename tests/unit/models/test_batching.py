"""Texts to tokens to batches and back."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from models.batching import CHARACTERS_PER_TOKEN, clean, fill, load_tokenizer, pad, token_span, tokenise
from models.contract import Text
from models.registry import ModelError
from tests.tiny_release import tiny_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tiny_tokenizer(file)
    return load_tokenizer(file, 12)


@given(st.lists(st.integers(1, 300), max_size=80), st.integers(1, 600))
def test_every_text_is_in_one_batch_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(fill(lengths, budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget


def test_batches_hold_similar_lengths() -> None:
    lengths = [10, 200, 11, 190, 12, 9]
    assert [sorted(lengths[i] for i in batch) for batch in fill(lengths, 400)] == [[190, 200], [9, 10, 11, 12]]


def test_spans_become_tokens(tokenizer: Tokenizer) -> None:
    text = "w1 Apple shares fall 苹果公司"
    (tokens,) = tokenise(tokenizer, [Text(text, ((3, 8), (4, 6), (3, 15), (21, 25), (2, 3), (90, 95)))], 12)
    assert tokens.spans == ((2, 3), (2, 3), (2, 4), (5, 9), None, None)
    words = [tokenizer.id_to_token(i) for i in tokens.ids]
    assert words[2:4] == ["apple", "shares"] and words[5:9] == list("苹果公司")


def test_a_mention_beyond_the_cut_has_no_tokens(tokenizer: Tokenizer) -> None:
    text = "w1 " * 30 + "apple"
    (tokens,) = tokenise(tokenizer, [Text(text, ((0, 2), (90, 95)))], 12)
    assert len(tokens.ids) == 12 and tokens.spans == ((1, 2), None)


def test_both_ways_give_the_same_ids_and_keep_the_order(tokenizer: Tokenizer) -> None:
    bodies = ["w5", "apple fall 下跌", "", "w6 w7"]
    mixed = [Text(b, ((0, 1),) if i % 2 else ()) for i, b in enumerate(bodies)]
    plain = [t.ids for t in tokenise(tokenizer, [Text(b) for b in bodies], 12)]
    assert [t.ids for t in tokenise(tokenizer, mixed, 12)] == plain
    assert plain[2] == [0, 2]


def test_offsets_hold_after_surrogates_and_emoji(tokenizer: Tokenizer) -> None:
    text = "\ud800😱\udfff apple"
    (tokens,) = tokenise(tokenizer, [Text(text, ((4, 9),))], 12)
    (span,) = tokens.spans
    assert span is not None and [tokenizer.id_to_token(i) for i in tokens.ids[slice(*span)]] == ["apple"]


@pytest.mark.parametrize(
    "text", ["x" * 100_000, "跌" * 100_000, "\x00" * 50, "\u202e\u200b", "\udcff" * 9, " " * 99_999]
)
def test_untidy_texts_are_tokenised(tokenizer: Tokenizer, text: str) -> None:
    for item in (Text(text), Text(text, ((-5, 2), (3, 3), (99_990, 99_999)))):
        (tokens,) = tokenise(tokenizer, [item], 12)
        assert 2 <= len(tokens.ids) <= 12 and len(tokens.spans) == len(item.spans)


def test_clean_cuts_and_keeps_the_length() -> None:
    assert clean("a\ud800b", 5) == "a\ufffdb"
    assert len(clean("y" * 10_000, 5)) == 5 * CHARACTERS_PER_TOKEN


def test_special_tokens_belong_to_no_span() -> None:
    offsets = np.array([(0, 0), (0, 2), (3, 5), (0, 0)])
    assert token_span(offsets, (0, 1)) == (1, 2)
    assert token_span(offsets, (2, 3)) is None
    assert token_span(offsets, (0, 99)) == (1, 3)


def test_pad_marks_real_tokens() -> None:
    ids, mask = pad([[5, 6, 7], [8], []], 1)
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1], [1, 1, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert pad([], 1)[0].shape == (0, 0)


def test_a_broken_tokenizer_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer\.json should be"):
        load_tokenizer(tmp_path / "tokenizer.json", 12)


def test_a_text_in_capitals_is_read_in_small_letters_and_a_ticker_is_not() -> None:
    shouted = "APPLE SHARES FALL ON PROFIT WARNING, É苹果"
    assert clean(shouted, 12) == "apple shares fall on profit warning, É苹果"
    for text in ("AAPL UP", "AAPL MSFT NVDA: shares of big tech fall", "苹果 AAPL", "Apple Shares Fall On Warning"):
        assert clean(text, 12) == text
