"""The bus in the embedded database: one partition (0) per topic, offsets from 0 without gaps.

A topic is made by its first message. Rows lie in the file in (topic, offset) order, so a poll is one range read.
"""

import threading
import time
from collections.abc import Collection, Iterator, Sequence

from pipeline.bus.base import Message, check_sizes
from pipeline.database import Database, raw

_TOPIC_SHIFT = 40  # position = topic number << 40 | offset
_CHUNK = 512  # messages a `read` takes per look at the database

SCHEMA = (
    (
        "CREATE TABLE bus_topics (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, "
        "first_offset INTEGER NOT NULL, next_offset INTEGER NOT NULL)",
        "CREATE TABLE bus_messages (position INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB NOT NULL)",
        "CREATE TABLE bus_offsets (member_group TEXT NOT NULL, topic TEXT NOT NULL, next_offset INTEGER NOT NULL, "
        "PRIMARY KEY (member_group, topic)) WITHOUT ROWID",
    ),
)


class SqliteBus:
    """See bus.base.Bus. Publishing and committing join the caller's `db.begin()` when there is one.

    Of several consumers of one group and topic in this process the first to poll owns the partition; the others
    stand by ([] from poll) and one takes over when the owner closes, as with a single partition on Kafka. Between
    processes nobody assigns: run each group in one process per database.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._owners: dict[tuple[str, str], SqliteConsumer] = {}
        db.ensure_schema("bus", SCHEMA)

    def publish(self, topic: str, entries: Sequence[tuple[str, bytes]]) -> None:
        if not entries:
            return
        check_sizes(topic, entries)
        with self._db.begin() as connection:
            cursor = raw(connection).cursor()
            cursor.execute("INSERT INTO bus_topics (name, first_offset, next_offset) VALUES (?, 0, 0) "
                           "ON CONFLICT (name) DO NOTHING", (topic,))  # fmt: skip
            number, offset = cursor.execute(
                "SELECT number, next_offset FROM bus_topics WHERE name = ?", (topic,)
            ).fetchone()
            position = (number << _TOPIC_SHIFT) + offset
            cursor.executemany(
                "INSERT INTO bus_messages VALUES (?, ?, ?)",
                [(position + i, key, value) for i, (key, value) in enumerate(entries)],
            )
            cursor.execute(
                "UPDATE bus_topics SET next_offset = next_offset + ? WHERE number = ?", (len(entries), number)
            )

    def consumer(self, group: str, topic: str, *, sole: bool = False) -> "SqliteConsumer":
        """One partition: every member is the sole reader or stands by, asked or not."""
        return SqliteConsumer(self, group, topic)

    def read(self, topic: str, start: int = 0, partition: int = 0) -> Iterator[Message]:
        """Ends at what was the end when it began; holds nothing between two messages."""
        if partition != 0:
            return
        end = self.end(topic)
        while start < end:
            messages = self._fetch(topic, start, min(_CHUNK, end - start))
            if not messages:
                return
            yield from messages
            start = messages[-1].offset + 1

    def partitions(self, topic: str) -> int:
        return 1

    def committed(self, group: str, topic: str, partition: int = 0) -> int:
        return self._committed(group, topic) if partition == 0 else 0

    def end(self, topic: str, partition: int = 0) -> int:
        return self._span(topic)[1] if partition == 0 else 0

    def messages(self, topic: str) -> int:
        first, end = self._span(topic)
        return end - first

    def lag(self, group: str, topic: str) -> int:
        with self._db.read():  # both figures from one view
            return max(0, self.end(topic) - self._committed(group, topic))

    def topics(self) -> list[str]:
        """The topics that have had a message, sorted."""
        with self._db.read() as connection:
            return [name for (name,) in raw(connection).execute("SELECT name FROM bus_topics ORDER BY name")]

    def truncate_before(self, topic: str, offset: int) -> int:
        """Delete messages before `offset`, for retention; returns how many went. What a group that has ever
        committed on this topic still has to read is kept. Offsets are not given out again."""
        with self._db.begin() as connection:
            cursor = raw(connection).cursor()
            row = cursor.execute(
                "SELECT number, next_offset, (SELECT min(next_offset) FROM bus_offsets WHERE topic = name) "
                "FROM bus_topics WHERE name = ?", (topic,)
            ).fetchone()  # fmt: skip
            if row is None:
                return 0
            number, end, needed = row
            upto = min(offset, end, end if needed is None else needed)
            cursor.execute(
                "DELETE FROM bus_messages WHERE position >= ? AND position < ?",
                (number << _TOPIC_SHIFT, (number << _TOPIC_SHIFT) + upto),
            )
            deleted = cursor.rowcount
            cursor.execute("UPDATE bus_topics SET first_offset = max(first_offset, ?) WHERE number = ?", (upto, number))
            return deleted

    def close(self) -> None:
        """Consumers leave their groups. The database is its opener's to close."""
        with self._lock:
            self._owners.clear()

    def _span(self, topic: str) -> tuple[int, int]:
        with self._db.read() as connection:
            row = (
                raw(connection)
                .execute("SELECT first_offset, next_offset FROM bus_topics WHERE name = ?", (topic,))
                .fetchone()
            )
            return row or (0, 0)

    def _committed(self, group: str, topic: str) -> int:
        """Where the group goes on: its committed offset, or the first message that is still there."""
        with self._db.read() as connection:
            row = (
                raw(connection)
                .execute("SELECT next_offset FROM bus_offsets WHERE member_group = ? AND topic = ?", (group, topic))
                .fetchone()
            )
            return max(row[0] if row else 0, self._span(topic)[0])

    def _commit(self, group: str, topic: str, offset: int) -> None:
        with self._db.begin() as connection:
            raw(connection).execute(
                "INSERT INTO bus_offsets VALUES (?, ?, ?) ON CONFLICT (member_group, topic) "
                "DO UPDATE SET next_offset = max(next_offset, excluded.next_offset)",
                (group, topic, offset),
            )

    def _fetch(self, topic: str, start: int, limit: int) -> list[Message]:
        with self._db.read() as connection:
            rows = raw(connection).execute(
                "SELECT position - (t.number << 40), key, value FROM bus_topics t JOIN bus_messages "
                "ON position >= (t.number << 40) + ? AND position < (t.number << 40) + t.next_offset "
                "WHERE t.name = ? ORDER BY position LIMIT ?",
                (start, topic, limit),
            )
            return [Message(topic, 0, offset, key, value) for offset, key, value in rows]

    def _owns(self, member: "SqliteConsumer") -> bool:
        with self._lock:
            return self._owners.setdefault((member.group, member.topic), member) is member

    def _leave(self, member: "SqliteConsumer") -> None:
        with self._lock:
            if self._owners.get((member.group, member.topic)) is member:
                del self._owners[(member.group, member.topic)]


