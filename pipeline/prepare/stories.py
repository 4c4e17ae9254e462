"""Near-identical texts are one story: locality-sensitive buckets of MinHashes over a bounded window.

The buckets are kept here and not in datasketch's MinHashLSH, because they must forget the oldest text at every arrival
and give candidates oldest first. Which texts are alike is in fingerprint.py.

Two people who both write 涨停 are one story: alerts count a story once per voice, so both voices still count.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from heapq import merge
from typing import NamedTuple

import numpy as np

from pipeline.prepare.fingerprint import PERMUTATIONS, Print, alike, fingerprint, least_estimate
from pipeline.records import Post, document

BANDS, ROWS = 12, 4  # found with probability .96 at a Jaccard of .7, .998 at .8; unrelated texts (.1) meet once in 800

_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5], dtype=np.uint64)
_BAND = np.arange(1, BANDS + 1, dtype=np.uint64) * np.uint64(0xD6E8FEB86659FD93)


class _Entry(NamedTuple):
    seq: int  # arrival number: the place in the window
    story: str
    print: Print  # without the signature, which lies in the ring
    sketched: bool


class Stories:
    """The last `window` arrivals and the story of each.

    A post that comes again keeps its story and moves to its new place; the old place stays empty. So the state is a
    pure function of the last `window` (post id, print, story) in arrival order, and a restart rebuilds it exactly.
    """

    def __init__(self, window: int, similarity: float) -> None:
        self._window = window
        self._least = similarity
        self._clear()

    def _clear(self) -> None:
        self._arrivals: deque[str] = deque()
        self._first = 0  # arrival number of the oldest place
        self._entries: dict[str, _Entry] = {}
        self._ids: dict[int, str] = {}  # arrival number -> post id, for the places that are not empty
        self._exact: dict[int, list[int]] = {}
        self._buckets: dict[int, list[int]] = {}
        self._signatures = np.zeros((0, PERMUTATIONS), dtype=np.uint32)  # a ring, grown as needed

    def __len__(self) -> int:
        return len(self._entries)

    def assign(self, post_id: str, print_: Print) -> str:
        """The story of a text that arrives now, which is its own id when nothing like it is in the window."""
        held = self._entries.get(post_id)
        story = held.story if held else self._find(print_) or post_id
        self._arrive(post_id, print_, story)
        return story

    def rebuild(self, posts: Iterable[Post]) -> None:
        """The state after these posts, in arrival order; only the last `window` of them matter."""
        self._clear()
        for post in deque(posts, maxlen=self._window):
            print_ = fingerprint(document(post), (m.entity for m in post.entities))
            self._arrive(post.post_id, print_, post.story_id)

    def _find(self, print_: Print) -> str | None:
        """The story of the earliest text in the window that is near enough."""
        if equal := self._exact.get(print_.exact):
            return self._at(equal[0]).story
        if print_.signature is None:
            return None
        least = least_estimate(print_, self._least)
        for chunk in _chunks(self._candidates(print_.signature)):
            rows = self._signatures[np.array(chunk) % len(self._signatures)]
            estimates = (rows == print_.signature).mean(axis=1)
            for seq, estimate in zip(chunk, estimates.tolist(), strict=True):
                if estimate >= least and alike(print_, self._at(seq).print, estimate, self._least):
                    return self._at(seq).story
        return None

    def _candidates(self, signature: np.ndarray) -> Iterator[int]:
        """Arrival numbers that share a bucket, oldest first, each once."""
        last = -1
        for seq in merge(*(b for k in _bands(signature) if (b := self._buckets.get(k)))):
            if seq != last:
                yield seq
            last = seq

    def _at(self, seq: int) -> _Entry:
        return self._entries[self._ids[seq]]

    def _arrive(self, post_id: str, print_: Print, story: str) -> None:
        if post_id in self._entries:
            self._remove(post_id)
        if len(self._arrivals) == self._window:
            oldest = self._arrivals.popleft()
            if self._ids.get(self._first) == oldest:
                self._remove(oldest)
            self._first += 1
        seq = self._first + len(self._arrivals)
        self._arrivals.append(post_id)
        self._entries[post_id] = _Entry(seq, story, print_._replace(signature=None), print_.signature is not None)
        self._ids[seq] = post_id
        self._exact.setdefault(print_.exact, []).append(seq)
        if print_.signature is not None:
            self._keep(seq, print_.signature)
            for key in _bands(print_.signature):
                self._buckets.setdefault(key, []).append(seq)

    def _keep(self, seq: int, signature: np.ndarray) -> None:
        size = len(self._signatures)
        if size < self._window and seq >= size:  # not yet wrapped around: seq is the place
            grown = np.zeros((min(self._window, max(1024, 2 * seq)), PERMUTATIONS), dtype=np.uint32)
            grown[:size] = self._signatures
            self._signatures = grown
        self._signatures[seq % len(self._signatures)] = signature

    def _remove(self, post_id: str) -> None:
        entry = self._entries.pop(post_id)
        del self._ids[entry.seq]
        _drop(self._exact, entry.print.exact, entry.seq)
        if entry.sketched:
            for key in _bands(self._signatures[entry.seq % len(self._signatures)]):
                _drop(self._buckets, key, entry.seq)


def _bands(signature: np.ndarray) -> list[int]:
    """One bucket key per band."""
    rows = signature[: BANDS * ROWS].astype(np.uint64).reshape(BANDS, ROWS)
    keys: list[int] = ((rows * _MIX).sum(axis=1) ^ _BAND).tolist()
    return keys


def _drop(index: dict[int, list[int]], key: int, seq: int) -> None:
    held = index.get(key)
    if held is None or seq not in held:  # two bands of one text may share a key
        return
    held.remove(seq)
    if not held:
        del index[key]


def _chunks(items: Iterator[int]) -> Iterator[list[int]]:
    """Lists of 8, 16, 32 … items: the first candidate usually is it."""
    size = 8
    chunk: list[int] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            size, chunk = min(2 * size, 4096), []
    if chunk:
        yield chunk
