"""Companies and institutions named in a text: Aho–Corasick over the alias table, then rules against wrong ones.

A wrong link is worse than a missed one. What happens, in order (docs/entities.md has it for users):
1. Find every alias where Latin letters do not run on: "Metaverse" is no Meta, "买了Tesla股票" is Tesla. Not in links.
2. Find codes: $AAPL, $000001.SZ$, (NASDAQ: AAPL), SH600519, (600519), 0700.HK. These are certain.
3. Drop an alias whose letter case differs (case_sensitive); that a forbidden phrase covers, or stands beside within 40
   characters; that needs context (require_any) and has none within 120 characters. A certain mention of the same entity
   anywhere in the text is context enough.
4. Of overlapping mentions keep the leftmost, then the longest: 平安银行 and 中国平安 over 平安.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

from pipeline.prepare.aliases import NOBODY, Alias, EntityName, EntityTable, fold
from pipeline.prepare.codes import codes
from pipeline.records import Mention

__all__ = ["EntityLinker", "EntityName", "EntityTable"]

FORBID_WITHIN = 40
REQUIRE_WITHIN = 120
_LATIN = "0-9A-Za-z_À-ɏ"
_RUNS_ON = re.compile(f"[{_LATIN}]")
_ADDRESS = re.compile(
    r"(?:https?://|www\.)[^\s\u4e00-\u9fff]+|[\w.\-]+@[\w\-]+\.\w+|[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+/[^\s\u4e00-\u9fff]*"
)


class _Rule(NamedTuple):
    """An alias with its context words compiled."""

    alias: Alias
    cover: re.Pattern[str] | None  # forbidden phrases that contain the alias: only where they lie over it
    near: re.Pattern[str] | None  # other forbidden phrases
    require: re.Pattern[str] | None


class _Found(NamedTuple):
    entity: str
    start: int
    end: int
    require: re.Pattern[str] | None


class EntityLinker:
    """Finds the entities of a table in texts. Stateless between calls."""

    def __init__(self, table: EntityTable) -> None:
        self.table = table
        rules: dict[str, list[_Rule]] = {}
        for alias in table.aliases:
            rules.setdefault(fold(alias.text), []).append(_rule(alias))
        self._rules = list(rules.values())
        self._names = AhoCorasick(
            list(rules), matchkind=MatchKind.Standard, implementation=Implementation.ContiguousNFA
        )

    def link(self, text: str) -> list[Mention]:
        """The mentions in the order they stand, not overlapping. Places are code points into `text` as given."""
        folded = fold(text)
        found = [*self._codes(text), *self._aliases(text, folded)]
        if not found:
            return []
        certain = {f.entity for f in found if f.require is None}
        held = [f for f in found if f.require is None or f.entity in certain or _has_context(folded, f)]
        return [
            Mention(entity=f.entity, text=text[f.start : f.end], start=f.start, end=f.end)
            for f in _leftmost_longest(held)
            if f.entity != NOBODY
        ]

    def _codes(self, text: str) -> Iterable[_Found]:
        for code in codes(text):
            for ticker in code.tickers:
                if entity := self.table.tickers.get(ticker):
                    yield _Found(entity, code.start, code.end, None)
                    break

    def _aliases(self, text: str, folded: str) -> Iterable[_Found]:
        matches = self._names.find_matches_as_indexes(folded, overlapping=True)
        if not matches:
            return
        addresses = (
            [m.span() for m in _ADDRESS.finditer(text)] if "/" in text or "www." in folded or "@" in text else []
        )
        for pattern, start, end in matches:
            if not _stands_alone(text, start, end) or any(a <= start < b for a, b in addresses):
                continue
            for rule in self._rules[pattern]:
                if _case_fits(rule.alias, text[start:end]) and not _forbidden(rule, folded, start, end):
                    yield _Found(rule.alias.entity, start, end, rule.require)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether the name is a word of its own; Han characters need no border."""
    if start and _RUNS_ON.match(text[start]) and _RUNS_ON.match(text[start - 1]):
        return False
    return not (end < len(text) and _RUNS_ON.match(text[end - 1]) and _RUNS_ON.match(text[end]))


def _case_fits(alias: Alias, written: str) -> bool:
    return not alias.case_sensitive or written in (alias.text, alias.text.upper())


def _forbidden(rule: _Rule, folded: str, start: int, end: int) -> bool:
    low, high = max(0, start - FORBID_WITHIN), end + FORBID_WITHIN
    if rule.near and rule.near.search(folded, low, high):
        return True
    return rule.cover is not None and any(
        m.start() <= start and end <= m.end() for m in rule.cover.finditer(folded, low, high)
    )


def _has_context(folded: str, found: _Found) -> bool:
    """Whether a word that the alias requires stands near, outside the alias itself."""
    assert found.require is not None
    before = folded[max(0, found.start - REQUIRE_WITHIN) : found.start]
    after = folded[found.end : found.end + REQUIRE_WITHIN]
    return found.require.search(before) is not None or found.require.search(after) is not None


def _leftmost_longest(found: list[_Found]) -> list[_Found]:
    """Not overlapping. Two entities with one and the same span: nobody can tell, so neither."""
    best: dict[tuple[int, int], _Found | None] = {}
    for f in found:
        held = best.get((f.start, f.end), f)
        best[f.start, f.end] = f if held and held.entity == f.entity else None
    kept: list[_Found] = []
    reach = 0
    for start, end in sorted(best, key=lambda s: (s[0], -s[1])):
        if start >= reach:
            reach = end
            if one := best[start, end]:
                kept.append(one)
    return kept


def _rule(alias: Alias) -> _Rule:
    name = fold(alias.text)
    cover = tuple(w for w in alias.forbid_any if name in w)
    near = tuple(w for w in alias.forbid_any if name not in w)
    return _Rule(alias, _any_of(cover), _any_of(near), _any_of(alias.require_any))


@cache  # the aliases of a row share their lists, and compiling is what takes the time
def _any_of(words: tuple[str, ...]) -> re.Pattern[str] | None:
    """One expression for whole words (Latin) and substrings (Han) in folded text."""
    parts = [
        (rf"(?<![{_LATIN}])" if _RUNS_ON.match(w[0]) else "")
        + re.escape(w)
        + (rf"(?![{_LATIN}])" if _RUNS_ON.match(w[-1]) else "")
        for w in words
    ]
    return re.compile("|".join(parts)) if parts else None
