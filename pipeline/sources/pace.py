"""Replay in original time: items are held back until their published time has come, at a factor of real
time.
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime

from pipeline.errors import Reject
from pipeline.prepare.times import parse
from pipeline.records import Raw
from pipeline.sources.base import Item


def paced(
    items: Iterator[tuple[Item, str]],
    speed: float | None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
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
        at = read(item.published) if isinstance(item, Raw) and item.published else None
        if at is not None and origin is None:
            origin = clock(), at
        elif at is not None and origin is not None:
            wait = origin[0] + (at - origin[1]).total_seconds() / speed - clock()
            if wait > 0:
                sleep(wait)
        yield item, position


def published_time(text: str) -> datetime | None:
    """The published time as prepare reads it; None when it cannot be read (prepare will say so)."""
    try:
        return parse(text)
    except Reject:
        return None
