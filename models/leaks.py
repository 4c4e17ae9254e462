"""Near-copies between two lists of texts: by the share of common character n-grams, exactly.

Not MinHash, as for stories: a copy inside a longer text (a headline in an article, a tweet with its retweet's head) has
a small Jaccard, and what a split must not share is the part. The rare n-grams find the pairs (one sparse product), all
n-grams decide.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from pipeline.prepare.fingerprint import grams

LETTERS = 14  # texts of fewer letters are copies only when equal, which the cut's own key sees to
PART = 0.8  # of the shorter text's n-grams must be in the other …
LEAST = 0.5  # … and of the n-grams of the text that must not be repeated
RARE = 60  # an n-gram in more of the indexed texts says little about a pair
ROWS = 4000  # texts asked about at a time, which bounds the memory

Hashes = NDArray[np.uint32]


class NearCopies:
    """An index of texts (their letters, see cut.letters) that says which of others nearly repeat one of them."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._grams = [_grams(text) for text in texts]
        every = np.concatenate([np.zeros(0, np.uint32), *self._grams])
        vocabulary, counts = np.unique(every, return_counts=True)
        self._rare = vocabulary[counts <= RARE]
        self._index = _matrix(self._grams, self._rare).T.tocsr()

    def of(self, texts: Sequence[str]) -> list[int | None]:
        """Per text: the place of the indexed text that it repeats most, or None."""
        found: list[int | None] = []
        for start in range(0, len(texts), ROWS):
            asked = [_grams(text) for text in texts[start : start + ROWS]]
            shared = (_matrix(asked, self._rare) @ self._index).tocsr()
            for row, hashes in enumerate(asked):
                part = slice(shared.indptr[row], shared.indptr[row + 1])
                found.append(self._best(hashes, shared.indices[part], shared.data[part]))
        return found

    def _best(self, hashes: Hashes, places: NDArray[np.int32], shared: NDArray[np.int32]) -> int | None:
        best, share = None, 0.0
        for place in places[np.argsort(-shared, kind="stable")[:10]]:
            other = self._grams[place]
            common = len(np.intersect1d(hashes, other, assume_unique=True))
            if common >= PART * min(len(hashes), len(other)) and common >= LEAST * len(other) and common > share:
                best, share = int(place), common
        return best


def _grams(text: str) -> Hashes:
    return grams(text) if len(text) >= LETTERS else np.zeros(0, np.uint32)


def _matrix(texts: Sequence[Hashes], columns: Hashes) -> csr_matrix:
    """Which text has which of the n-grams `columns` (sorted): [texts, columns] of 0 and 1."""
    if not len(columns):
        return csr_matrix((len(texts), 0), dtype=np.int32)
    flat = np.concatenate([np.zeros(0, np.uint32), *texts])
    row = np.repeat(np.arange(len(texts)), [len(hashes) for hashes in texts])
    at = np.minimum(np.searchsorted(columns, flat), len(columns) - 1)
    known = columns[at] == flat
    return csr_matrix((np.ones(known.sum(), np.int32), (row[known], at[known])), shape=(len(texts), len(columns)))
