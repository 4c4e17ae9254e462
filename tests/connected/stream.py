"""Made-up texts of any number for flows on real servers: seeded, untidy, no two alike unless one is a repost.

Ordinary days about a few real companies with two crises in them, one English and one Chinese, which the word-list
classifier reads as negative. Times rise from line to line, as in a file that somebody kept.
"""

import json
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 3, 2, tzinfo=UTC)
CRISES = ("entity:TSLA.US", "entity:600519.SH")  # the keys that must fire
CRISIS_TEXTS = 80  # in three hours each

_SOURCES = tuple(f"{kind} {n}" for kind in ("wire", "forum", "blog", "channel") for n in range(1, 6))
_NAMES = ("Tesla", "Boeing", "Netflix", "Nvidia", "Microsoft")
_NAMES_ZH = ("特斯拉", "贵州茅台", "英伟达", "微软", "奈飞")
_CALM = (
    "{name} opens a {a} {b} office in {c}, says {d} of the {e} team",
    "Analysts see {a} orders at {name}: {b}, {c} and {d} named, {e} left out",
    "{a} {b} traders in {c} discuss {d} while {name} presents {e}",
    "{name} names {a} {b} to lead its {c} unit near {d} and {e}",
    "Growth at {name}: {a} {b} deliveries to {c} and {d}, {e} agreed",
)
_BAD = (
    "{name} recall after {a} {b} fire in {c}, lawsuit filed by {d} {e}",
    "{name} shares plunge on {a} fraud probe, {b} {c} and {d} say {e}",
    "Investors sue {name}: {a} losses at {b}, {c} halted, {d} and {e} accused",
    "{name} misses badly in {a}, {b} fear a collapse of {c}, {d} warning from {e}",
)
_CALM_ZH = (
    "{name}在{a}新设{b}中心，{c}与{d}参加了{e}活动",
    "今天{a}的{b}聊{name}，{c}觉得{d}还行，{e}不懂",
    "{name}任命{a}负责{b}业务，{c}{d}表示欢迎{e}",
)
_BAD_ZH = (
    "{name}{a}暴跌，{b}恐慌抛售，{c}起诉{d}，{e}亏损扩大",
    "{name}被立案调查，{a}造假传闻在{b}扩散，{c}{d}跌停{e}",
    "{a}投诉{name}欺诈，{b}维权，{c}违约，{d}停牌{e}",
)
_SYLLABLES = ("ka", "ro", "mi", "ven", "sol", "tar", "lin", "dor", "pex", "ul", "ash", "bri", "nok", "wey", "zan", "fi")
_HAN = "云河青松岭南北东川原田林石桥泉湖山海风阳星月春秋安宁和光明远达丰茂华景瑞嘉"
_MESS = (
    "",
    "",
    "",
    "",
    " &amp; more",
    " <b>read on</b>",
    "  \u200b",
    " 🙂",
    " https://example.com/x?utm_source=a",
    "!!",
)


def rows(texts: int, days: int = 10, seed: int = 5) -> list[dict[str, Any]]:
    """`texts` rows, sorted by time, about one in twelve a repost by another source."""
    rng = random.Random(seed)
    out = [_ordinary(rng, START + timedelta(days=days * n / texts)) for n in range(texts - 2 * CRISIS_TEXTS)]
    for day, name, phrases in ((days - 4, "Tesla", _BAD), (days - 2, "贵州茅台", _BAD_ZH)):
        begins = START + timedelta(days=day, hours=9)
        for _ in range(CRISIS_TEXTS):
            at = begins + timedelta(seconds=rng.uniform(0, 3 * 3600))
            out.append(_row(rng, at, _text(rng, rng.choice(phrases), name)))
    out.sort(key=lambda r: r["ts"])
    _repost(rng, out)
    return [{"id": f"n{n}", **row} for n, row in enumerate(out)]


def write(path: Path, what: Iterable[dict[str, Any]]) -> Path:
    """As JSON Lines; returns the path."""
    path.write_bytes(b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in what))
    return path


def poisoned(what: list[dict[str, Any]], every: int = 1000) -> tuple[list[dict[str, Any]], set[str]]:
    """The same with one row in `every` made unacceptable to `prepare`, each in one of three ways; and their ids."""
    out: list[dict[str, Any]] = []
    bad: set[str] = set()
    for n, row in enumerate(what):
        spoilt = n % every == every // 2
        out.append({**row, **_POISONS[len(bad) % len(_POISONS)]} if spoilt else row)
        if spoilt:
            bad.add(row["id"])
    return out, bad


_POISONS: tuple[dict[str, str], ...] = (
    {"ts": "1970-01-01T00:00:00Z"},
    {"text": "<p>  </p>"},
    {"ts": "2199-01-01T00:00:00Z"},
)


def _ordinary(rng: random.Random, at: datetime) -> dict[str, Any]:
    chinese, bad = rng.random() < 0.4, rng.random() < 0.08
    phrases = (_BAD_ZH if bad else _CALM_ZH) if chinese else (_BAD if bad else _CALM)
    return _row(rng, at, _text(rng, rng.choice(phrases), rng.choice(_NAMES_ZH if chinese else _NAMES)))


def _text(rng: random.Random, phrase: str, name: str) -> str:
    chinese = phrase in _BAD_ZH or phrase in _CALM_ZH
    words = {slot: _word(rng, chinese) for slot in "abcde"}
    return phrase.format(name=name, **words) + rng.choice(_MESS)


def _word(rng: random.Random, chinese: bool) -> str:
    if chinese:
        return "".join(rng.choices(_HAN, k=rng.randint(3, 5)))
    return "".join(rng.choices(_SYLLABLES, k=rng.randint(3, 4))).capitalize()


def _row(rng: random.Random, at: datetime, text: str) -> dict[str, Any]:
    row = {"ts": at.isoformat(), "source": rng.choice(_SOURCES), "text": text}
    if rng.random() < 0.6:
        row["author"] = f"u{rng.randrange(300)}"
    if rng.random() < 0.1:
        row["ticker"] = "TSLA"
    return row


def _repost(rng: random.Random, out: list[dict[str, Any]]) -> None:
    """Let some rows say what one of the fifty before them said."""
    for n in range(50, len(out)):
        if rng.random() < 1 / 12:
            first = out[n - rng.randint(1, 50)]
            head = rng.choice(("RT @someone: ", "", "转发：" if first["text"][0] > "\u2e80" else "RT "))
            out[n] = {**out[n], "text": head + first["text"]}


def spread(stories: int, copies: int, seed: int = 9) -> Iterator[dict[str, Any]]:
    """Texts of which each comes by `copies` sources within minutes; the field "story" says which belong together."""
    rng = random.Random(seed)
    for n in range(stories):
        text = _text(rng, rng.choice(_CALM), rng.choice(_NAMES))
        at = START + timedelta(minutes=20 * n)
        for k, source in enumerate(rng.sample(_SOURCES, copies)):
            yield {
                "id": f"s{n}-{k}", "ts": (at + timedelta(minutes=k)).isoformat(), "source": source, "text": text,
                "story": str(n),
            }  # fmt: skip
