import random
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.prepare.fingerprint import fingerprint, normalise
from pipeline.prepare.stories import Stories
from pipeline.records import Post

AT = datetime(2026, 3, 1, tzinfo=UTC)
LEAST = 0.7


def stories_of(texts: Sequence[str], entities: Sequence[Sequence[str]] | None = None, window: int = 1000) -> list[int]:
    """For each text the place of its story's first text."""
    stories = Stories(window, LEAST)
    named = entities or [()] * len(texts)
    return [int(stories.assign(str(i), fingerprint(t, e))) for i, (t, e) in enumerate(zip(texts, named, strict=True))]


STEEL = "Trump raises steel tariffs on Turkey as the lira falls to a record low against the dollar"


@pytest.mark.parametrize(
    "copy",
    [
        STEEL,
        f"RT @someone: {STEEL}",
        f"RT @a: RT @b: {STEEL} http://t.co/abc123",
        f"{STEEL} - Reuters",
        f"UPDATE 2-{STEEL}",
        f"{STEEL} #trade #lira via @markets",
        STEEL.upper(),
        STEEL[:75] + "…",
        f"{STEEL} $TUR $X $EEM",
        STEEL.replace("falls", "falls,"),
    ],
)
def test_copies_of_a_headline(copy: str) -> None:
    assert stories_of([STEEL, copy]) == [0, 0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "永兴特钢：2018年净利同比增14.45%；拟10派10元（含税）公告",
            "远东传动：2018年净利同比增44.94%；拟10派10元（含税）公告",
        ),
        (
            "Crypto.com Secures Regulatory Approval in Cyprus Today",
            "Crypto.com Secures Regulatory Approval in France Today",
        ),
        (
            "Halma Given New Price Target at Morgan Stanley $15.00",
            "Halma Given New Price Target at Morgan Stanley $18.00",
        ),
        (
            "$JPM reports earnings before the bell on Thursday morning",
            "$BAC reports earnings before the bell on Thursday morning",
        ),
        ("涨停", "跌停"),
        (f"{STEEL} while the central bank keeps rates at 24%", f"{STEEL} while the central bank keeps rates at 17%"),
        ("江西铜业(600362)融资融券信息显示融资余额10亿元05-06", "江西铜业(600362)融资融券信息显示融资余额11亿元05-07"),
    ],
)
def test_two_stories_of_one_pattern(one: str, other: str) -> None:
    assert stories_of([one, other]) == [0, 1]


def test_headlines_of_two_companies() -> None:
    texts = [
        "Apple shares fall on weak demand in China, analysts say",
        "Boeing shares fall on weak demand in China, analysts say",
    ]
    assert stories_of(texts, [["AAPL.US"], ["BA.US"]]) == [0, 1]


def test_articles_with_small_changes_are_one_story() -> None:
    words = random.Random(1).choices([f"word{i}" for i in range(500)], k=200)
    edited = [*words[:90], "another", "phrase", *words[92:], "Reuters", "2026-03-01"]
    assert stories_of([" ".join(words), " ".join(edited), " ".join(w[::-1] for w in words)]) == [0, 0, 2]
    body = (
        "公司今日公告称，控股股东拟减持不超过百分之五的股份，减持原因为自身资金需求，减持方式包括大宗交易和集中竞价。"
        * 3
    )
    assert stories_of([body, "（来源：新浪财经）" + body + "责任编辑：某某"]) == [0, 0]


def test_spam_with_changing_cashtags_is_one_story() -> None:
    texts = [
        f"#Stocks you might want to buy ${a} ${b} ${c} http://t.co/{a}{b}"
        for a, b, c in zip("ABCDE", "FGHIJ", "KLMNO", strict=True)
    ]
    assert stories_of(texts) == [0] * 5


def test_short_texts_only_when_equal() -> None:
    assert stories_of(["涨停！！", "涨停", "涨停了", "http://t.co/a", "http://t.co/b", "🚀🚀", "🚀🚀"]) == [
        0,
        0,
        2,
        3,
        4,
        5,
        5,
    ]


def test_a_copy_of_a_copy_keeps_the_first() -> None:
    letters = [f"{chr(97 + i % 26)}{i} lorem{i * 7 % 31} ipsum{i * 3 % 17}" for i in range(80)]
    texts = [" ".join(letters[i : i + 60]) for i in (0, 6, 12, 18)]
    assert stories_of([texts[0], texts[3]]) == [0, 1]
    assert stories_of(texts) == [0, 0, 0, 0]


def test_the_earliest_of_several_wins() -> None:
    a, b = (
        "alpha beta gamma delta epsilon zeta eta theta iota kappa",
        "one two three four five six seven eight nine ten eleven",
    )
    assert stories_of([a, b, a, b, f"{a} {a}", b]) == [0, 1, 0, 1, 0, 1]


def test_the_window_forgets() -> None:
    assert stories_of(["a text that is repeated", "b", "c", "a text that is repeated"], window=3) == [0, 1, 2, 0]
    assert stories_of(["a text that is repeated", "b", "c", "d", "a text that is repeated"], window=3) == [
        0,
        1,
        2,
        3,
        4,
    ]


def test_a_post_seen_again_keeps_its_story_and_takes_no_second_place() -> None:
    stories = Stories(3, LEAST)
    first, other = fingerprint("same words"), fingerprint("other words")
    assert stories.assign("1", first) == "1"
    assert stories.assign("2", first) == "1"
    assert stories.assign("2", other) == "1"
    assert len(stories) == 2
    assert stories.assign("3", other) == "1"


texts = st.sampled_from(
    [
        "涨停",
        "跌停",
        STEEL,
        f"RT @a: {STEEL}",
        STEEL + " again and again",
        STEEL.replace("Turkey", "Brazil"),
        "x",
        "",
        "🚀",
    ]
    + [f"{STEEL} {STEEL} {i}" for i in range(4)]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), texts), max_size=60), st.integers(1, 8), st.data())
def test_a_restart_anywhere_changes_nothing(arrivals: list[tuple[int, str]], window: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(arrivals)))
    stories = Stories(window, LEAST)
    posts: list[Post] = []
    for at, (number, text) in enumerate(arrivals):
        if at == cut:
            stories = Stories(window, LEAST)
            stories.rebuild(posts[-window:])
        story = stories.assign(str(number), fingerprint(text))
        posts.append(
            Post(
                post_id=str(number),
                source="s",
                text=text,
                language="en",
                published_at=AT,
                fetched_at=AT,
                story_id=story,
            )
        )
        assert len(stories) <= window
    undisturbed = Stories(window, LEAST)
    assert [p.story_id for p in posts] == [undisturbed.assign(str(n), fingerprint(t)) for n, t in arrivals]
    assert len(undisturbed) == len({p.post_id for p in posts[-window:]})


def test_nothing_is_left_of_forgotten_texts() -> None:
    stories = Stories(4, LEAST)
    for i in range(50):
        stories.assign(str(i % 7), fingerprint(f"{STEEL} number {i % 5}"))
    for i in range(4):
        stories.assign(f"short{i}", fingerprint("x"))
    assert not stories._buckets
    assert len(stories._exact) == 1


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("RT @x: Big News! http://t.co/1", "big news"),
        ("Fed hikes 0.25% - Reuters", "fed hikes 0.25%"),
        ("贵州 茅台：涨 5.2%！（新浪财经）", "贵州茅台涨5.2%"),
        ("$AAPL up. $TSLA $NVDA $AMD", "$aapl up"),
    ],
)
def test_normal_form(text: str, normal: str) -> None:
    assert normalise(text) == normal
