"""Pacing by published time, and standard input."""

import io
from datetime import UTC, datetime

import pytest

from pipeline.records import Raw, Rejected
from pipeline.sources.pace import paced, published_time
from pipeline.sources.stdin import StdinSource

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Time:
    """A monotonic clock that only sleeping (and `work`) moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def raw(published: str | None) -> tuple[Raw, str]:
    return Raw(source="s", text="t", fetched_at=NOW, published=published), "p"


def test_items_wait_for_their_time_at_the_factor():
    time = Time()
    times = ["2022-01-01T00:00:00Z", None, "2022-01-01T00:10:00Z", "2022-01-01T00:05:00Z", "bad"]
    stream = [raw(time) for time in [*times, "Sat, 01 Jan 2022 01:00:00 +0000"]]
    seen = [time.now - 100 for _ in paced(iter(stream), 60, time, time.sleep)]
    assert seen == [0, 0, 10, 10, 10, 60]


def test_time_spent_on_work_is_not_waited_again():
    time = Time()
    seen = []
    for _ in paced(iter([raw("2022-01-01"), raw("2022-01-02"), raw("2022-01-03")]), 86400, time, time.sleep):
        seen.append(time.now)
        time.now += 0.75
    assert seen == [100, 101, 102]


def test_as_fast_as_it_goes():
    time = Time()
    assert len(list(paced(iter([raw("2022-01-01"), raw("2023-01-01")]), None, time, time.sleep))) == 2
    assert time.now == 100


@pytest.mark.parametrize(
    "text",
    [
        "2022-01-01T00:00:00Z",
        "2022-01-01",
        "1640995200",
        "1640995200.0",
        "1640995200000",
        "Sat, 01 Jan 2022 00:00:00 GMT",
    ],
)
def test_published_times(text):
    assert published_time(text) == datetime(2022, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "soon", "99999999999999999999999", "2022-13-01", "zwanzig"])
def test_no_times(text):
    assert published_time(text) is None


def test_stdin_takes_objects_and_plain_lines():
    data = b'\xef\xbb\xbf{"text":"a","ticker":"X"}\n\nplain \xe6\xb6\xa8 text\r\n{bad\n\xff\xff\n"quoted" line'
    got = [item for item, _ in StdinSource(io.BytesIO(data), clock=lambda: NOW).items(None)]
    assert [type(i) for i in got] == [Raw, Raw, Rejected, Rejected, Raw]
    assert got[0].attributes == {"ticker": "X"} and got[1].text == "plain 涨 text" and got[1].source == "stdin"
    assert got[2].origin == "stdin:4" and got[3].payload.startswith("base64:") and got[4].text == '"quoted" line'
