"""From a loose record (a JSON object, a CSV row) to a Raw: one table of the names that people give to the
same thing.
"""

import base64
from collections.abc import Mapping
from datetime import datetime

import msgspec

from pipeline.errors import Reject
from pipeline.records import Raw, Rejected

# Our field → the names it goes by, first found wins. Names are compared without case.
NAMES: Mapping[str, tuple[str, ...]] = {
    "native_id": ("id",),
    "published": ("ts", "published_at", "published", "date", "datetime", "time", "created_at", "timestamp"),
    "text": ("text", "content", "body", "message"),
    "title": ("title", "headline"),
    "source": ("source", "publisher", "site"),
    "url": ("url", "link"),
    "author": ("author", "user", "screen_name"),
}
IGNORED = frozenset({"lang", "language"})  # language is detected, whatever the file says
NEEDED = NAMES["text"] + NAMES["title"]  # at least one of these


def raw_from(fields: Mapping[str, object], source: str, fetched_at: datetime) -> Raw:
    """The Raw of one record; `source` is the outlet when the record names none. Scalars that have no place
    of their own become attributes, as strings; lists and objects are left out. Raises Reject with a
    sentence."""
    held = {name.strip().lower(): value for name, value in fields.items() if value is not None}
    found: dict[str, str] = {}
    for field, names in NAMES.items():
        for name in names:
            if name in held and (value := _scalar(name, held[name], text_only=name in NEEDED)):
                found[field] = value
                del held[name]
                break
    if "text" not in found and "title" not in found:
        raise Reject(f"No text: expected one of the fields {', '.join(NEEDED)} with a text in it; {_found(fields)}.")
    attributes = {n: t for n, v in held.items() if n not in IGNORED and (t := as_text(v))}
    return Raw(
        source=found.get("source", source),
        text=found.get("text", ""),
        fetched_at=fetched_at,
        native_id=found.get("native_id"),
        url=found.get("url"),
        title=found.get("title"),
        author=found.get("author"),
        published=found.get("published"),
        attributes=attributes,
    )


def as_text(value: object) -> str | None:
    """A scalar as a string, JSON's way; None for lists, objects and blanks."""
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return None


def rejected(reason: str, payload: str | bytes, origin: str, at: datetime) -> Rejected:
    """The dead letter of something that never reached a topic; bytes that are not UTF-8 are kept as
    base64."""
    if isinstance(payload, bytes):
        data = payload
        try:
            payload = data.decode()
        except UnicodeDecodeError:
            payload = "base64:" + base64.b64encode(data).decode()
    return Rejected(stage="source", topic="raw", reason=reason, payload=payload, rejected_at=at, origin=origin)


def json_object(data: bytes) -> dict[str, object]:
    """One line as a JSON object; raises Reject with a sentence."""
    try:
        data.decode()
    except UnicodeDecodeError as e:
        raise Reject(not_utf8(data, e)) from e
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as e:
        raise Reject(f"Not JSON: {e}. Expected one JSON object on the line.") from e
    if not isinstance(value, dict):
        raise Reject(f"Expected a JSON object on the line, found a {type(value).__name__}.")
    return value


def not_utf8(data: bytes, error: UnicodeDecodeError) -> str:
    """The sentence for bytes that are not UTF-8; says so when they read as GB 18030, the usual case in
    Chinese files."""
    try:
        data.decode("gb18030")
    except UnicodeDecodeError:
        return f"Not UTF-8 (byte {error.start + 1} of the line). Expected UTF-8 text."
    return "Not UTF-8; the line reads as GB 18030. Convert the file first: iconv -f GB18030 -t UTF-8."


def _scalar(name: str, value: object, text_only: bool) -> str | None:
    expected = "a text" if text_only else "a text or a number"
    if (text_only and not isinstance(value, str)) or isinstance(value, dict | list):
        raise Reject(f'The field "{name}" should hold {expected}, found {_kind(value)}.')
    return as_text(value)


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number"}
    return kinds.get(type(value), type(value).__name__)


def _found(fields: Mapping[str, object]) -> str:
    blank = [n for n in fields if n.strip().lower() in NEEDED]
    if blank:
        return f"{', '.join(blank)} is empty"
    return f"found the fields {', '.join(list(fields)[:12])}" if fields else "found no field at all"
