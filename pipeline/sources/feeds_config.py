"""feeds.toml: which feeds, how often. Every error names the entry and the field."""

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import WindvaneError
from pipeline.sources.http import Refused, check_url

MIN_INTERVAL_S = 60.0
DEFAULT_INTERVAL_S = 600.0
_FIELDS = ("url", "name", "tier", "interval")


class Feed(NamedTuple):
    """One feed. `tier` 1 is the most trusted; `interval` is the shortest time between two polls, in seconds."""

    url: str
    name: str
    tier: int = 2
    interval: float = DEFAULT_INTERVAL_S


def load_feeds(path: Path, allow_private: bool = False) -> list[Feed]:
    """The feeds of a feeds.toml; raises WindvaneError with the entry and the field."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise WindvaneError(f"There is no file {path}. Write one, with a [[feed]] entry (url, name) per feed.") from e
    except OSError as e:
        raise WindvaneError(f"{path} cannot be read: {e.strerror}. Check that it is a file that you may read.") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise WindvaneError(f"{path} is not valid TOML: {e}.") from e
    entries = table.get("feed")
    unknown = [name for name in table if name != "feed"]
    if unknown or not isinstance(entries, list) or not entries:
        found = f"found {', '.join(unknown)}" if unknown else "found none"
        raise WindvaneError(f"{path}: expected [[feed]] entries with url and name, {found}.")
    feeds = [_feed(path, n, entry, allow_private) for n, entry in enumerate(entries, 1)]
    for n, feed in enumerate(feeds, 1):
        for field in ("url", "name"):
            if getattr(feed, field) in [getattr(f, field) for f in feeds[: n - 1]]:
                raise _error(path, n, field, "one of its own", f"{getattr(feed, field)!r} a second time")
    return feeds


def _feed(path: Path, n: int, entry: Any, allow_private: bool) -> Feed:
    if not isinstance(entry, dict):
        raise WindvaneError(f"{path}, feed {n}: expected a [[feed]] table, found {entry!r}.")
    for field in entry:
        if field not in _FIELDS:
            raise _error(path, n, field, f"one of the fields {', '.join(_FIELDS)}", "this name")
    for field in ("url", "name"):
        if not isinstance(entry.get(field), str) or not entry[field].strip():
            raise _error(path, n, field, "a text", repr(entry[field]) if field in entry else "nothing")
    try:
        check_url(entry["url"], allow_private)
    except Refused as e:
        raise _error(path, n, "url", "the web address of a feed", str(e)) from e
    tier = entry.get("tier", 2)
    if isinstance(tier, bool) or tier not in (1, 2, 3):
        raise _error(path, n, "tier", "1, 2 or 3 (1 is the most trusted)", repr(tier))
    interval = entry.get("interval", DEFAULT_INTERVAL_S)
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not MIN_INTERVAL_S <= interval <= 86_400:
        raise _error(path, n, "interval", f"seconds between {MIN_INTERVAL_S:g} and 86400", repr(interval))
    return Feed(entry["url"].strip(), entry["name"].strip(), tier, float(interval))


def _error(path: Path, n: int, field: str, expected: str, found: str) -> WindvaneError:
    return WindvaneError(f"{path}, feed {n}, {field}: expected {expected}, found {found.rstrip('.')}.")
