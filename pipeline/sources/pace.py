"""Replay in original time: items are held back until their published time has come, at a factor of real
time.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pipeline.records import Raw
from pipeline.sources.base import Item


def paced(
    items: Iterator[tuple[Item, str]],
    speed: float | None,
    clock: Callable[[], float],
    sleep: Callable[[float], object],
    when: Callable[[str], datetime | None] | None = None,
) -> Iterator[tuple[Item, str]]:
    """The same items, each not before (its published time − the first's) / speed seconds after the first.

    speed None or 0: as fast as it goes. `clock` gives seconds that never run backwards (time.monotonic),
    `when` reads a published time. Items without a readable time, out of order or rejected pass at once."""
    if not speed:
        yield from items
        return
    read = when or published_time
    origin: tuple[float, datetime] | None = None  # the clock and the event time of the first dated item
    for item, position in items:
        time = read(item.published) if isinstance(item, Raw) and item.published else None
        if time is not None and origin is None:
            origin = clock(), time
        elif time is not None and origin is not None:
            wait = origin[0] + (time - origin[1]).total_seconds() / speed - clock()
            if wait > 0:
                sleep(wait)
        yield item, position


def published_time(text: str) -> datetime | None:
    """A published time for pacing only (prepare has the full rules): ISO 8601, epoch seconds or
    milliseconds, RFC 822."""
    try:
        if text.replace(".", "", 1).isdigit() and len(text) >= 9:
            seconds = float(text)
            return datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)
        time = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
    except (ValueError, OverflowError, OSError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
