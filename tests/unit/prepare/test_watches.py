import time

import pytest

from pipeline.control.base import Watch
from pipeline.errors import WindvaneError
from pipeline.prepare.watches import WatchMatcher, check_watch, watch_of_match


def hit(kind: str, pattern: str, text: str, **attributes: str) -> bool:
    return bool(WatchMatcher([Watch("w", "name", kind, pattern)]).match(text, attributes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "pattern", "text", "expected"),
    [
        ("keyword", "recall", "Tesla RECALL widens", True),
        ("keyword", "recall", "Tesla recalled cars", False),
        ("keyword", "recall", "买了recall股票", True),
        ("keyword", "召回", "特斯拉宣布召回", True),
        ("keyword", "c++", "written in C++ today", True),
        ("keyword", "$tsla", "long $TSLA now", True),
        ("phrase", "supply chain", "the supply\n chain broke", True),
        ("phrase", "supply chain", "supply chains", False),
        ("phrase", "暂停 提现", "平台暂停 提现", True),
        ("regex", "turk|lira", "Turkish markets", True),
        ("regex", "turk|lira", "nothing", False),
        ("regex", r"\d{3}亿", "亏损300亿", True),
        ("all", "", "whatever", True),
    ],
)
def test_texts(kind: str, pattern: str, text: str, expected: bool) -> None:
    assert hit(kind, pattern, text) is expected


@pytest.mark.parametrize(
    ("pattern", "attributes", "expected"),
    [
        ("ticker=AAPL", {"ticker": "AAPL"}, True),
        ("ticker = aapl", {"ticker": "AAPL"}, True),
        ("ticker=AAPL", {"ticker": "AAPLX"}, False),
        ("ticker=AAPL", {}, False),
        ("ticker in FB, GOOG,AMZN", {"ticker": "GOOG"}, True),
        ("ticker in FB,GOOG", {"ticker": "AMZN"}, False),
    ],
)
def test_fields(pattern: str, attributes: dict[str, str], expected: bool) -> None:
    assert hit("field", pattern, "any", **attributes) is expected


def test_every_matching_watch_in_order() -> None:
    watches = [Watch("b", "", "keyword", "bank"), Watch("a", "", "all", ""), Watch("c", "", "keyword", "x")]
    assert WatchMatcher(watches).match("a bank", {}) == ("b", "a")


@pytest.mark.parametrize(
    ("kind", "pattern", "reason"),
    [
        ("regex", "(", "no regular expression"),
        ("regex", "(a+)+$", "repeats a repetition"),
        ("regex", "(?:x|y*)*z", "repeats a repetition"),
        ("regex", "a*", "matches every text"),
        ("regex", "a" * 501, "501 characters"),
        ("keyword", "  ", "pattern is empty"),
        ("field", "ticker", "no field test"),
        ("sound", "x", "kind is 'sound'"),
    ],
)
def test_an_invalid_watch_is_named(kind: str, pattern: str, reason: str) -> None:
    with pytest.raises(WindvaneError, match="The watch 'My watch' cannot be used") as e:
        check_watch(Watch("w", "My watch", kind, pattern))  # type: ignore[arg-type]
    assert reason in str(e.value)


@pytest.mark.parametrize(
    ("match", "kind"),
    [
        ("(all)", "all"),
        ("ticker=AMZN", "field"),
        ("ticker in FB,GOOG,AMZN", "field"),
        ("ticker=300333", "field"),
        ("boeing", "regex"),
        ("turk|lira", "regex"),
        ("celsius|terra", "regex"),
    ],
)
def test_event_syntax(match: str, kind: str) -> None:
    watch = watch_of_match(match)
    assert (watch.id, watch.kind) == (match, kind)
    check_watch(watch)


def test_a_slow_expression_sees_a_bounded_text() -> None:
    started = time.perf_counter()
    hit("regex", r"\w+\s+\w+x", "a" * 1_000_000)
    assert time.perf_counter() - started < 5
