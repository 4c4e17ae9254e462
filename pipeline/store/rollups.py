"""Counts per key and 5 minutes, exact while opinions come and are overwritten: a chart costs the same at any size."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from pipeline.errors import WindvaneError
from pipeline.keys import keys_of, split_key
from pipeline.records import SENTIMENTS, Opinion
from pipeline.store.base import BIN_S, Bin, KeyCount

ALL = ""  # the key of every text
_UNSURE = len(SENTIMENTS)
_COLUMNS = (*SENTIMENTS, "unsure")

SCHEMA_STATEMENTS = (
    "CREATE TABLE store_keys (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL)",
    "CREATE INDEX store_keys_kind ON store_keys (kind)",
    "CREATE TABLE store_bins (key INTEGER NOT NULL, bin INTEGER NOT NULL, negative INTEGER NOT NULL, "
    "neutral INTEGER NOT NULL, positive INTEGER NOT NULL, unsure INTEGER NOT NULL, "
    "PRIMARY KEY (key, bin)) WITHOUT ROWID",
)


class Deltas:
    """The changes a batch makes; add and subtract opinions, then apply once."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0] * len(_COLUMNS))

    def add(self, opinion: Opinion, sign: int = 1) -> None:
        """`sign` -1 takes an opinion's contribution back."""
        bin_ = bin_of(opinion.published_at)
        for key, label in _contributions(opinion):
            self._counts[key, bin_][_UNSURE if opinion.unsure else SENTIMENTS.index(label)] += sign

    def apply(self, cursor: sqlite3.Cursor, ids: "KeyIds") -> None:
        """Write the changes inside the caller's transaction."""
        changed = [(key, bin_, counts) for (key, bin_), counts in self._counts.items() if any(counts)]
        numbers = ids.of(cursor, {key for key, _, _ in changed})
        rows = sorted((numbers[key], bin_, *counts) for key, bin_, counts in changed)
        cursor.executemany(
            "INSERT INTO store_bins VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key, bin) DO UPDATE SET "
            + ", ".join(f"{c} = {c} + excluded.{c}" for c in _COLUMNS),
            rows,
        )
        emptied = [(key, bin_) for key, bin_, *counts in rows if min(counts) < 0]
        cursor.executemany(
            "DELETE FROM store_bins WHERE key = ? AND bin = ? AND negative + neutral + positive + unsure = 0", emptied
        )


class KeyIds:
    """Numbers of keys. Numbers given inside a transaction that fails must be forgotten: call `forget`."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, cursor: sqlite3.Cursor, keys: set[str]) -> dict[str, int]:
        """A number for each; new keys get one."""
        for key in keys - self._known.keys():
            cursor.execute("INSERT INTO store_keys (key, kind) VALUES (?, ?) ON CONFLICT (key) DO NOTHING",
                           (key, split_key(key)[0]))  # fmt: skip
            self._known[key] = cursor.execute("SELECT id FROM store_keys WHERE key = ?", (key,)).fetchone()[0]
        return {key: self._known[key] for key in keys}

    def forget(self) -> None:
        """Ask the table again."""
        self._known = {}


def bins(cursor: sqlite3.Cursor, key: str | None, start: datetime, end: datetime, step_s: int) -> list[Bin]:
    """See OpinionStore.bins. Steps are aligned to the epoch."""
    if step_s <= 0 or step_s % BIN_S:
        raise WindvaneError(
            f"Expected a step that is a multiple of {BIN_S} s, found {step_s}. Ask for 300, 600, 3600, …"
        )
    rows = cursor.execute(
        "SELECT bin / :per * :per, sum(negative), sum(neutral), sum(positive), sum(unsure) FROM store_bins "
        "WHERE key = (SELECT id FROM store_keys WHERE key = :key) AND bin >= :first AND bin < :last "
        "GROUP BY 1 ORDER BY 1",
        {"per": step_s // BIN_S, "key": ALL if key is None else key, "first": bin_of(start), "last": _bin_after(end)},
    )
    return [Bin(number * BIN_S, *counts) for number, *counts in rows]


def top_keys(cursor: sqlite3.Cursor, kind: str, start: datetime, end: datetime, limit: int) -> list[KeyCount]:
    """See OpinionStore.top_keys. Keys without a text in the span are left out; ties by total, then by name."""
    rows = cursor.execute(
        "SELECT k.key, sum(negative) AS n, sum(negative + neutral + positive + unsure) AS total "
        "FROM store_keys k CROSS JOIN store_bins b ON b.key = k.id AND b.bin >= ? AND b.bin < ? "
        "WHERE k.kind = ? GROUP BY k.id ORDER BY n DESC, total DESC, k.key LIMIT ?",
        (bin_of(start), _bin_after(end), kind, limit),
    )
    return [KeyCount(*row) for row in rows]


def bin_of(at: datetime) -> int:
    """The number of the bin that `at` lies in, counted from the epoch."""
    return int(at.timestamp() // BIN_S)


def _bin_after(end: datetime) -> int:
    return -int(-end.timestamp() // BIN_S)


def _contributions(opinion: Opinion) -> Iterator[tuple[str, str]]:
    yield ALL, opinion.sentiment.label
    for key, sentiment in keys_of(opinion):
        yield key, sentiment.label
