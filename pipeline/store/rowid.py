"""Row ids in time order: the published second << 20 | a number within the second."""

from datetime import UTC, datetime, timedelta

SHIFT = 20
PER_SECOND = 1 << SHIFT  # texts that can have been published in one second (files that give only dates put a day there)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_US = 1_000_000


def us_of(at: datetime) -> int:
    """Microseconds since the epoch, exactly. `at` is aware."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def time_of(us: int) -> datetime:
    """The inverse of us_of."""
    return _EPOCH + timedelta(microseconds=us)


def floor_of(us: int) -> int:
    """The smallest id of the second that holds `us`."""
    return us // _SECOND_US << SHIFT


def ceiling_of(us: int) -> int:
    """The smallest id of the first second that begins at `us` or later."""
    return -(-us // _SECOND_US) << SHIFT


def second_floor(id_: int) -> int:
    """The smallest id of the same second."""
    return id_ >> SHIFT << SHIFT
