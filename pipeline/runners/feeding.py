"""A source's items onto the bus, with the source's position: what was published is not asked for again."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from pipeline.bus.base import Bus
from pipeline.control.base import ControlStore
from pipeline.graph import dlq
from pipeline.records import Raw, Rejected, encode

Fed = Raw | Rejected


class Feeder:
    """Publishes texts to `raw` and unreadable ones to its dead letters; then keeps the position (in one transaction
    where the backends share one; else a crash between the two publishes a batch again, which changes nothing).

    `key` says what a text is partitioned by: its source, whose texts then stay in order; a replayed file is one source
    in order, whatever outlets it holds.
    """

    def __init__(
        self,
        bus: Bus,
        control: ControlStore,
        unit_of_work: Callable[[], AbstractContextManager[Any]],
        key: Callable[[Raw], str] = lambda raw: raw.source,
    ) -> None:
        self._bus = bus
        self._control = control
        self._unit_of_work = unit_of_work
        self._key = key

    def publish(self, items: Sequence[Fed], checkpoint: str, position: str) -> None:
        """Durable on return. Raises Retry with nothing kept of the position."""
        with self._unit_of_work():
            good = [(self._key(i), encode(i)) for i in items if isinstance(i, Raw)]
            bad = [(i.key or "", encode(i)) for i in items if isinstance(i, Rejected)]
            if good:
                self._bus.publish("raw", good)
            if bad:
                self._bus.publish(dlq("raw"), bad)
            self._control.put_checkpoint(checkpoint, position.encode())


def in_batches(items: Iterable[tuple[Fed, str]], size: int) -> Iterator[tuple[list[Fed], str]]:
    """(items, position after the last of them), `size` at a time."""
    held: list[Fed] = []
    position = ""
    for item, position in items:
        held.append(item)
        if len(held) >= size:
            yield held, position
            held = []
    if held:
        yield held, position
