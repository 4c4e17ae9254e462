from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Reject, WindvaneError
from pipeline.prepare.times import parse, settle, zone

SHANGHAI = ZoneInfo("Asia/Shanghai")
FETCHED = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given_time", "expected"),
    [
        ("2026-03-01T09:30:00Z", datetime(2026, 3, 1, 9, 30)),
        ("2026-03-01T09:30:00.123456Z", datetime(2026, 3, 1, 9, 30, 0, 123456)),
        ("2026-03-01T09:30:00.123456789Z", datetime(2026, 3, 1, 9, 30, 0, 123456)),
        ("2026-03-01T09:30:00+08:00", datetime(2026, 3, 1, 1, 30)),
        ("2026-03-01 09:30:00+0800", datetime(2026, 3, 1, 1, 30)),
        ("2026-03-01 09:30:00", datetime(2026, 3, 1, 1, 30)),
        ("2026-03-01 09:30", datetime(2026, 3, 1, 1, 30)),
        ("2026-03-01", datetime(2026, 2, 28, 16)),
        ("20260301", datetime(2026, 2, 28, 16)),
        ("2026/3/1 9:05", datetime(2026, 3, 1, 1, 5)),
        ("2026年3月1日 9时5分", datetime(2026, 3, 1, 1, 5)),
        ("20260301T093000Z", datetime(2026, 3, 1, 9, 30)),
        ("Sun, 01 Mar 2026 09:30:00 GMT", datetime(2026, 3, 1, 9, 30)),
        ("Sun, 01 Mar 2026 09:30:00 -0500", datetime(2026, 3, 1, 14, 30)),
        ("1 Mar 2026 09:30:00 EST", datetime(2026, 3, 1, 14, 30)),
        ("1772357400", datetime(2026, 3, 1, 9, 30)),
        ("1772357400.5", datetime(2026, 3, 1, 9, 30, 0, 500000)),
        ("1772357400000", datetime(2026, 3, 1, 9, 30)),
        ("  2026-03-01T09:30:00Z ", datetime(2026, 3, 1, 9, 30)),
    ],
)
def test_reads(given_time: str, expected: datetime) -> None:
    assert parse(given_time, SHANGHAI) == expected.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01", "2026-02-30", "12:30", "9" * 30, "nan", "2026-03-01T25:00:00Z"]
)
def test_says_what_it_accepts(text: str) -> None:
    with pytest.raises(Reject, match="is no time; accepted are ISO 8601"):
        parse(text)


@pytest.mark.parametrize(
    ("published", "reason"),
    [
        ("1970-01-01", "before 1980"),
        ("0", "before 1980"),
        ("1979-12-31T23:59:59Z", "before 1980"),
        ("2099-01-01", "more than 24 hours after"),
        ("2026-03-02T12:00:01Z", "more than 24 hours after"),
    ],
)
def test_refuses_times_that_cannot_be(published: str, reason: str) -> None:
    with pytest.raises(Reject, match=reason) as e:
        settle(published, FETCHED)
    assert published in e.value.reason


@pytest.mark.parametrize(
    ("published", "expected", "clamped"),
    [
        (None, FETCHED, False),
        ("", FETCHED, False),
        ("2026-03-01T12:05:00Z", FETCHED + timedelta(minutes=5), False),
        ("2026-03-01T12:05:01Z", FETCHED, True),
        ("2026-03-02T12:00:00Z", FETCHED, True),
        ("1980-01-01T00:00:00Z", datetime(1980, 1, 1, tzinfo=UTC), False),
    ],
)
def test_settles(published: str | None, expected: datetime, clamped: bool) -> None:
    assert settle(published, FETCHED) == (expected, clamped)


@given(st.datetimes(datetime(1981, 1, 1), datetime(2025, 1, 1), timezones=st.just(UTC)))
def test_iso_times_come_back(at: datetime) -> None:
    assert parse(at.isoformat()) == at


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_a_reject(text: str) -> None:
    with suppress(Reject):
        assert parse(text).tzinfo is UTC


def test_an_unknown_zone_is_named() -> None:
    assert zone("Asia/Shanghai") == SHANGHAI
    with pytest.raises(WindvaneError, match="Mars/Olympus"):
        zone("Mars/Olympus")
