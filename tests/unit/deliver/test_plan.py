"""When a subscription hears of something: quiet hours, digests and caps on the clocks of their zones."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.deliver.plan import day_began, next_digest, next_hour, plan, quiet_until, span
from tests.unit.deliver.alerts import make_subscription


def sub(**fields: Any):
    return make_subscription(**{"channel": "email", **fields})


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


SHANGHAI = sub(zone="Asia/Shanghai", quiet="22:00-07:30")


def test_at_once_without_any_wish():
    now = utc("2026-01-01 15:00")
    assert plan(sub(), "S3", now, 0) == (now, "")


def test_quiet_hours_end_in_the_zone():
    night, end = utc("2026-01-01 15:00"), utc("2026-01-01 23:30")  # 23:00 and 07:30 there
    assert plan(SHANGHAI, "S2", night, 0) == (end, "quiet_hours")
    assert plan(SHANGHAI, "S2", end, 0) == (end, "")
    assert plan(SHANGHAI, "S2", utc("2026-01-01 13:59"), 0).why == ""
    assert plan(SHANGHAI, "S2", utc("2026-01-01 20:00"), 0) == (end, "quiet_hours")  # after midnight


def test_s1_passes_unless_told_not_to():
    night = utc("2026-01-01 15:00")
    asleep = SHANGHAI._replace(digest="daily", daily_cap=1)
    assert plan(asleep, "S1", night, 9) == (night, "")
    assert plan(asleep._replace(s1_at_once=False), "S1", night, 9).why != ""


def test_digests():
    hourly = sub(zone="Asia/Kolkata", digest="hourly")  # half an hour off
    assert plan(hourly, "S2", utc("2026-01-01 15:10"), 0) == (utc("2026-01-01 15:30"), "digest")
    daily = sub(zone="Asia/Shanghai", digest="daily", digest_at="08:00")
    assert next_digest(daily, utc("2026-01-01 00:00")) == utc("2026-01-02 00:00")
    assert next_digest(daily, utc("2025-12-31 23:59")) == utc("2026-01-01 00:00")
    asleep = daily._replace(quiet="07:00-09:15")
    assert plan(asleep, "S2", utc("2026-01-01 15:10"), 0) == (utc("2026-01-02 01:15"), "quiet_hours")


def test_the_cap_gathers_into_the_next_hour_and_spares_what_interrupts_nobody():
    now = utc("2026-01-01 15:10")
    assert plan(sub(daily_cap=3), "S2", now, 2).why == ""
    assert plan(sub(daily_cap=3), "S2", now, 3) == (utc("2026-01-01 16:00"), "daily_cap")
    assert plan(sub(daily_cap=0), "S2", now, 999).why == ""
    assert plan(sub(daily_cap=3, channel="web"), "S2", now, 999).why == ""


def test_a_day_begins_at_local_midnight():
    assert day_began(sub(zone="Asia/Shanghai"), utc("2026-01-01 15:59")) == utc("2025-12-31 16:00")
    assert day_began(sub(zone="Asia/Shanghai"), utc("2026-01-01 16:00")) == utc("2026-01-01 16:00")


def test_clocks_that_change():
    york = sub(zone="America/New_York", quiet="23:00-02:30")
    spring = utc("2026-03-08 06:00")  # 01:00; 02:30 is skipped that night
    assert quiet_until(york, spring) == utc("2026-03-08 07:30")
    autumn = sub(zone="America/New_York", quiet="23:00-01:30")
    assert quiet_until(autumn, utc("2026-11-01 05:10")) == utc("2026-11-01 05:30")  # the first 01:10
    assert quiet_until(autumn, utc("2026-11-01 06:10")) == utc("2026-11-01 06:30")  # the second


@pytest.mark.parametrize("wrong", ["22:00", "22:00-22:00", "25:00-01:00", "22-7", "", "aa:bb-cc:dd", "22:00-7:5"])
def test_what_is_no_span(wrong):
    with pytest.raises(ValueError):
        span(wrong)


TIMES = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))
ZONES = st.sampled_from(["UTC", "Asia/Shanghai", "America/New_York", "Europe/London", "Asia/Kathmandu",
                         "Australia/Lord_Howe", "Pacific/Apia"])  # fmt: skip
HOURS = st.times().map(lambda t: f"{t:%H:%M}")


@given(TIMES, ZONES, HOURS, HOURS, st.sampled_from(["none", "hourly", "daily"]), st.integers(0, 30))
def test_it_is_never_in_the_past_and_comes_within_two_days(now, zone, start, end, digest, sent):
    quiet = f"{start}-{end}" if start != end else ""
    s = sub(zone=zone, quiet=quiet, digest=digest, digest_at=end)
    due, why = plan(s, "S2", now, sent)
    assert now <= due <= now + timedelta(hours=51)
    assert (due > now) == (why != "")
    assert timedelta(0) < next_hour(s, now) - now <= timedelta(hours=1)
    assert day_began(s, now) <= now
    if quiet and why == "quiet_hours":
        local = due.astimezone(ZoneInfo(zone))
        assert local.minute == int(end[3:]) or zone in ("America/New_York", "Europe/London", "Australia/Lord_Howe")
