"""A search as SQL over ids. Every statement walks one index in time order and stops when it has enough."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pipeline.store import rank
from pipeline.store.base import Search
from pipeline.store.rowid import ceiling_of, floor_of, second_floor, us_of
from pipeline.store.tags import filter_tags
from pipeline.store.words import Query, parse

COUNTED = 10_000  # a total beyond this is reported as this, capped
_MANY = 500

TextsOf = Callable[[sqlite3.Cursor, Sequence[int]], list[str]]  # the searched texts of these ids, in this order


class Finding(NamedTuple):
    """Where to look: an FTS5 expression (None: every text) and the span of time; and the text's units for ranking."""

    query: Query
    match: str | None
    start_us: int | None
    end_us: int | None

    @classmethod
    def of(cls, search: Search) -> "Finding":
        query = parse(search.text)
        parts = [f"text : {phrase(unit)}" for unit in query.units]
        parts += [f'tags : "{tag}"' for tag in filter_tags(search.filters)]
        start, end = search.filters.start, search.filters.end
        return cls(
            query,
            " AND ".join(parts) or None,
            None if start is None else us_of(start),
            None if end is None else us_of(end),
        )

    @property
    def impossible(self) -> bool:
        """Something was typed, but nothing that a text can hold."""
        return not self.query.empty and not self.query.units

    @property
    def everything(self) -> bool:
        """No condition at all."""
        return self.match is None and self.start_us is None and self.end_us is None

    def sql(
        self, columns: str, tail: str = "", below: int | None = None, above: int | None = None
    ) -> tuple[str, list[Any]]:
        """A statement over the matching ids, optionally in [above, below)."""
        table, id_ = ("store_opinions", "id") if self.match is None else ("store_index", "store_index.rowid")
        where: list[str] = []
        values: list[Any] = []

        def condition(sql: str, *bound: Any) -> None:
            where.append(sql)
            values.extend(bound)

        if self.match is not None:
            condition("store_index MATCH ?", self.match)
        own = f"(SELECT o.published_us FROM store_opinions o WHERE o.id = {table}.rowid)"
        if self.start_us is not None:
            floor, ceiling = floor_of(self.start_us), ceiling_of(self.start_us)
            condition(f"{id_} >= ?", floor)
            if floor != ceiling:  # the span starts within a second: the rows of that second are looked at
                condition(f"({id_} >= ? OR {own} >= ?)", ceiling, self.start_us)
        if self.end_us is not None:
            floor, ceiling = floor_of(self.end_us), ceiling_of(self.end_us)
            condition(f"{id_} < ?", ceiling)
            if floor != ceiling:
                condition(f"({id_} < ? OR {own} < ?)", floor, self.end_us)
        if below is not None:
            condition(f"{id_} < ?", below)
        if above is not None:
            condition(f"{id_} >= ?", above)
        columns = columns.format(id=id_)
        tail = tail.format(id=id_)
        return f"SELECT {columns} FROM {table} {'WHERE ' + ' AND '.join(where) if where else ''} {tail}", values


def phrase(unit: Sequence[str]) -> str:
    """The words side by side, as FTS5 text that holds no operator: words are letters and digits only."""
    return '"' + " ".join(unit) + '"'


def count(cursor: sqlite3.Cursor, finding: Finding) -> int:
    """How many match, COUNTED + 1 when more than COUNTED."""
    sql, values = finding.sql("1", "LIMIT ?")
    return int(cursor.execute(f"SELECT count(*) FROM ({sql})", [*values, COUNTED + 1]).fetchone()[0])


def newest(cursor: sqlite3.Cursor, finding: Finding, need: int) -> list[int]:
    """The ids of the `need` newest matches, newest first; equal times by opinion_id."""
    sql, values = finding.sql("{id}", "ORDER BY {id} DESC LIMIT ?")
    ids = [id_ for (id_,) in cursor.execute(sql, [*values, need])]
    if len(ids) == need and ids:  # the last second may have more, with an earlier place in it
        sql, values = finding.sql("{id}", below=ids[-1], above=second_floor(ids[-1]))
        ids += [id_ for (id_,) in cursor.execute(sql, values)]
    placed = [(-us, opinion_id, id_) for id_, us, opinion_id in by_id(cursor, "id, published_us, opinion_id", ids)]
    return [id_ for _, _, id_ in sorted(placed)[:need]]


def best(cursor: sqlite3.Cursor, finding: Finding, need: int, held: int, texts_of: TextsOf) -> list[int]:
    """The newest rank.CANDIDATES matches, best first; behind them the older ones, newest first. `held`: all texts."""
    ids = newest(cursor, finding, max(need, rank.CANDIDATES))
    candidates, older = ids[: rank.CANDIDATES], ids[rank.CANDIDATES :]
    shares = [1.0]  # one unit: its rarity is the same for every candidate
    if len(finding.query.units) > 1:
        alone = (Finding(Query((unit,), False), f"text : {phrase(unit)}", None, None) for unit in finding.query.units)
        shares = [min(1.0, max(1, count(cursor, one)) / max(1, held)) for one in alone]
    scores = rank.scores(finding.query.units, texts_of(cursor, candidates), shares)
    order = sorted(range(len(candidates)), key=lambda i: -scores[i])  # stable: equal scores stay newest first
    return [candidates[i] for i in order] + older


def by_id(cursor: sqlite3.Cursor, columns: str, ids: Sequence[int]) -> list[tuple[Any, ...]]:
    """Rows of store_opinions with these ids, in no order."""
    rows: list[tuple[Any, ...]] = []
    for at in range(0, len(ids), _MANY):
        some = ids[at : at + _MANY]
        marks = ",".join("?" * len(some))
        rows += cursor.execute(f"SELECT {columns} FROM store_opinions WHERE id IN ({marks})", some)
    return rows
