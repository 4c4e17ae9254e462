"""The bytes of a feed to its entries, and an entry to a Raw. feedparser reads; it never fetches."""

import calendar
import io
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

import feedparser

from pipeline.errors import Reject
from pipeline.prepare.times import parse as parse_time
from pipeline.records import Raw, Rejected, stable_id
from pipeline.sources.feeds_config import Feed
from pipeline.sources.fields import rejected

# What declares itself as one of these is in practice often their superset.
_GB = frozenset({"gb2312", "gb_2312", "gb_2312-80", "gbk", "x-gbk", "cp936", "ms936", "euc-cn"})
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9._-]+)""", re.IGNORECASE)


class BrokenFeed(Exception):
    """The bytes are no feed; the message is a sentence."""


class Entry(NamedTuple):
    """One entry. `key` names it within its feed for good."""

    key: str
    item: Raw | Rejected


class Document(NamedTuple):
    """A feed as it was read; entries oldest first. `ttl_s`: how long it asks to be left alone."""

    entries: list[Entry]
    ttl_s: float | None


def read_document(feed: Feed, body: bytes, content_type: str, at: datetime) -> Document:
    """The entries of a feed. Raises BrokenFeed."""
    body, content_type = as_utf8(body, content_type)
    headers = {"content-type": content_type or "application/xml", "content-location": feed.url}
    # A stream, never the bytes themselves: feedparser opens bytes that happen to be a file name.
    parsed = feedparser.parse(io.BytesIO(body), response_headers=headers)
    if not parsed.entries and (not parsed.get("version") or parsed.bozo):
        raise BrokenFeed(f"Expected RSS or Atom at {feed.url}, found {_what(body, parsed)}. Check the address.")
    return Document([_entry(feed, e, at) for e in reversed(parsed.entries)], _ttl(parsed.feed))


def as_utf8(body: bytes, content_type: str) -> tuple[bytes, str]:
    """Text that is declared as GB 2312 or GBK, read as GB 18030 (which contains both); anything else as it was."""
    charset = _CHARSET.search(content_type)
    declared = _DECLARED.match(body[:1024])
    encoding = (charset[1] if charset else declared[1].decode() if declared else "").lower()
    if encoding not in _GB:
        return body, content_type
    if declared:
        body = body[: declared.start(1)] + b"utf-8" + body[declared.end(1) :]
    return body.decode("gb18030", "replace").encode(), "application/xml; charset=utf-8"


def _entry(feed: Feed, entry: Any, at: datetime) -> Entry:
    title, text = _text(entry.get("title")), _text(entry.get("summary"))
    if not text:
        text = next((t for c in entry.get("content", []) if (t := _text(c.get("value")))), "")
    link = _text(entry.get("link"))
    native_id = _text(entry.get("id")) or link or None
    key = stable_id(native_id or f"{title}\x1f{text}")[:16]
    if not title and not text:
        reason = "The entry has neither a title nor a text."
        return Entry(key, rejected(reason, f"{native_id or ''}", feed.url, at))
    attributes = {"feed": feed.url, "tier": str(feed.tier)}
    published = _published(entry, attributes)
    raw = Raw(
        source=feed.name,
        text=text,
        fetched_at=at,
        native_id=native_id,
        url=link if link.startswith(("http://", "https://")) else None,  # it may be an id, such as urn:…
        title=title or None,
        author=_text(entry.get("author")) or None,
        published=published,
        attributes=attributes,
    )
    return Entry(key, raw)


def _published(entry: Any, attributes: dict[str, str]) -> str | None:
    """The time as given where prepare can read it, else as feedparser reads it. One that nobody can read goes to the
    attributes: the entry counts from when it was fetched."""
    for name in ("published", "updated", "created"):
        given = _text(dict.get(entry, name))  # plain get: FeedParserDict's own makes "published" of "updated"
        if not given:
            continue
        try:
            parse_time(given)
            return given
        except Reject:
            pass
        if parsed := dict.get(entry, f"{name}_parsed"):
            try:
                return datetime.fromtimestamp(calendar.timegm(parsed), UTC).isoformat()
            except (ValueError, OverflowError, OSError):
                pass
        attributes["published_unread"] = given[:100]
    return None


def _ttl(feed: Any) -> float | None:
    text = _text(feed.get("ttl"))
    return float(text[:6]) * 60 if text.isascii() and text.isdigit() else None


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _what(body: bytes, parsed: Any) -> str:
    start = body[:500].lstrip().lower()
    if not start:
        return "nothing"
    if start.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if start.startswith((b"{", b"[")):
        return "JSON, which is not read as a feed"
    problem = parsed.get("bozo_exception")
    return f"something else ({problem})" if problem else "something else"
