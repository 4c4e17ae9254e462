"""Which index holds which month. Indices are named <alias>-2026.11, and after a rebuild <alias>-2026.11-r2; readers
see those behind the alias only."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from pipeline.store.es_client import Connection, Refused
from pipeline.store.es_mapping import AFTER, BEFORE


class Held(NamedTuple):
    """An index by its name's parts."""

    name: str
    month: str
    generation: int  # 1, and one more with each rebuild


def parse(alias: str, name: str) -> Held | None:
    """None for an index that is none of ours."""
    m = re.fullmatch(rf"{re.escape(alias)}-(\d{{4}}\.\d\d|{BEFORE}|{AFTER})(?:-r(\d+))?", name)
    return Held(name, m[1], int(m[2] or 1)) if m else None


def name_of(alias: str, month: str, generation: int) -> str:
    return f"{alias}-{month}" + (f"-r{generation}" if generation > 1 else "")


class Months:
    """The months of one generation, made when first needed. `generation` None: whatever the alias shows, which is
    asked for once and again after `forget`; a number: a set under construction, which no alias shows yet."""

    def __init__(self, connection: Connection, alias: str, generation: int | None = None) -> None:
        self._connection = connection
        self._alias = alias
        self._generation = generation
        self._known: dict[str, Held] | None = None

    def index_of(self, month: str) -> str:
        """The index that takes this month's texts."""
        if self._known is None or month not in self._known:
            self.forget()  # somebody else may have made it, or replaced all of them
            known = self._known = self._look()
            if month not in known:
                newest = max((h.generation for h in known.values()), default=1)
                known[month] = self._make(Held("", month, self._generation or newest))
        return self._known[month].name

    def forget(self) -> None:
        """Ask the server again before the next text."""
        self._known = None

    @property
    def target(self) -> str:
        """What to search to search all of them."""
        return self._alias if self._generation is None else f"{self._alias}-*-r{self._generation}"

    def made(self) -> list[str]:
        """The indices of this generation."""
        self._known = self._look()
        return [held.name for held in self._known.values()]

    def _look(self) -> dict[str, Held]:
        shown = in_alias(self._connection, self._alias) if self._generation is None else self._under_construction()
        known: dict[str, Held] = {}
        for held in sorted(shown, key=lambda h: h.generation):  # of two of one month the younger takes the texts
            known[held.month] = held
        return known

    def _under_construction(self) -> list[Held]:
        return [h for h in existing(self._connection, self._alias) if h.generation == self._generation]

    def _make(self, wanted: Held) -> Held:
        name = name_of(self._alias, wanted.month, wanted.generation)
        aliases: dict[str, dict[str, str]] = {self._alias: {}} if self._generation is None else {}
        try:
            self._connection.request("PUT", f"/{name}", {"aliases": aliases})
        except Refused as e:
            if "resource_already_exists_exception" not in str(e):
                raise
            if aliases:  # made by another writer just now, or left outside the alias by hand
                self._connection.request(
                    "POST", "/_aliases", {"actions": [{"add": {"index": name, "alias": self._alias}}]}
                )
        return Held(name, wanted.month, wanted.generation)


def in_alias(connection: Connection, alias: str) -> list[Held]:
    """The indices that readers see."""
    answer = connection.request("GET", f"/_alias/{alias}", allow=(404,))
    return [] if answer.status == 404 else _ours(alias, list(msgspec.json.decode(answer.body)))


def existing(connection: Connection, alias: str) -> list[Held]:
    """Every month that exists, behind the alias or not."""
    answer = connection.request("GET", f"/{alias}-*", params={"filter_path": "*.settings.index.uuid"})
    return _ours(alias, list(msgspec.json.decode(answer.body)))


def drop(connection: Connection, names: Sequence[str]) -> None:
    """Delete whole indices."""
    for name in names:
        connection.request("DELETE", f"/{name}", allow=(404,))


def _ours(alias: str, names: Sequence[str]) -> list[Held]:
    return sorted(held for name in names if (held := parse(alias, name)) is not None)
