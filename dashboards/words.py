"""The page's languages: one JSON file each under i18n/; numbers, shares and odds as its readers write them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Lang = Literal["en", "zh"]
LANGS: tuple[Lang, ...] = ("en", "zh")
_FOLDER = Path(__file__).parent / "i18n"


def load_words() -> dict[Lang, dict[str, str]]:
    """Every phrase of the page, by language and key. Placeholders are {names}, filled with str.format."""
    return {lang: json.loads((_FOLDER / f"{lang}.json").read_text(encoding="utf-8")) for lang in LANGS}


def pick_lang(asked: str | None, cookie: str | None, accept: str) -> Lang:
    """What the address asks for, else the cookie, else the browser's first known language, else English."""
    for wish in (asked, cookie):
        if wish in LANGS:
            return "zh" if wish == "zh" else "en"
    for part in accept.lower().split(","):
        tag = part.partition(";")[0].strip()
        if tag.startswith("zh"):
            return "zh"
        if tag.startswith("en"):
            return "en"
    return "en"


def compact(value: float, lang: Lang) -> str:
    """12345 as 1.23万 or 12.3k: three figures, the units of the language."""
    steps: tuple[tuple[float, str], ...] = (
        ((1e8, "亿"), (1e4, "万")) if lang == "zh" else ((1e9, "B"), (1e6, "M"), (1e3, "k"))
    )
    for size, unit in steps:
        if abs(value) >= size:
            return f"{_figures(value / size)}{unit}"
    return _figures(value)


def _figures(value: float) -> str:
    if value == int(value) and abs(value) < 1e5:
        return str(int(value))
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}"


def percent(share: float) -> str:
    """0.713 as 71%; small shares keep a figure."""
    p = 100 * share
    return f"{p:.0f}%" if p >= 10 or p == 0 else f"{p:.1f}%"


def odds(score: float, lang: Lang, words: Mapping[str, str]) -> str:
    """A score (-log10 p) as a person reads it: "once in 3,200 times"."""
    if score >= 12:
        return words["odds.never"]
    n = round(10 ** max(score, 0.0))
    if n >= 100:
        n = round(n, 1 - len(str(n)))  # one figure: more would be pretence
    return words["odds.once"].format(n=compact(n, lang) if n >= 10_000 else f"{n:,}")


def duration(seconds: float, words: Mapping[str, str]) -> str:
    """90 000 as "1 d 1 h"; one or two units."""
    left, parts = int(seconds), []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if left >= size:
            parts.append(words[f"unit.{unit}"].format(n=left // size))
            left %= size
        elif parts:
            break
        if len(parts) == 2:
            break
    return words["unit.join"].join(parts) or words["unit.s"].format(n=0)
