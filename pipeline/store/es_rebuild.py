"""A whole new set of months beside the old one, then one step in which readers see the new instead of the old."""

from collections.abc import Callable, Sequence

from pipeline.errors import WindvaneError
from pipeline.records import Opinion
from pipeline.store.base import Rejection
from pipeline.store.es_client import Connection
from pipeline.store.es_months import Months, drop, existing, in_alias
from pipeline.store.es_write import Patience, Writer


class Rebuild:
    """Write everything, then `publish`; or `discard`. Live writers go on writing the old set until then; from the
    moment of publishing, what they write lands in the new one."""

    def __init__(
        self,
        connection: Connection,
        alias: str,
        patience: Patience,
        write: Callable[[Sequence[Opinion], Writer], list[Rejection]],
    ) -> None:
        self._connection = connection
        self._alias = alias
        generations = [held.generation for held in existing(connection, alias)]
        self._generation = max(generations, default=1) + 1
        self._months = Months(connection, alias, self._generation)
        self._writer = Writer(connection, self._months, patience)
        self._write = write

    def write(self, opinions: Sequence[Opinion]) -> list[Rejection]:
        """As OpinionStore.write, into the new set."""
        return self._write(opinions, self._writer)

    def publish(self) -> None:
        """The alias shows the new set and the old one is gone, in one step. What an earlier rebuild that was killed
        left behind goes too."""
        new = self._months.made()
        if not new:
            raise WindvaneError("expected texts in the rebuilt store, found none. The old one stays as it is.")
        old = [h.name for h in in_alias(self._connection, self._alias) if h.name not in new]
        actions: list[dict[str, dict[str, str]]] = [{"add": {"index": n, "alias": self._alias}} for n in new]
        actions += [{"remove_index": {"index": name}} for name in old]
        self._connection.request("POST", "/_aliases", {"actions": actions})
        left = [h for h in existing(self._connection, self._alias) if h.generation < self._generation]
        drop(self._connection, [h.name for h in left])

    def discard(self) -> None:
        """Forget the new set, unless it is the one that readers see; the old one was never touched."""
        shown = {held.name for held in in_alias(self._connection, self._alias)}
        drop(self._connection, [name for name in self._months.made() if name not in shown])
