"""Texts changed in ways that must not change what they say: typing errors, letter case, script, emoji, another company.

Every change is a function of (text, random numbers) that gives the text back as it was where it does not apply. The
random numbers come from the seed, the change and the text, so that a text is changed alike in any file and order.
"""

from __future__ import annotations

import importlib
import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from models.language import language_of
from pipeline.prepare.aliases import EntityName, EntityTable
from pipeline.prepare.entities import EntityLinker

Change = Callable[[str, random.Random], str]
WORDS_MISTYPED, HAN_MISTYPED = 0.15, 0.06  # shares of words and of characters; at least one where there is any
EMOJI = ("📊", "📰", "📌", "👀", "💬", "🔎", "🧾", "📅")  # none that cheers or mourns
_WORD = re.compile(r"https?://\S+|[$@#]\w+|[A-Za-z]{4,}")
_HAN = re.compile(r"[一-鿿]")
_GAP = re.compile(r"(?<=[，。！？；、])|(?<=\s)(?=\S)")
# Characters typed for one another by sound (pinyin input), none of which turns the sense round.
_SOUNDS = dict(zip(
    "涨跌股司业绩利增资购市价公的在做账已像升降亏盈预期融债险控报收净商产营",
    "长爹古思页记力憎姿够是架工地再作帐以向声酱盔赢育七容寨显空暴手静伤铲赢", strict=True,
))  # fmt: skip


@dataclass(frozen=True)
class Perturbation:
    """A change by name, and in words what it does."""

    name: str
    about: str
    change: Change

    def of(self, text: str, seed: int) -> str:
        """The text changed; the text itself where the change does not apply."""
        return self.change(text, random.Random(f"{seed}/{self.name}/{text}"))


def perturbations(table: EntityTable) -> tuple[list[Perturbation], dict[str, str]]:
    """Every change that can be made here, and of the others why not: {name: sentence}."""
    found = [
        Perturbation("typos", "letters of some words swapped, doubled or lost; some Han characters lost, swapped, or "
                     "typed as another of the same sound", typos),
        Perturbation("upper_case", "CAPITALS", lambda text, _: text.upper()),
        Perturbation("lower_case", "small letters", lambda text, _: text.lower()),
        Perturbation("emoji", "one or two emoji put in that say nothing", emoji),
        Perturbation("company_swapped", "each company named by another of its sector", CompanySwap(table)),
    ]  # fmt: skip
    try:
        convert = to_traditional()
    except ImportError:
        return found, {"traditional": "opencc is not installed: pip install 'windvane[models]'"}
    return [*found, Perturbation("traditional", "in traditional characters", lambda text, _: convert(text))], {}


def to_traditional() -> Callable[[str], str]:
    """OpenCC's conversion from simplified to traditional characters. ImportError when it is not installed."""
    converter = importlib.import_module("opencc").OpenCC("s2t")
    return lambda text: str(converter.convert(text))


def typos(text: str, rng: random.Random) -> str:
    """Typing errors of the text's own script. Links, tags and $CODES stay."""
    return _han_typos(text, rng) if language_of(text) == "zh" else _word_typos(text, rng)


def emoji(text: str, rng: random.Random) -> str:
    """One or two emoji at the start, at the end or between words."""
    for sign in rng.sample(EMOJI, rng.choice((1, 2))):
        gaps = [0, *(m.start() for m in _GAP.finditer(text)), len(text)]
        at = rng.choice(gaps)
        text = f"{text[:at]} {sign} {text[at:]}"
    return text.strip()


class CompanySwap:
    """Names another company wherever a text names one: of the same sector where there is one, in the same script; codes
    ($AAPL, 600519.SH) become codes of the same market. Institutions and coins stay."""

    def __init__(self, table: EntityTable) -> None:
        self._linker = EntityLinker(table)
        self._companies = {name.id: name for name in table.names.values() if name.kind == "company"}

    def __call__(self, text: str, rng: random.Random) -> str:
        """The text about other companies; as it was when it names none that can be replaced."""
        mentions = [m for m in self._linker.link(text) if m.entity in self._companies]
        new: dict[str, EntityName] = {}
        for entity in dict.fromkeys(m.entity for m in mentions):
            taken = {m.entity for m in mentions} | {other.id for other in new.values()}
            if others := self._like(self._companies[entity], taken):
                new[entity] = rng.choice(others)
        for m in reversed(mentions):
            if m.entity in new:
                text = text[: m.start] + _as_written(m.text, self._companies[m.entity], new[m.entity]) + text[m.end :]
        return text

    def _like(self, old: EntityName, taken: set[str]) -> list[EntityName]:
        """Companies that can stand for another: with Chinese and English names of their own, a code in its market."""
        market = {_market(ticker) for ticker in old.tickers}
        fit = [
            name
            for name in self._companies.values()
            if name.id not in taken and _HAN.search(name.name_zh) and market <= {_market(t) for t in name.tickers}
        ]
        return [name for name in fit if name.sector == old.sector] or fit


def _as_written(written: str, old: EntityName, new: EntityName) -> str:
    """The new company's name or code in the form the old one's had."""
    for ticker in old.tickers:
        code = ticker.rpartition(".")[0]
        at = written.upper().find(code.upper())
        plain = written.upper().removeprefix("$") == code.upper() or any(sign.isdigit() for sign in written)
        if at >= 0 and plain:
            other = next(t.rpartition(".")[0] for t in new.tickers if _market(t) == _market(ticker))
            return written[:at] + other + written[at + len(code) :]
    return new.name_zh if _HAN.search(written) else new.name_en


def _market(ticker: str) -> str:
    return ticker.rpartition(".")[2]


def _word_typos(text: str, rng: random.Random) -> str:
    words = [m for m in _WORD.finditer(text) if m[0].isalpha()]
    if not words:
        return text
    chosen = [m for m in words if rng.random() < WORDS_MISTYPED] or [rng.choice(words)]
    for m in reversed(chosen):
        text = text[: m.start()] + _mistyped(m[0], rng) + text[m.end() :]
    return text


def _mistyped(word: str, rng: random.Random) -> str:
    """A word of four letters or more with one error inside; its first letter stays."""
    at = rng.randrange(1, len(word) - 1)
    kind = rng.choice(("swap", "drop", "double"))
    if kind == "swap" and word[at] != word[at + 1]:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + word[at] * 2 + word[at + 1 :] if kind == "double" else word[:at] + word[at + 1 :]


def _han_typos(text: str, rng: random.Random) -> str:
    places = [m.start() for m in _HAN.finditer(text)]
    if len(places) < 2:
        return text
    chosen = [at for at in places if rng.random() < HAN_MISTYPED] or [rng.choice(places)]
    signs = list(text)
    for at in chosen:
        kind = rng.choice(("sound", "sound", "drop", "swap"))
        if kind == "sound" and text[at] in _SOUNDS:
            signs[at] = _SOUNDS[text[at]]
        elif kind == "swap" and at + 1 < len(text) and _HAN.match(text[at + 1]) and text[at] != text[at + 1]:
            signs[at], signs[at + 1] = signs[at + 1], signs[at]
        else:
            signs[at] = ""
    return "".join(signs)
