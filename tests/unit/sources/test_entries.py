"""Feed bytes to texts: forms, encodings, times, and what is no feed."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.prepare.times import parse
from pipeline.records import Raw, Rejected
from pipeline.sources.entries import BrokenFeed, read_document
from pipeline.sources.feeds import Feed

NOW = datetime(2026, 1, 2, tzinfo=UTC)
FEED = Feed("https://news.example/rss", "News", 1)
DATA = Path(os.environ.get("WINDVANE_DATA", Path(__file__).parents[4] / "shared" / "data")) / "fixtures"

RSS = """<?xml version="1.0" encoding="{encoding}"?><rss version="2.0"><channel><title>新闻</title><ttl>15</ttl>
<item><title>央行降准</title><description>据新华社㐂消息 &lt;b&gt;5 &lt; 6&lt;/b&gt;</description>
<link>https://news.example/2</link><guid>g2</guid>
<pubDate>Fri, 02 Jan 2026 08:00:00 +0800</pubDate><author>张三</author></item>
<item><title>old</title><link>/1</link><pubDate>nonsense</pubDate></item></channel></rss>"""


def read(text: str | bytes, content_type: str = "application/xml", encoding: str = "utf-8"):
    body = text if isinstance(text, bytes) else text.encode(encoding)
    return read_document(FEED, body, content_type, NOW)


def test_rss_oldest_first():
    document = read(RSS.format(encoding="utf-8"))
    old, new = (e.item for e in document.entries)
    assert new == Raw(
        source="News", title="央行降准", text="据新华社㐂消息 <b>5 < 6</b>", fetched_at=NOW, native_id="https://news.example/g2",
        url="https://news.example/2", author="张三", published="Fri, 02 Jan 2026 08:00:00 +0800",
        attributes={"feed": FEED.url, "tier": "1"},
    )  # fmt: skip
    assert old.native_id == old.url == "https://news.example/1" and old.published is None
    assert old.attributes["published_unread"] == "nonsense"
    assert document.ttl_s == 900


@pytest.mark.parametrize(
    ("declared", "content_type"),
    [
        ("gb2312", "text/xml"),
        ("GBK", "application/xml"),
        ("gb18030", "text/xml"),
        ("utf-8", "text/xml; charset=gb2312"),
    ],
)
def test_chinese_encodings_hold_more_than_they_declare(declared, content_type):
    """㐂 is in GB 18030 only."""
    document = read(RSS.format(encoding=declared), content_type, "gb18030")
    assert document.entries[1].item.text.startswith("据新华社㐂消息")


def test_atom_content_when_there_is_no_summary():
    atom = """<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>urn:1</id><title type="text">T</title>
    <content type="html">&lt;p&gt;Body&lt;/p&gt;</content><updated>2026-01-01T00:00:00Z</updated>
    <author><name>Ann</name></author></entry></feed>"""
    [entry] = read(atom).entries
    assert (entry.item.native_id, entry.item.text, entry.item.author) == ("urn:1", "<p>Body</p>", "Ann")
    assert entry.item.published == "2026-01-01T00:00:00Z" and entry.item.url is None


def test_an_entry_without_title_and_text_is_rejected():
    empty = "<item><guid isPermaLink='false'>g</guid></item><item><title>t</title></item>"
    empty = f"<rss version='2.0'><channel>{empty}</channel></rss>"
    good, bad = read(empty).entries
    assert isinstance(good.item, Raw) and isinstance(bad.item, Rejected)
    assert (bad.item.origin, bad.item.payload) == (FEED.url, "g") and "neither a title nor a text" in bad.item.reason


def test_a_damaged_feed_gives_what_can_be_read():
    cut = RSS.format(encoding="utf-8")[:-60]
    assert any(isinstance(e.item, Raw) and e.item.title == "央行降准" for e in read(cut).entries)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", "nothing"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "a web page"),
        (b'{"version": "https://jsonfeed.org/version/1.1", "items": []}', "JSON"),
        (b"\x00\x01\x02", "something else"),
        (b"/etc/hostname", "something else"),
        (b"file:///etc/hostname", "something else"),
        (b"http://127.0.0.1/", "something else"),
    ],
)
def test_no_feed(body, found):
    with pytest.raises(BrokenFeed, match=f"Expected RSS or Atom at .*, found {found}"):
        read(body)


def test_bytes_that_name_a_file_are_not_opened(tmp_path):
    secret = tmp_path / "secret.xml"
    secret.write_text(RSS.format(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(BrokenFeed):
        read(str(secret).encode())


def test_an_empty_feed_is_a_feed():
    assert read("<rss version='2.0'><channel><title>t</title></channel></rss>").entries == []


def test_entities_do_not_expand_or_read_files():
    body = """<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]>
    <rss version="2.0"><channel><item><title>a &x; b</title></item></channel></rss>"""
    try:
        titles = [e.item.title for e in read(body).entries]
    except BrokenFeed:
        titles = []
    assert "root:" not in str(titles)


# --- other parsers' fixtures and expectations


def fixtures(folder: str, suffix: str) -> list[Path]:
    return sorted((DATA / folder).rglob(f"*{suffix}")) if DATA.exists() else []


needs_data = [pytest.mark.data, pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")]


class TestFixtures:
    pytestmark = needs_data

    def test_feed_rs_agrees(self):
        """Titles, links and times as feed-rs reads them."""
        compared = differ = 0
        for expected in fixtures("feed-rs", ".serde.json"):
            body = expected.with_name(expected.name.replace(".serde.json", ".xml"))
            if not body.exists():
                continue
            theirs = json.loads(expected.read_text())["entries"]
            ours = [e.item for e in reversed(_entries(body))]
            compared += len(theirs)
            differ += abs(len(theirs) - len(ours))
            differ += sum(not _same(o, t) for o, t in zip(ours, theirs, strict=False))
        assert compared > 90
        assert differ == 0, f"{differ} of {compared} entries differ"

    def test_nothing_in_feedparsers_suite_does_more_than_say_it_is_broken(self):
        read_well = 0
        for path in fixtures("feedparser", ".xml"):
            read_well += bool(_entries(path))
        assert read_well > 150


def _entries(path: Path):
    try:
        return read(path.read_bytes()).entries
    except BrokenFeed:
        return []


def _same(ours: Raw | Rejected, theirs: dict) -> bool:
    if isinstance(ours, Rejected):
        return not theirs["title"] and not theirs["summary"]
    title = (theirs["title"] or {}).get("content", "")
    if (
        " ".join((ours.title or "").split())[:20] != " ".join(title.split())[:20]
        and "&" not in title
        and "<" not in title
    ):
        return False
    published = theirs["published"] or theirs["updated"]
    return not (published and ours.published) or abs((parse(ours.published) - parse(published)).total_seconds()) < 1
