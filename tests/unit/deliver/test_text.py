"""Cutting and escaping: never a character, an escape or a link in two."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.deliver.text import CUT, byte_length, fit, fit_lines, markdown, one_line, slack, web_address

FAMILY = "👩\u200d👩\u200d👧"


@given(st.text(max_size=60), st.integers(0, 80))
def test_bytes_are_kept_to_and_characters_whole(text: str, limit: int) -> None:
    got = fit(text, limit)
    assert byte_length(got) <= limit
    if byte_length(text) <= limit:
        assert got == text
    elif got:
        assert got.endswith(CUT) and text.startswith(got.removesuffix(CUT))


@given(st.text(alphabet="a&<>恒大", max_size=60), st.integers(0, 120))
def test_no_escape_is_cut(text: str, limit: int) -> None:
    got = fit(text, limit, slack, len)
    assert len(got) <= limit
    kept = got.removesuffix(CUT) if got != slack(text) else got
    plain = kept.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert slack(plain) == kept and text.startswith(plain)


def test_marks_and_joined_emoji_stay_with_their_character():
    for limit in range(4, 40):
        got = fit("e\u0301" * 4 + FAMILY * 2, limit)
        body = got.removesuffix(CUT)
        assert not body.endswith("\u200d") and byte_length(got) <= limit
        rest = ("e\u0301" * 4 + FAMILY * 2)[len(body) :]
        assert not rest or not (unicodedata.combining(rest[0]) or rest[0] == "\u200d")


def test_a_line_is_one_line():
    assert one_line("a\n\n# b\u2028c\x00d\t e ") == "a # b c d e"
    assert one_line(FAMILY) == FAMILY


def test_optional_lines_go_from_the_last():
    lines = [f"- [标题{i}](https://x/{i})" for i in range(5)]
    whole = fit_lines(["head"], lines, ["tail"], 10_000)
    assert whole.splitlines() == ["head", *lines, "tail"]
    short = fit_lines(["head"], lines, ["tail"], byte_length(whole) - 1)
    assert short.splitlines() == ["head", *lines[:-1], "tail"]


@pytest.mark.parametrize(
    ("url", "got"),
    [
        ("https://x/a b(c)", "https://x/a%20b%28c%29"),
        ("https://x/a|b<c>", "https://x/a%7Cb%3Cc%3E"),
        ("http://[::1]:81/a", "http://[::1]:81/a"),
        ("javascript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("https://", ""),
        ("https://x/\n)", ""),
        ("http://[", ""),
        (None, ""),
    ],
)
def test_addresses_in_links(url: str | None, got: str) -> None:
    assert web_address(url) == got


def test_nothing_in_a_text_is_markup():
    hostile = "[click](https://evil) ![x](https://evil) **b** `c` <at id=all></at> <font color=red> # h ~~s~~ _i_ \\"
    said = markdown(hostile)
    assert not set(said) & set("[]*`<>~_\\#")
    assert "<" not in slack("<!channel> <https://evil|x>")
