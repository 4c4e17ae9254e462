import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.prepare.clean import clean


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("<p>One</p><p>Two</p>", "One\nTwo"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<b>Tesla</b>'s shares", "Tesla's shares"),
        ("<div>x</div><script>alert(1)</script><style>p{}</style>y", "x\ny"),
        ("before <!-- hidden --><i>after</i>", "before after"),
        ("&lt;p&gt;escaped twice&lt;/p&gt;", "escaped twice"),
        ("AT&amp;T &#8220;up&#x201d; 3&nbsp;%", "AT&T “up” 3 %"),
        ("AT&T and R&D;", "AT&T and R&D;"),
        ("see http://x.com/?a=1&copy=2&lt=3", "see http://x.com/?a=1&copy=2&lt=3"),
        ("a < b and c > d", "a < b and c > d"),
        ("I <3 $TSLA", "I <3 $TSLA"),
        ("if x <a and b> c", "if x <a and b> c"),
        ("List<String> x", "List<String> x"),
        ("<table><tr><td>Net</td><td>5.1</td></tr></table>", "Net 5.1"),
        ("<html><head><title>t</title></head><body><h1>H</h1>body</body></html>", "H\nbody"),
        ("<p>1 < 2 and <3</p>", "1 < 2 and <3"),
        ("<![CDATA[<p>in a feed</p>]]>", "in a feed"),
        ("line  one \r\n\r\n  line\u3000two\u2028three", "line one\nline two\nthree"),
        ("\ufeffzero\u200bwidth\u2060 \u202eflip\u00ad", "zerowidth flip"),
        ("nul\x00 bell\x07 del\x7f", "nul bell del"),
        ("cafe\u0301", "café"),
        ("全角！（ＡＢＣ）①", "全角！（ＡＢＣ）①"),
        ("lone \ud83d half", "lone \ufffd half"),
        ("pair \ud83d\ude00", "pair 😀"),
        ("👨\u200d👩\u200d👧 家", "👨\u200d👩\u200d👧 家"),
        ("<p>\u200b</p>", ""),
        ("   ", ""),
        ("<img src='x' alt='y'>", ""),
    ],
)
def test_cleans(raw: str, expected: str) -> None:
    assert clean(raw) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$TSLA 涨了！",
        "Q2 <= Q1; 5 > 3",
        "第一行\n第二行",
        "“quoted” – it's fine…",
        "🚀🚀 to the moon",
        "x &unknown; y",
    ],
)
def test_clean_text_comes_back_as_it_was(text: str) -> None:
    assert clean(text) == text


pieces = st.lists(
    st.one_of(
        st.sampled_from(
            ["<p>", "</p>", "<br>", "<b", "&amp;", "&lt;", "&#0;", "<script>", "</script>", "\u200b", "\x00", "  "]
        ),
        st.text(max_size=8),
        st.text(st.characters(whitelist_categories=["Cs", "Cc", "Cf", "Lo"]), max_size=4),
    ),
    max_size=12,
).map("".join)


@settings(max_examples=60, deadline=None)
@given(pieces)
def test_the_result_is_tidy_and_stays_as_it_is(raw: str) -> None:
    text = clean(raw)
    assert text == text.strip()
    assert "  " not in text
    assert "\n\n" not in text
    assert unicodedata.is_normalized("NFC", text)
    text.encode()  # no surrogates left
    assert not any(unicodedata.category(c) == "Cc" and c != "\n" for c in text)
    assert clean(text) == text


def test_a_long_page_is_no_burden() -> None:
    assert clean("<p>word &amp; word</p>\n" * 3_000).count("\n") == 2_999
    assert len(clean("&amp;" * 100_000)) == 100_000
    assert clean("<" * 100_000) == "<" * 100_000
