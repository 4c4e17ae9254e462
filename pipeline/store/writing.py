"""One batch into the tables: rows, index, roll-ups and counters together; an overwrite takes the old back first."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipeline.records import Opinion, document
from pipeline.store.base import Rejection
from pipeline.store.rollups import Deltas, KeyIds
from pipeline.store.rowid import PER_SECOND, floor_of, us_of
from pipeline.store.tags import opinion_tags
from pipeline.store.words import words

_MANY = 500


class Row(NamedTuple):
    """An opinion with its place in the tables."""

    id: int
    opinion: Opinion
    record: bytes = b""

    @property
    def indexed(self) -> tuple[str, str]:
        """The words of the index's columns: a pure function of the opinion, so that it can be taken out again."""
        return " ".join(words(document(self.opinion))), " ".join(opinion_tags(self.opinion))


def write_batch(
    cursor: sqlite3.Cursor, opinions: Sequence[tuple[Opinion, bytes]], held: dict[str, Row], keys: KeyIds
) -> list[Rejection]:
    """Write (opinion, record) pairs of distinct ids in the caller's transaction; `held`: these ids' present rows."""
    rows, rejected = _place(cursor, opinions, held)
    old = [held[r.opinion.opinion_id] for r in rows if r.opinion.opinion_id in held]
    deltas = Deltas()
    for row in rows:
        deltas.add(row.opinion)
    for row in old:
        deltas.add(row.opinion, -1)
    stories = {r.opinion.story_id for r in (*rows, *old)}
    stories_before = _stories(cursor, stories)
    _write_index(cursor, old, rows)
    kept = {r.id for r in rows}
    cursor.executemany("DELETE FROM store_opinions WHERE id = ?", [(r.id,) for r in old if r.id not in kept])
    cursor.executemany(
        "INSERT INTO store_opinions VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "published_us = excluded.published_us, story_id = excluded.story_id, record = excluded.record",
        [
            (r.id, r.opinion.opinion_id, us_of(r.opinion.published_at), r.opinion.story_id, r.record)
            for r in sorted(rows, key=lambda r: r.id)
        ],
    )
    deltas.apply(cursor, keys)
    _add(cursor, "opinions", len(rows) - len(old))
    _add(cursor, "stories", _stories(cursor, stories) - stories_before)
    return rejected


def _place(
    cursor: sqlite3.Cursor, opinions: Sequence[tuple[Opinion, bytes]], held: dict[str, Row]
) -> tuple[list[Row], list[Rejection]]:
    """Give each opinion its id: the old one while the second is the same, else the next of its second."""
    rows: list[Row] = []
    rejected: list[Rejection] = []
    following: dict[int, int] = {}
    for opinion, record in opinions:
        first = floor_of(us_of(opinion.published_at))
        old = held.get(opinion.opinion_id)
        if old is not None and first <= old.id < first + PER_SECOND:
            rows.append(Row(old.id, opinion, record))
            continue
        if first not in following:
            last = cursor.execute(
                "SELECT max(id) FROM store_opinions WHERE id >= ? AND id < ?", (first, first + PER_SECOND)
            ).fetchone()[0]
            following[first] = first if last is None else last + 1
        id_ = following[first]
        if id_ == first + PER_SECOND:
            rejected.append(
                Rejection(opinion.opinion_id, f"{PER_SECOND} texts published in the same second are held already; the "
                          "embedded store takes no more. Give the texts their times of day.")
            )  # fmt: skip
            continue
        following[first] = id_ + 1
        rows.append(Row(id_, opinion, record))
    return rows, rejected


def _write_index(cursor: sqlite3.Cursor, old: Sequence[Row], new: Sequence[Row]) -> None:
    before = {row.id: row.indexed for row in old}
    after = {row.id: row.indexed for row in new}
    # in ascending order each: a step back makes FTS5 flush what it has gathered
    cursor.executemany(
        "INSERT INTO store_index (store_index, rowid, text, tags) VALUES ('delete', ?, ?, ?)",
        [(id_, *before[id_]) for id_ in sorted(before) if after.get(id_) != before[id_]],
    )
    cursor.executemany(
        "INSERT INTO store_index (rowid, text, tags) VALUES (?, ?, ?)",
        [(id_, *after[id_]) for id_ in sorted(after) if after[id_] != before.get(id_)],
    )


def _stories(cursor: sqlite3.Cursor, stories: Iterable[str]) -> int:
    """How many of these stories have a text."""
    asked = sorted(stories)
    total = 0
    for at in range(0, len(asked), _MANY):
        some = asked[at : at + _MANY]
        marks = ",".join("?" * len(some))
        total += cursor.execute(
            f"SELECT count(DISTINCT story_id) FROM store_opinions WHERE story_id IN ({marks})", some
        ).fetchone()[0]
    return total


def _add(cursor: sqlite3.Cursor, counter: str, n: int) -> None:
    cursor.execute(
        "INSERT INTO store_counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        (counter, n),
    )
