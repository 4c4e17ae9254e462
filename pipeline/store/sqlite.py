"""The opinion store in the embedded database: records, one full-text index over text and filters, roll-ups.

A row's id is its published second << 20 | a number within the second: rows, and the index's lists, are in time
order, so "the newest 20" ends after 20. Within a second the order is settled by sorting that second.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from pipeline.clock import Clock, system_clock
from pipeline.database import Database, raw
from pipeline.records import Decoder, Opinion, document
from pipeline.store import finding, rollups
from pipeline.store.base import BIN_S, Bin, KeyCount, Page, Rejection, Search
from pipeline.store.fitting import fit
from pipeline.store.rowid import second_floor, us_of
from pipeline.store.writing import Row, write_batch

_MANY = 500  # values in one IN (…), rows in one step of a scan

SCHEMA = (
    (
        "CREATE TABLE store_opinions (id INTEGER PRIMARY KEY, opinion_id TEXT NOT NULL UNIQUE, "
        "published_us INTEGER NOT NULL, story_id TEXT NOT NULL, record BLOB NOT NULL)",
        "CREATE INDEX store_opinions_story ON store_opinions (story_id)",
        # contentless: the text is in the record. ascii: words.py cuts, the tokenizer only splits at spaces and keeps
        # every character beyond ASCII, whatever Unicode version SQLite knows
        "CREATE VIRTUAL TABLE store_index USING fts5 (text, tags, content='', columnsize=0, tokenize='ascii')",
        "CREATE TABLE store_counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
        *rollups.SCHEMA_STATEMENTS,
    ),
)


class _Searched(msgspec.Struct):
    """The part of a record that ranking reads."""

    text: str
    title: str | None = None


class SqliteOpinionStore:
    """See store.base.OpinionStore. `write` joins the caller's `db.begin()` when there is one."""

    def __init__(self, db: Database, clock: Clock = system_clock) -> None:
        self._db = db
        self._clock = clock
        self._keys = rollups.KeyIds()
        self._decode = Decoder(Opinion)
        self._searched = msgspec.json.Decoder(_Searched)
        db.ensure_schema("store", SCHEMA)

    def write(self, opinions: Sequence[Opinion]) -> list[Rejection]:
        now = self._clock()
        fitting, rejected = fit(opinions, now)
        if fitting:
            with self._db.begin() as connection:
                self._db.on_rollback(self._keys.forget)
                cursor = raw(connection).cursor()
                held = self._held(cursor, list(fitting))
                rejected += write_batch(cursor, list(fitting.values()), held, self._keys)
                cursor.execute(
                    "INSERT INTO store_counters VALUES ('indexed_us', ?) ON CONFLICT (name) "
                    "DO UPDATE SET value = max(value, excluded.value)",
                    (us_of(now),),
                )
        return rejected

    def get(self, ids: Sequence[str]) -> list[Opinion]:
        with self._db.read() as connection:
            held = self._held(raw(connection).cursor(), ids)
        return [held[i].opinion for i in ids if i in held]

    def search(self, search: Search) -> Page:
        what = finding.Finding.of(search)
        if what.impossible:
            return Page(0, False, [])
        need = search.offset + search.limit
        with self._db.read() as connection:
            cursor = raw(connection).cursor()
            held = self._counter(cursor, "opinions")
            total = held if what.everything else finding.count(cursor, what)
            if search.order == "best" and what.query.units:
                ids = finding.best(cursor, what, need, held, self._texts)
            else:
                ids = finding.newest(cursor, what, need)
            page = ids[search.offset : need]
            records = dict(finding.by_id(cursor, "id, record", page))
        items = [self._decode(records[id_]) for id_ in page]
        return Page(min(total, finding.COUNTED), total > finding.COUNTED, items)

    def bins(self, key: str | None, start: datetime, end: datetime, step_s: int = BIN_S) -> list[Bin]:
        with self._db.read() as connection:
            return rollups.bins(raw(connection).cursor(), key, start, end, step_s)

    def top_keys(self, kind: str, start: datetime, end: datetime, limit: int = 50) -> list[KeyCount]:
        with self._db.read() as connection:
            return rollups.top_keys(raw(connection).cursor(), kind, start, end, limit)

    def scan(self, start: datetime | None = None) -> Iterator[Opinion]:
        """Holds nothing between two steps; what is written meanwhile may or may not be seen."""
        after, since = "", us_of(start) if start is not None else -(1 << 63)
        while True:
            with self._db.read() as connection:
                rows = (
                    raw(connection)
                    .execute(
                        "SELECT opinion_id, record FROM store_opinions WHERE opinion_id > ? "
                        "AND published_us >= ? ORDER BY opinion_id LIMIT ?",
                        (after, since, _MANY),
                    )
                    .fetchall()
                )
            if not rows:
                return
            for _, record in rows:
                yield self._decode(record)
            after = rows[-1][0]

    def stats(self) -> Mapping[str, int | float | None]:
        with self._db.read() as connection:
            cursor = raw(connection).cursor()
            counters = {n: self._counter(cursor, n) for n in ("opinions", "stories", "indexed_us")}
            last = cursor.execute("SELECT max(id) FROM store_opinions").fetchone()[0]
            published = None
            if last is not None:
                published = cursor.execute(
                    "SELECT max(published_us) FROM store_opinions WHERE id >= ?", (second_floor(last),)
                ).fetchone()[0]
        return {
            "opinions": counters["opinions"],
            "stories": counters["stories"],
            "newest_published_at": None if published is None else published / 1e6,
            "newest_indexed_at": counters["indexed_us"] / 1e6 if counters["indexed_us"] else None,
        }

    def close(self) -> None:
        """Nothing is held. The database is its opener's to close."""

    def _held(self, cursor: sqlite3.Cursor, ids: Sequence[str]) -> dict[str, Row]:
        held: dict[str, Row] = {}
        for at in range(0, len(ids), _MANY):
            some = ids[at : at + _MANY]
            marks = ",".join("?" * len(some))
            for id_, record in cursor.execute(
                f"SELECT id, record FROM store_opinions WHERE opinion_id IN ({marks})", some
            ):
                opinion = self._decode(record)
                held[opinion.opinion_id] = Row(id_, opinion, record)
        return held

    def _texts(self, cursor: sqlite3.Cursor, ids: Sequence[int]) -> list[str]:
        records = dict(finding.by_id(cursor, "id, record", ids))
        return [document(self._searched.decode(records[id_])) for id_ in ids]  # type: ignore[arg-type]

    @staticmethod
    def _counter(cursor: sqlite3.Cursor, name: str) -> int:
        row = cursor.execute("SELECT value FROM store_counters WHERE name = ?", (name,)).fetchone()
        return row[0] if row else 0
