"""Near-identical texts are one story: MinHash over character n-grams, locality-sensitive buckets, a bounded window.

What counts as the same story (measured on the project's streams, see docs/entities.md):
- reposts ("RT @x: ..."), truncated copies, appended outlet names, other links, other hashtags marks, other letter case;
- the same sentence with another list of cashtags behind it (spam changes them);
- texts too short to compare (under 40 columns, a Han character counting two) only when they are equal after normalising.
  Two people who both write 涨停 are then one story: alerts count a story once per voice, so both voices still count.
What does not: texts under 200 columns that name different companies, cashtags or figures. They follow one pattern
("XX：2018年净利同比增14.45%") but say it of something else.

The state is a pure function of the last `window` arrivals, so that a restart rebuilds it exactly from the posts.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from heapq import merge
from typing import NamedTuple

import numpy as np
import xxhash
from datasketch import MinHash

from pipeline.records import Post, document

PERMUTATIONS = 64
BANDS, ROWS = 12, 4  # found with probability .96 at a Jaccard of .7, .998 at .8; unrelated texts (.1) meet once in 800
SHORT = 40  # columns: below, texts must be equal
HEADLINE = 200  # columns: below, companies and figures must agree
MAX_COMPARED = 4000  # characters of a text that are compared

_TWEET_HEAD = re.compile(
    r"^(?:\s*(?:rt|mt|via)?\s*@\w+\s*:?)+\s*|^\s*rt\s*[:：]\s*|^(?:转发微博|转发|转)\s*[:：]?\s*(?://)?@[\w\-]+\s*[:：]"
)
_WIRE_HEAD = re.compile(
    r"^\s*(?:(?:update|wrapup|rpt|corrected|refile|exclusive|breaking|快讯|突发|更新)\s*\d*\s*[-:：]\s*)+"
)
_LINK = re.compile(r"(?:https?:|www\.)\S*|\bpic\.twitter\.com/\S*|[\w.\-]+\.(?:com|co|cn|ly|net)/\S*")
_CUT = re.compile(r"(?:[^\s\u4e00-\u9fff]*)(?:…|\.\.\.+)\s*$")  # the half word before a final ellipsis goes too
_NAME = re.compile(r"@[\w\-]+")
_OUTLETS = "reuters|bloomberg|cnbc|the guardian|guardian|wsj|ft|marketwatch|yahoo finance|seeking alpha|coindesk|decrypt|ap|afp"
_OUTLETS_ZH = "新浪财经|新浪|网易财经|腾讯财经|东方财富网?|证券时报网?|财联社|同花顺|和讯网?|中国证券网|每日经济新闻|澎湃新闻|界面新闻"
_TAIL = re.compile(
    rf"\s*(?:(?:[-–—|·]+|\bvia\b|\bby\b)\s*(?:{_OUTLETS})|\((?:{_OUTLETS})\)|[（(\[【\-—|_来源:：\s]+(?:{_OUTLETS_ZH})[）)\]】]?)\s*$"
)
_TICKER_LIST = re.compile(r"(?:\$[a-z][\w.\-]*[\s,;/&+|]*){2,}")
_CASHTAG = re.compile(r"\$[a-z][a-z.]*")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*%?")
_BETWEEN = re.compile(r"[^\w%$.]+|_+|(?<!\d)[.]+|[.]+(?!\d)")
_BY_HAN = re.compile(r" ?([㐀-鿿]) ?")


class Print(NamedTuple):
    """What is compared of a text. `signature` is None for a text that must be equal; `marks` None for a long one."""

    exact: int
    signature: np.ndarray | None
    marks: frozenset[str] | None


def normalise(text: str) -> str:
    """The text as it is compared: lower case, without who passed it on, links, names, lists of cashtags, punctuation."""
    text = _CUT.sub("", _LINK.sub(" ", text[: 2 * MAX_COMPARED].lower()).rstrip())
    text = _TAIL.sub("", _WIRE_HEAD.sub("", _TWEET_HEAD.sub("", text)))
    text = _BETWEEN.sub(" ", _TICKER_LIST.sub(" ", _NAME.sub(" ", text)))
    return _BY_HAN.sub(r"\1", text).strip()[:MAX_COMPARED]


def fingerprint(text: str, entities: Iterable[str] = ()) -> Print:
    """What is compared of a document that names these entities."""
    normal = normalise(text)
    if not normal:  # only links, names or signs: equal when written alike
        return Print(xxhash.xxh3_64_intdigest(text), None, None)
    exact = xxhash.xxh3_64_intdigest(normal)
    wide = sum(c > "\u2e7f" for c in normal)
    columns = len(normal) + wide
    if columns < SHORT:
        return Print(exact, None, None)
    marks = None
    if columns < HEADLINE:
        marks = frozenset((*entities, *_CASHTAG.findall(normal), *_NUMBER.findall(normal)))
    return Print(exact, _signature(normal, 3 if 3 * wide > len(normal) else 5), marks)


def _signature(normal: str, n: int) -> np.ndarray:
    """MinHash of the character n-grams (3 where Chinese, 5 elsewhere)."""
    codes = np.frombuffer(normal.encode("utf-32-le", "replace"), dtype=np.uint32)
    grams = codes[: len(codes) - n + 1].copy()
    for i in range(1, n):
        grams = grams * np.uint32(0x01000193) + codes[i : len(codes) - n + 1 + i]
    sketch = _EMPTY.copy()
    sketch.update_batch(np.unique(grams).tolist())
    return sketch.hashvalues


def _same(value: int) -> int:
    return value


_EMPTY = MinHash(num_perm=PERMUTATIONS, hashfunc=_same, scheme="affine32")
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5], dtype=np.uint64)
_BAND = np.arange(1, BANDS + 1, dtype=np.uint64) * np.uint64(0xD6E8FEB86659FD93)


def _bands(signature: np.ndarray) -> list[int]:
    """One bucket key per band."""
    rows = signature[: BANDS * ROWS].astype(np.uint64).reshape(BANDS, ROWS)
    keys: list[int] = ((rows * _MIX).sum(axis=1) ^ _BAND).tolist()
    return keys


class _Entry(NamedTuple):
    seq: int  # arrival number: the place in the window
    story: str
    print: Print


class Stories:
    """The last `window` arrivals and the story of each.

    A post that comes again keeps its story and moves to its new place; the old place stays empty. So the state depends
    on nothing but the last `window` (post id, print, story) in arrival order.
    """

    def __init__(self, window: int, similarity: float) -> None:
        self._window = window
        self._least = similarity
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
        self.__init__(self._window, self._least)  # type: ignore[misc]
        for post in deque(posts, maxlen=self._window):
            print_ = fingerprint(document(post), (m.entity for m in post.entities))
            self._arrive(post.post_id, print_, post.story_id)

    def _find(self, print_: Print) -> str | None:
        """The story of the earliest text in the window that is near enough."""
        equal = self._exact.get(print_.exact)
        if equal:
            return self._story(equal[0])
        if print_.signature is None:
            return None
        for chunk in _chunks(self._candidates(print_.signature)):
            rows = self._signatures[np.array(chunk) % len(self._signatures)]
            likeness = (rows == print_.signature).mean(axis=1)
            for seq, jaccard in zip(chunk, likeness.tolist(), strict=True):
                if jaccard >= self._least and _agree(print_.marks, self._entries[self._ids[seq]].print.marks):
                    return self._story(seq)
        return None

    def _candidates(self, signature: np.ndarray) -> Iterator[int]:
        """Arrival numbers that share a bucket, oldest first, each once."""
        last = -1
        for seq in merge(*(b for k in _bands(signature) if (b := self._buckets.get(k)))):
            if seq != last:
                yield seq
            last = seq

    def _story(self, seq: int) -> str:
        return self._entries[self._ids[seq]].story

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
        self._entries[post_id] = _Entry(seq, story, print_)
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
        if entry.print.signature is not None:
            for key in _bands(entry.print.signature):
                _drop(self._buckets, key, entry.seq)


def _drop(index: dict[int, list[int]], key: int, seq: int) -> None:
    held = index.get(key)
    if held is None or seq not in held:  # two bands of one text may share a key
        return
    held.remove(seq)
    if not held:
        del index[key]


def _chunks(items: Iterator[int]) -> Iterator[list[int]]:
    """Lists of 8, 16, 32 … items: the first candidate usually is it."""
    size, chunk = 8, []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            size, chunk = min(2 * size, 4096), []
    if chunk:
        yield chunk


def _agree(a: frozenset[str] | None, b: frozenset[str] | None) -> bool:
    """Whether two headlines may be one story: one names nothing that the other does not."""
    return a is None or b is None or a <= b or b <= a
