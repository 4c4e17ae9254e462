"""Published times: from what sources write to aware UTC, with the clamp and the refusal."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pipeline.errors import Reject, WindvaneError

EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
TOLERATED_AHEAD = timedelta(minutes=5)  # clocks differ; alerts.md counts by published time, so the future is clamped
REFUSED_AHEAD = timedelta(hours=24)

_EPOCH = re.compile(r"-?\d{1,10}(?:\.\d+)?|-?\d{11,16}")
_DATE_TIME = re.compile(
    r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?"
    r"(?:[T\s]\s*(\d{1,2})[:：时](\d{1,2})(?:[:：分](\d{1,2})(?:[.,](\d{1,9}))?秒?)?分?)?"
    r"\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2}|[+-]\d{2})?",
    re.IGNORECASE,
)
_ACCEPTED = (
    "ISO 8601 (2026-03-01T09:30:00Z), 2026-03-01 09:30:00, 2026-03-01, "
    "RFC 822 (Sun, 01 Mar 2026 09:30:00 GMT) or seconds since 1970"
)


class Settled(NamedTuple):
    """A published time as it will be used, and whether it was set back to the fetch."""

    published_at: datetime
    clamped: bool


@lru_cache(maxsize=32)
def zone(name: str) -> tzinfo:
    """The time zone of that name, e.g. "Asia/Shanghai"; WindvaneError for an unknown one."""
    try:
        return UTC if name.upper() in ("UTC", "Z") else ZoneInfo(name)
    except (KeyError, ValueError, OSError) as e:
        raise WindvaneError(
            f"naive_times names no known time zone: {name!r}. Use a name of the IANA database, such as Asia/Shanghai."
        ) from e


def settle(published: str | None, fetched_at: datetime, naive: tzinfo = UTC) -> Settled:
    """When a text was published, in UTC. None: when it was fetched. Over 5 minutes ahead of the fetch: clamped to it.

    Raises Reject for a time that cannot be read, lies before 1980, or more than 24 h ahead of the fetch.
    """
    if published is None or not published.strip():
        return Settled(fetched_at.astimezone(UTC), False)
    at = parse(published, naive)
    if at < EARLIEST:
        raise Reject(f"published {published!r} is {at.isoformat()}, before 1980; accepted are times from 1980 on.")
    ahead = at - fetched_at
    if ahead > REFUSED_AHEAD:
        raise Reject(
            f"published {published!r} is {at.isoformat()}, more than 24 hours after it was fetched "
            f"({fetched_at.isoformat()}); accepted are times up to 24 hours ahead."
        )
    return Settled(fetched_at.astimezone(UTC), True) if ahead > TOLERATED_AHEAD else Settled(at, False)


def parse(published: str, naive: tzinfo = UTC) -> datetime:
    """The time in UTC; a time that names no zone is in `naive`, a date alone is its midnight. Raises Reject."""
    text = published.strip()
    try:
        at = _parse(text)
        return (at.replace(tzinfo=naive) if at.tzinfo is None else at).astimezone(UTC)
    except (ValueError, OverflowError, TypeError, IndexError, OSError) as e:
        raise Reject(f"published {text[:80]!r} is no time; accepted are {_ACCEPTED}.") from e


def _parse(text: str) -> datetime:
    if _EPOCH.fullmatch(text) and len(text) != len("20260301"):
        return _epoch(float(text))
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        try:
            return datetime.fromisoformat(text)  # the rarer ISO forms: 20260301T093000Z, 2026-W09-7
        except ValueError:
            return parsedate_to_datetime(text)
    year, month, day, hour, minute, second = (int(g or 0) for g in found.group(1, 2, 3, 4, 5, 6))
    micros = int((found[7] or "0").ljust(6, "0")[:6])
    if (hour, minute, second) == (24, 0, 0):
        return datetime(year, month, day, tzinfo=_offset(found[8])) + timedelta(days=1)
    return datetime(year, month, day, hour, minute, min(second, 59), micros, tzinfo=_offset(found[8]))


def _epoch(number: float) -> datetime:
    """Seconds, or milliseconds or microseconds when the number is that large."""
    for limit, unit in ((1e11, 1), (1e14, 1e3), (1e17, 1e6)):
        if abs(number) < limit:
            return datetime.fromtimestamp(0, UTC) + timedelta(seconds=number / unit)
    raise ValueError("no epoch time")


def _offset(text: str | None) -> tzinfo | None:
    if not text:
        return None
    if text.upper() in ("Z", "UTC", "GMT"):
        return UTC
    return datetime.strptime(text if len(text) > 3 else f"{text}00", "%z").tzinfo
