"""What of a text is compared to tell copies: its normalised form, a MinHash of it, and the rule for two of them.

The same story (measured on the project's streams, see docs/entities.md):
- reposts ("RT @x: …"), copies that are cut off, appended outlet names, hashtags and lists of cashtags, other links,
  other letter case and punctuation;
- articles (200 columns and more; a Han character counts two) that share enough of their character n-grams;
- texts too short to compare (under 40 columns) only when they are equal after normalising.
Not the same: headlines (40 to 199 columns) that name different companies, cashtags or figures, or that each say
something the other does not: "X secures approval in Cyprus" and "… in France" follow one pattern, and are two stories.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import xxhash
from datasketch import MinHash

PERMUTATIONS = 64
SHORT = 40  # columns: below, texts must be equal
HEADLINE = 200  # columns: below, a copy is a part of the other, or nearly equal to it
MAX_COMPARED = 4000  # characters of a text that are compared
PART = 0.93  # of a headline's n-grams must be in the other for it to be a part of it …
NEARLY_EQUAL = 0.9  # … or this Jaccard of both
ESTIMATE_SLACK = 0.15  # a MinHash of 64 is off by .06 (one sigma): headlines are looked at again exactly

_TWEET_HEAD = re.compile(
    r"^(?:\s*(?:rt|mt|via)?\s*@\w+\s*:?)+\s*|^\s*rt\s*[:：]\s*|^(?:转发微博|转发|转)\s*[:：]?\s*(?://)?@[\w\-]+\s*[:：]"
)
_WIRE_HEAD = re.compile(
    r"^\s*(?:(?:update|wrapup|rpt|corrected|refile|exclusive|breaking|快讯|突发|更新)\s*\d*\s*[-:：]\s*)+"
)
_LINK = re.compile(r"(?:https?:|www\.)\S*|\bpic\.twitter\.com/\S*|[\w.\-]+\.(?:com|co|cn|ly|net)/\S*")
_CUT = re.compile(r"[^\s\u4e00-\u9fff]*(?:…|\.\.\.+)\s*$")  # the half word before a final ellipsis goes too
_NAME = re.compile(r"@[\w\-]+")
_OUTLETS = (
    "reuters|bloomberg|cnbc|the guardian|guardian|wsj|ft|marketwatch|yahoo finance|seeking alpha|coindesk|decrypt"
    "|ap|afp"
)
_OUTLETS_ZH = (
    "新浪财经|新浪|网易财经|腾讯财经|东方财富网?|证券时报网?|财联社|同花顺|和讯网?|中国证券网|每日经济新闻"
    "|澎湃新闻|界面新闻"
)
_TAIL = re.compile(
    rf"\s*(?:(?:[-–—|·:]+|\bvia\b|\bby\b)\s*(?:{_OUTLETS})|\((?:{_OUTLETS})\)"
    rf"|[（(\[【\-—|_来源:：\s]+(?:{_OUTLETS_ZH})[）)\]】]?)\s*$"
)
_TAGS_BEHIND = re.compile(r"(?:\s+(?:#\w+|via|h/t|cc))+\s*$")
_TICKER_LIST = re.compile(r"(?:\$[a-z][\w.\-]*[\s,;/&+|]*){2,}")
_BETWEEN = re.compile(r"[^\w%$.]+|_+|(?<!\d)[.]+|[.]+(?!\d)")
_BY_HAN = re.compile(r" ?([㐀-鿿]) ?")
_FIGURE = re.compile(r"\$[a-z][a-z.]*|\d+(?:[.,]\d+)*%?")


class Headline(NamedTuple):
    """What is kept of a headline, to compare it exactly."""

    normal: str
    entities: frozenset[str]


class Print(NamedTuple):
    """What is compared of a text. `signature` is None for a text that must be equal, `headline` for a long one."""

    exact: int
    signature: np.ndarray | None
    headline: Headline | None


def normalise(text: str) -> str:
    """The text as compared: lower case, without who passed it on, links, names, lists of tags, punctuation."""
    text = _CUT.sub("", _LINK.sub(" ", text[: 2 * MAX_COMPARED].lower()).rstrip())
    text = _TAIL.sub("", _WIRE_HEAD.sub("", _TWEET_HEAD.sub("", text)))
    text = _TAGS_BEHIND.sub(" ", _TICKER_LIST.sub(" ", _NAME.sub(" ", text)))
    return _BY_HAN.sub(r"\1", _BETWEEN.sub(" ", text)).strip()[:MAX_COMPARED]


def fingerprint(text: str, entities: Iterable[str] = ()) -> Print:
    """What is compared of a document that names these entities."""
    normal = normalise(text)
    if not normal:  # only links, names or signs: equal when written alike
        return Print(xxhash.xxh3_64_intdigest(text), None, None)
    exact = xxhash.xxh3_64_intdigest(normal)
    columns = len(normal) + _wide(normal)
    if columns < SHORT:
        return Print(exact, None, None)
    sketch = _EMPTY.copy()
    sketch.update_batch(grams(normal).tolist())
    headline = Headline(normal, frozenset(entities)) if columns < HEADLINE else None
    return Print(exact, sketch.hashvalues, headline)


def least_estimate(print_: Print, least: float) -> float:
    """The estimated likeness from which on two prints are worth `alike`."""
    return least - ESTIMATE_SLACK if print_.headline else least


def alike(a: Print, b: Print, estimate: float, least: float) -> bool:
    """Whether two texts are one story, given the estimated Jaccard of their n-grams."""
    if a.headline is None or b.headline is None:
        return estimate >= least
    if not _agree(a.headline, b.headline):
        return False
    mine, other = grams(a.headline.normal), grams(b.headline.normal)
    shared = len(np.intersect1d(mine, other, assume_unique=True))
    jaccard = shared / (len(mine) + len(other) - shared)
    return jaccard >= NEARLY_EQUAL or (jaccard >= least and shared >= PART * min(len(mine), len(other)))


def _agree(a: Headline, b: Headline) -> bool:
    """Whether one names no company and no figure that the other does not."""
    if not (a.entities <= b.entities or b.entities <= a.entities):
        return False
    mine, other = set(_FIGURE.findall(a.normal)), set(_FIGURE.findall(b.normal))
    return mine <= other or other <= mine


def _wide(text: str) -> int:
    return sum(c > "\u2e7f" for c in text)


def grams(normal: str) -> np.ndarray:
    """Hashes of the distinct character n-grams, sorted: 3 where mostly Chinese, 5 elsewhere (about one word). The text
    has at least 5 characters."""
    n = 3 if 3 * _wide(normal) > len(normal) else 5
    codes = np.frombuffer(normal.encode("utf-32-le", "replace"), dtype=np.uint32)
    hashes = codes[: len(codes) - n + 1].copy()
    for i in range(1, n):
        hashes = hashes * np.uint32(0x01000193) + codes[i : len(codes) - n + 1 + i]
    return np.unique(hashes)


def _same(value: int) -> int:
    return value


_EMPTY = MinHash(num_perm=PERMUTATIONS, hashfunc=_same, scheme="affine32")
