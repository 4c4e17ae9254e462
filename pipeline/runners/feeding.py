"""A source's items onto the bus, with the source's position: what was published is not asked for again."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from msgspec.structs import replace

from pipeline.bus.base import Bus
from pipeline.control.base import ControlStore
from pipeline.graph import dlq
from pipeline.records import Raw, Rejected, encode
from pipeline.runners.letters import Entry, letter_entry, letter_of, refusal

Fed = Raw | Rejected


class Feeder:
    """Publishes texts to `raw`, unreadable and too large ones to its dead letters; then keeps the position (in one
    transaction where the backends share one; else a crash between the two publishes a batch again, which changes
    nothing).

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
            for topic, entries in self._entries(items).items():
                self._bus.publish(topic, entries)
            self._control.put_checkpoint(checkpoint, position.encode())

    def _entries(self, items: Sequence[Fed]) -> dict[str, list[Entry]]:
        """By topic; a text that no bus takes is a dead letter, which names its source and address."""
        out: dict[str, list[Entry]] = {}
        for item in items:
            if isinstance(item, Rejected):
                out.setdefault(dlq("raw"), []).append(letter_entry(item))
                continue
            key, value = self._key(item), encode(item)
            if why := refusal("raw", key, item, value):
                letter = letter_of("source", "raw", (key, value), why, item.fetched_at)
                origin = f"{item.source} {item.url or item.native_id or ''}".strip()[:1000]
                out.setdefault(dlq("raw"), []).append(letter_entry(replace(letter, origin=origin)))
            else:
                out.setdefault("raw", []).append((key, value))
        return out


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
