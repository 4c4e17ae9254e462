"""The source contract: items in order, each with the position to resume after it.

The runner publishes an item and stores its position in one transaction, so every item enters the log
exactly once.
"""

from collections.abc import Iterator
from typing import Protocol

from pipeline.records import Raw, Rejected

Item = Raw | Rejected  # a text for topic `raw`, or a dead letter for `raw.dlq` that says what was wrong with it


class Source(Protocol):
    """Where texts come from. `name` is stable over restarts: the position is stored under it."""

    name: str

    def items(self, position: str | None) -> Iterator[tuple[Item, str]]:
        """Every item after `position` (None: from the start), each with the position after it.

        A position is opaque JSON text that only the same source reads. A bad record is a Rejected and the
        stream goes on; WindvaneError is for what no later item can cure (a missing file, a file that was
        replaced).
        """
