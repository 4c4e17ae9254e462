"""What every encoder must do (models.contract.Encoder). A row's result is bit for bit the same in any company."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from models.batching import pad
from models.contract import Encoder
from models.quantise import unpack
from tests.tiny_release import HIDDEN, LONGEST, VOCABULARY, bert, tiny_packed

LENGTHS = (2, 3, 5, 8, 13, 16, 17, 31, 33, 47, 64, 65, 100, 129, 200, 256, 300)
Rows = Sequence[list[int]]
Reference = Callable[[Rows], list[NDArray[np.float32]]]


def some_rows(lengths: Sequence[int], seed: int = 0) -> list[list[int]]:
    """Token ids of the given lengths between the special tokens 0 and 2."""
    rng = np.random.default_rng(seed)
    return [[0, *rng.integers(4, VOCABULARY, n - 2).tolist(), 2] for n in lengths]


def encode(encoder: Encoder, rows: Rows, extra: int = 0) -> list[NDArray[np.float32]]:
    """Hidden states of each row's own tokens; `extra` columns of padding more than needed."""
    ids, mask = pad(rows, 1)
    ids = np.pad(ids, ((0, 0), (0, extra)), constant_values=1)
    hidden = encoder(ids, np.pad(mask, ((0, 0), (0, extra))))
    return [h[: len(row)] for h, row in zip(hidden, rows, strict=True)]


def pooled(hidden: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.array([h.mean(axis=0) for h in hidden])


class EncoderContract:
    """Inherit, and give `encoder` (threads 2) and `tolerance`, the largest difference to the reference in numpy."""

    tolerance: float

    @pytest.fixture(scope="class")
    @classmethod
    def reference(cls) -> Reference:
        state = unpack(tiny_packed())
        return lambda rows: [bert(state, row) for row in rows]

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls) -> Encoder:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def alone(cls, encoder: Encoder) -> list[NDArray[np.float32]]:
        """Each row's hidden states when it is by itself."""
        return [encode(encoder, [row])[0] for row in some_rows(LENGTHS)]

    def test_shape_type_and_padding(self, encoder: Encoder) -> None:
        ids, mask = pad(some_rows((5, 9, 2)), 1)
        hidden = encoder(ids, mask)
        assert hidden.shape == (3, 9, HIDDEN) and hidden.dtype == np.float32
        assert np.isfinite(hidden).all() and not hidden[mask == 0].any()
        assert encoder.name

    def test_as_the_reference_does(self, encoder: Encoder, reference: Reference) -> None:
        rows = some_rows(LENGTHS, seed=5)
        for ours, theirs in zip(encode(encoder, rows), reference(rows), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=self.tolerance)

    def test_labels_as_the_reference_gives(self, encoder: Encoder, reference: Reference) -> None:
        rows = some_rows([3 + i % 40 for i in range(60)], seed=6)
        head = np.random.default_rng(2).normal(size=(HIDDEN, 3))
        ours, theirs = pooled(encode(encoder, rows)) @ head, pooled(reference(rows)) @ head
        assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() >= 0.95

    def test_a_row_is_equal_in_any_company(self, encoder: Encoder, alone: list[NDArray[np.float32]]) -> None:
        rows, rng = some_rows(LENGTHS), np.random.default_rng(3)
        for size in (*range(1, len(rows) + 1), 2, 3, 5):
            picked = rng.permutation(len(rows))[:size]
            for i, hidden in zip(picked, encode(encoder, [rows[i] for i in picked]), strict=True):
                assert np.array_equal(hidden, alone[i]), f"{LENGTHS[i]} tokens among {[LENGTHS[j] for j in picked]}"

    def test_a_row_is_equal_among_many_short_ones(self, encoder: Encoder, alone: list[NDArray[np.float32]]) -> None:
        short = [i for i, n in enumerate(LENGTHS) if n <= 33]
        rows = [some_rows(LENGTHS)[i] for i in short]
        crowd = some_rows([2 + i % 30 for i in range(150)], seed=9)
        together = encode(encoder, [*crowd, *rows])[len(crowd) :]
        assert all(np.array_equal(h, alone[i]) for i, h in zip(short, together, strict=True))

    @pytest.mark.parametrize("extra", [1, 4, 16, 19])
    def test_a_row_is_equal_under_more_padding(
        self, encoder: Encoder, alone: list[NDArray[np.float32]], extra: int
    ) -> None:
        for row, expected in zip(some_rows(LENGTHS), alone, strict=True):
            (hidden,) = encode(encoder, [row], min(extra, LONGEST - len(row)))
            assert np.array_equal(hidden, expected), len(row)

    def test_an_empty_row_harms_nobody(self, encoder: Encoder, alone: list[NDArray[np.float32]]) -> None:
        empty, full = encode(encoder, [[], some_rows(LENGTHS)[3]])
        assert len(empty) == 0 and np.array_equal(full, alone[3])
        assert encoder(np.ones((1, 4), np.int64), np.zeros((1, 4), np.int64)).shape == (1, 4, HIDDEN)

    def test_one_token_is_equal_in_company(self, encoder: Encoder) -> None:
        (single,) = encode(encoder, [[7]])
        company = encode(encoder, [[7], *some_rows((9, 4, 12))])
        assert np.array_equal(single, company[0])
