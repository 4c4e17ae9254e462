"""Time as a value: whoever needs the time is given a Clock, so that a test or a replay gives its own."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """The time now, in UTC, with microseconds."""
    return datetime.now(UTC)
