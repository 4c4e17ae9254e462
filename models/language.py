"""Which of the model's two languages a text is in: decides its encoder where there are two, and its calibration. Not
the pipeline's language field."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[str, ...] = ("en", "zh")
STRAY = 0.05  # a language of a smaller share of texts is an accident
_HAN = re.compile(r"[㐀-䶿一-鿿]")
_LETTER = re.compile(r"[A-Za-z]+")


def language_of(text: str) -> Language:
    """zh when there are more Han characters than Latin words, judged on the first 2000 characters."""
    head = text[:2000]
    return "zh" if len(_HAN.findall(head)) > len(_LETTER.findall(head)) else "en"


def languages_among(found: Iterable[str]) -> tuple[str, ...]:
    """The languages that many texts are in, from that of each: those of at least one in twenty of them, in the order of
    LANGUAGES. () when none is in a language of these."""
    counts = Counter(language for language in found if language in LANGUAGES)
    return tuple(
        language for language in LANGUAGES if counts[language] > 0 and counts[language] >= STRAY * counts.total()
    )
