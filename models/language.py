"""Which of the model's two languages a text is in: decides its encoder where there are two, and its calibration. Not
the pipeline's language field."""

import re
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[str, ...] = ("en", "zh")
_HAN = re.compile(r"[㐀-䶿一-鿿]")
_LETTER = re.compile(r"[A-Za-z]+")


def language_of(text: str) -> Language:
    """zh when there are more Han characters than Latin words, judged on the first 2000 characters."""
    head = text[:2000]
    return "zh" if len(_HAN.findall(head)) > len(_LETTER.findall(head)) else "en"
