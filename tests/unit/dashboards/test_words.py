"""Both languages say everything, and numbers are written as their readers write them."""

import re
from pathlib import Path

import pytest

import dashboards
from dashboards.words import LANGS, Lang, compact, duration, load_words, odds, percent, pick_lang

ROOT = Path(dashboards.__file__).parent
WORDS = load_words()


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    assert WORDS["en"].keys() == WORDS["zh"].keys()
    for key, phrase in WORDS["en"].items():
        assert (phrase.strip() and WORDS["zh"][key].strip()) or key == "unit.join", key
        holes = [sorted(re.findall(r"\{(\w+)\}", WORDS[lang][key])) for lang in LANGS]
        assert holes[0] == holes[1], key


def test_every_key_used_exists_and_every_key_is_used() -> None:
    templates = "\n".join(p.read_text() for p in (ROOT / "templates").rglob("*.html"))
    scripts = "\n".join(p.read_text() for p in (ROOT / "static" / "js").glob("*.js"))
    used = set(re.findall(r"""\bt\(["']([\w.]+)["'](?!\s*~)[,)\s]""", templates))
    used |= {f"js.{k}" for k in re.findall(r"""\bt\(["'`]([\w.]+)["'`][,)]""", scripts)}
    assert used - WORDS["en"].keys() == set()
    both = templates + scripts + (ROOT / "words.py").read_text() + (ROOT / "pages.py").read_text()
    prefixes = (
        "status.",
        "severity.",
        "event.",
        "mode.",
        "sentiment.",
        "language.",
        "range.",
        "search.last.",
        "gone.",
        "act.",
        "unit.",
        "sub.digest.",
        "sub.field.",
        "sub.hint.",
        "channel.",
        "delivery.state.",
        "delivery.why.",
        "js.",
    )
    for key in WORDS["en"].keys() - used:
        assert key.startswith(prefixes) or f'"{key}"' in both, f"{key} is used nowhere"


def test_scripts_only_use_simple_keys_that_exist() -> None:
    for path in (ROOT / "static" / "js").glob("*.js"):
        for key in re.findall(r'\bt\("([\w.]+)"', path.read_text()):
            assert f"js.{key}" in WORDS["en"], f"{path.name}: {key}"


@pytest.mark.parametrize(
    ("value", "en", "zh"),
    [
        (0, "0", "0"),
        (7, "7", "7"),
        (2.5, "2.5", "2.5"),
        (999, "999", "999"),
        (1000, "1k", "1000"),
        (9400, "9.4k", "9400"),
        (12345, "12.3k", "1.23万"),
        (250_000, "250k", "25万"),
        (3_400_000, "3.4M", "340万"),
        (120_000_000, "120M", "1.2亿"),
    ],
)
def test_compact(value: float, en: str, zh: str) -> None:
    assert (compact(value, "en"), compact(value, "zh")) == (en, zh)


def test_odds_are_said_without_pretence() -> None:
    assert odds(3.0, "en", WORDS["en"]) == "once in 1,000 times"
    assert odds(5.2, "zh", WORDS["zh"]) == "约 20万次中才有一次"
    assert odds(30, "en", WORDS["en"]) == "less than once in a trillion times"
    assert odds(-1, "en", WORDS["en"]) == "once in 1 times"


def test_duration_and_percent() -> None:
    assert duration(90_000, WORDS["en"]) == "1 d 1 h" and duration(3600, WORDS["zh"]) == "1 小时"
    assert duration(0, WORDS["en"]) == "0 s"
    assert [percent(x) for x in (0, 0.004, 0.0956, 0.713, 1)] == ["0%", "0.4%", "9.6%", "71%", "100%"]


@pytest.mark.parametrize(
    ("asked", "cookie", "accept", "lang"),
    [
        ("zh", "en", "en", "zh"),
        (None, "zh", "en", "zh"),
        ("xx", None, "zh-CN,zh;q=0.9", "zh"),
        (None, None, "fr,en;q=0.5", "en"),
        (None, "<x>", "", "en"),
    ],
)
def test_pick_lang(asked: str | None, cookie: str | None, accept: str, lang: Lang) -> None:
    assert pick_lang(asked, cookie, accept) == lang


def test_what_a_reader_downloads_is_small() -> None:
    total = sum(p.stat().st_size for p in (ROOT / "static").rglob("*") if p.is_file())
    assert total < 200_000, f"{total} bytes"


def test_nothing_is_fetched_from_elsewhere() -> None:
    for path in [
        *(ROOT / "templates").rglob("*.html"),
        *(ROOT / "static").rglob("*.css"),
        *(ROOT / "static" / "js").glob("*.js"),
    ]:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(
            r"https?://\w|url\(|@import|innerHTML|insertAdjacentHTML|document\.write|<[^>{%]*\s(style|on\w+)=\"", text
        ), path.name
