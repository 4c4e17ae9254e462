"""When a subscription is to hear of something: at once, at the end of its quiet hours, or in its next digest. Pure.

Local times are those of the subscription's zone on that day: a time that the clock skips in spring is taken an hour
later, one that it repeats in autumn is the first of the two that is still ahead.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pipeline.control.base import Subscription, Why

NONE: Why = ""
NEVER_CAPPED = ("web", "log")  # they interrupt nobody


class Plan(NamedTuple):
    """Due at `due`; if that is later than now, `why` it waits. `digest`: together with what else waits then."""

    due: datetime
    why: Why = ""

    @property
    def digest(self) -> bool:
        return self.why != ""


def plan(subscription: Subscription, severity: str, now: datetime, sent_today: int) -> Plan:
    """`sent_today`: messages of its own that the subscription got since `day_began`."""
    s = subscription
    if severity == "S1" and s.s1_at_once:
        return Plan(now)
    due, why = now, NONE
    if s.digest != "none":
        due, why = next_digest(s, now), "digest"
    elif 0 < s.daily_cap <= sent_today and s.channel not in NEVER_CAPPED:
        due, why = next_hour(s, now), "daily_cap"
    end = quiet_until(s, due)
    return Plan(due, why) if end is None else Plan(end, "quiet_hours")


def quiet_until(subscription: Subscription, at: datetime) -> datetime | None:
    """The end of the quiet hours that `at` lies in; None outside them."""
    if not subscription.quiet:
        return None
    start, end = span(subscription.quiet)
    local = at.astimezone(ZoneInfo(subscription.zone))
    now = local.time()
    over_midnight = start > end
    if not (now >= start or now < end if over_midnight else start <= now < end):
        return None
    day = local.date() + timedelta(days=1) if over_midnight and now >= start else local.date()
    return moment(day, end, local.tzinfo, at)  # type: ignore[arg-type]


def next_digest(subscription: Subscription, now: datetime) -> datetime:
    """When the digest that follows `now` is due: each full local hour, or daily at digest_at."""
    if subscription.digest == "hourly":
        return next_hour(subscription, now)
    zone = ZoneInfo(subscription.zone)
    today = now.astimezone(zone).date()
    at = time.fromisoformat(subscription.digest_at)
    for days in range(3):
        due = _utc(today + timedelta(days=days), at, zone)
        if due > now:
            return due
    raise AssertionError("a day has passed within three")


def next_hour(subscription: Subscription, now: datetime) -> datetime:
    """The next full hour of the local clock (zones may be half an hour off)."""
    local = now.astimezone(ZoneInfo(subscription.zone))
    return now + timedelta(minutes=60 - local.minute, seconds=-local.second, microseconds=-local.microsecond)


def day_began(subscription: Subscription, now: datetime) -> datetime:
    """The last local midnight."""
    zone = ZoneInfo(subscription.zone)
    return _utc(now.astimezone(zone).date(), time(), zone)


def span(quiet: str) -> tuple[time, time]:
    """("22:00", "07:30") of "22:00-07:30". Raises ValueError for what is none, or is empty."""
    start, dash, end = quiet.partition("-")
    if not dash or start.strip() == end.strip():
        raise ValueError(quiet)
    return clock_time(start), clock_time(end)


def clock_time(text: str) -> time:
    """A time of day, HH:MM. Raises ValueError."""
    hour, colon, minute = text.strip().partition(":")
    if not colon or not (hour.isdigit() and minute.isdigit() and len(minute) == 2 and len(hour) <= 2):
        raise ValueError(text)
    return time(int(hour), int(minute))


def moment(day: date, at: time, zone: ZoneInfo, after: datetime) -> datetime:
    """The local time as UTC, the repetition of it where the first is not after `after`."""
    first = _utc(day, at, zone)
    return first if first > after else _utc(day, at.replace(fold=1), zone)


def _utc(day: date, at: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, at, tzinfo=zone).astimezone(UTC)