class SqliteConsumer:
    """See bus.base.Consumer. One thread at a time. Nobody takes the partition from it: the generation stays 0."""

    generation = 0

    def __init__(self, bus: SqliteBus, group: str, topic: str) -> None:
        self.group = group
        self.topic = topic
        self._bus = bus
        self._position: int | None = None  # None: wherever the group stands
        self._closed = False

    def poll(self, limit: int, only: Collection[int] | None = None) -> list[Message]:
        """Inside a transaction that is then rolled back, the poll is undone with it."""
        self._check_open()
        if not self._bus._owns(self) or (only is not None and 0 not in only):
            return []
        before = self._position
        start = self._bus._committed(self.group, self.topic) if before is None else before
        messages = self._bus._fetch(self.topic, start, limit)
        self._position = messages[-1].offset + 1 if messages else start
        if messages:
            self._bus._db.on_rollback(lambda: self._go_back(before))
        return messages

    def commit(self, messages: Sequence[Message]) -> None:
        """Joins the caller's transaction. A commit behind what the group has committed changes nothing."""
        self._check_open()
        if strangers := {m.topic for m in messages} - {self.topic}:
            raise ValueError(f"A consumer of {self.topic} was asked to commit messages of {', '.join(strangers)}.")
        if messages:
            self._bus._commit(self.group, self.topic, max(m.offset for m in messages) + 1)

    def rewind(self) -> None:
        self._position = None

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        self._closed = True
        self._bus._leave(self)

    def _go_back(self, position: int | None) -> None:
        self._position = position

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(
                f"The consumer of group {self.group} on {self.topic} is closed. Ask the bus for a new one."
            )
