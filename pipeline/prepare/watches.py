"""Users' own watches: which of them a text matches."""

import re
from collections.abc import Callable, Iterable, Mapping
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

from pipeline.control.base import Watch
from pipeline.errors import WindvaneError

MAX_PATTERN = 500  # characters of a pattern
MAX_SEARCHED = 4_000  # characters of a text that a regular expression sees: bounds what a slow one can cost

_LATIN = "0-9A-Za-zÀ-ɏ"
_FIELD = re.compile(r"\s*([\w.\-]+)\s*(?:=\s*(.+?)|\s+in\s+(.+?))\s*", re.IGNORECASE)
Test = Callable[[str, Mapping[str, str]], bool]


class WatchMatcher:
    """Tells which watches match a text. Raises WindvaneError, naming the watch, when one is not valid."""

    def __init__(self, watches: Iterable[Watch]) -> None:
        self.watches = tuple(watches)
        self._tests: list[tuple[str, Test]] = [(w.id, _test(w)) for w in self.watches]

    def match(self, document: str, attributes: Mapping[str, str]) -> tuple[str, ...]:
        """Ids of the watches that match, in the order they were given.

        keyword, phrase: any letter case; a Latin word matches as a whole word, Han characters anywhere; white space in
        the pattern matches any. regex: any letter case, over the first 4 000 characters. field: see `watch_of_match`.
        """
        return tuple(i for i, test in self._tests if test(document, attributes))


def check_watch(watch: Watch) -> None:
    """Raises WindvaneError, as a sentence for its author, when the watch is not valid."""
    _test(watch)


def watch_of_match(match: str) -> Watch:
    """The watch that an event's `match` means: "(all)", "ticker=X", "ticker in A,B", else a regular expression.

    Its id is the match itself, so that the key of its episodes reads `watch:ticker=AMZN`.
    """
    text = match.strip()
    if text == "(all)":
        return Watch(id=text, name=text, kind="all", pattern="")
    if re.fullmatch(r"[A-Za-z_]\w*(?:=[^|()\[\]*+?\\]+| in [^|()\[\]*+?\\]+)", text):
        return Watch(id=text, name=text, kind="field", pattern=text)
    return Watch(id=text, name=text, kind="regex", pattern=text)


def _test(watch: Watch) -> Test:
    if watch.kind == "all":
        return lambda document, attributes: True
    if not watch.pattern.strip():
        raise _wrong(watch, "its pattern is empty", "give it the words to look for")
    if len(watch.pattern) > MAX_PATTERN:
        raise _wrong(watch, f"its pattern has {len(watch.pattern)} characters", f"use at most {MAX_PATTERN}")
    if watch.kind in ("keyword", "phrase"):
        find = _words(watch.pattern).search
        return lambda document, attributes: find(document) is not None
    if watch.kind == "regex":
        search = _regex(watch).search
        return lambda document, attributes: search(document, 0, MAX_SEARCHED) is not None
    if watch.kind == "field":
        return _field(watch)
    raise _wrong(watch, f"its kind is {watch.kind!r}", "use keyword, phrase, regex, field or all")


def _words(pattern: str) -> re.Pattern[str]:
    words = pattern.split()
    before = rf"(?<![{_LATIN}])" if re.match(f"[{_LATIN}]", words[0]) else ""
    after = rf"(?![{_LATIN}])" if re.search(f"[{_LATIN}]$", words[-1]) else ""
    return re.compile(before + r"\s+".join(re.escape(w) for w in words) + after, re.IGNORECASE)


def _regex(watch: Watch) -> re.Pattern[str]:
    try:
        compiled = re.compile(watch.pattern, re.IGNORECASE)
        nested = _nested_repeat(_parser.parse(watch.pattern, re.IGNORECASE))
    except (re.error, RecursionError, OverflowError) as e:
        raise _wrong(watch, f"{watch.pattern!r} is no regular expression: {e}", "correct it, or use a keyword") from e
    if nested:
        raise _wrong(
            watch,
            f"{watch.pattern!r} repeats a repetition, as in (a+)+, which can take hours on one text",
            "write it flat",
        )
    if compiled.search("") is not None:
        raise _wrong(watch, f"{watch.pattern!r} matches every text", "use kind all if that is meant")
    return compiled


def _nested_repeat(parsed: Any, inside: bool = False) -> bool:
    """Whether an open-ended repeat stands inside another one: the shape whose search time grows exponentially."""
    for op, value in parsed:
        repeat = op in (_constants.MAX_REPEAT, _constants.MIN_REPEAT)
        open_ended = repeat and value[1] > 20
        if open_ended and inside:
            return True
        for part in value if isinstance(value, tuple | list) else (value,):
            for piece in part if op is _constants.BRANCH and isinstance(part, list) else (part,):
                if isinstance(piece, _parser.SubPattern) and _nested_repeat(piece, inside or open_ended):
                    return True
    return False


def _field(watch: Watch) -> Test:
    found = _FIELD.fullmatch(watch.pattern)
    if found is None:
        raise _wrong(watch, f"{watch.pattern!r} is no field test", 'write it as "ticker=AAPL" or "ticker in AAPL,MSFT"')
    name = found[1]
    listed = [found[2]] if found[2] is not None else found[3].split(",")
    values = frozenset(v.strip().casefold() for v in listed)
    return lambda document, attributes: attributes.get(name, "").strip().casefold() in values


def _wrong(watch: Watch, found: str, advice: str) -> WindvaneError:
    return WindvaneError(f"The watch {watch.name or watch.id!r} cannot be used: {found}. Please {advice}.")
