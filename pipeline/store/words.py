"""Text to search words, the same way for what is indexed and for what is looked for.

Chinese and Japanese have no spaces and no dictionary cuts them as every reader would; so each Han, kana or hangul
character is a word, and a run of them is looked for as a phrase: every substring is found, two characters too.
Everything else is cut into runs of letters and digits. Case, width (ＡＢＣ), diacritics (é) make no difference.

The index holds these words: a change here asks for a step in sqlite.SCHEMA that rebuilds it.
"""

import re
import unicodedata
from typing import NamedTuple

CJK = (
    "\u3005-\u3007"  # 々〆〇
    "\u3040-\u30ff"  # kana
    "\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff"  # Han
    "\uac00-\ud7af"  # hangul syllables
    "\uf900-\ufaff"
    "\U00020000-\U000323af"  # Han, the rare ones
)
_WORD = re.compile(rf"[{CJK}]|[^\W_{CJK}]+")
_DIACRITICS = re.compile("[\u0300-\u036f]")
_UNIT = re.compile(r'["“”]([^"“”]*)["“”]?|([^\s"“”]+)')


class Query(NamedTuple):
    """What a person typed: units that must all occur, each a run of words in this order side by side."""

    units: tuple[tuple[str, ...], ...]
    empty: bool  # nothing was typed: no condition. Typed, but without a word ("!!!"): matches nothing


def words(text: str) -> list[str]:
    """The search words of a text, in order."""
    return _WORD.findall(_fold(text))


def parse(text: str) -> Query:
    """`茅台 "profit warning" fell` → (茅 台) (profit warning) (fell). Nothing in it is an operator."""
    units = (tuple(words(m.group(1) or m.group(2) or "")) for m in _UNIT.finditer(text))
    return Query(tuple(dict.fromkeys(u for u in units if u)), empty=not text.strip())


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", _DIACRITICS.sub("", decomposed)).casefold()
