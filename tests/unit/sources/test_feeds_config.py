"""feeds.toml: every mistake is named by entry and field."""

import pytest

from pipeline.errors import WindvaneError
from pipeline.sources.feeds import Feed, load_feeds

GOOD = '[[feed]]\nurl = "https://a.example/rss"\nname = "A"\n'


def load(tmp_path, text):
    (tmp_path / "feeds.toml").write_text(text, encoding="utf-8")
    return load_feeds(tmp_path / "feeds.toml")


def test_defaults_and_all_fields(tmp_path):
    text = GOOD + '[[feed]]\nurl = "https://b.example/"\nname = "乙"\ntier = 1\ninterval = 300\n'
    assert load(tmp_path, text) == [
        Feed("https://a.example/rss", "A", 2, 600.0),
        Feed("https://b.example/", "乙", 1, 300.0),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected \[\[feed\]\] entries with url and name, found none"),
        ('[[feeds]]\nurl = "x"', r"expected \[\[feed\]\] entries .* found feeds"),
        ("feed = 3", r"expected \[\[feed\]\] entries"),
        ("feed = [3]", r"feed 1: expected a \[\[feed\]\] table, found 3"),
        ("[[feed]", "not valid TOML"),
        ('[[feed]]\nname = "A"', "feed 1, url: expected a text, found nothing"),
        (GOOD + '[[feed]]\nurl = "https://b/"\nname = 3', "feed 2, name: expected a text, found 3"),
        (GOOD + "tier = 7", r"feed 1, tier: expected 1, 2 or 3 .*found 7"),
        (GOOD + "interval = 5", "feed 1, interval: expected seconds between 60 and 86400, found 5"),
        (GOOD + 'interval = "often"', "feed 1, interval: .* found 'often'"),
        (GOOD + "intervall = 5", "feed 1, intervall: expected one of the fields url, name, tier, interval"),
        ('[[feed]]\nurl = "a.example"\nname = "A"', "feed 1, url: expected the web address of a feed"),
        ('[[feed]]\nurl = "http://127.0.0.1/"\nname = "A"', "feed 1, url: .*private network"),
        (GOOD + GOOD, "feed 2, url: expected one of its own, found .* a second time"),
    ],
)
def test_mistakes(tmp_path, text, message):
    with pytest.raises(WindvaneError, match=message):
        load(tmp_path, text)


def test_missing_file(tmp_path):
    with pytest.raises(WindvaneError, match="There is no file"):
        load_feeds(tmp_path / "none.toml")
