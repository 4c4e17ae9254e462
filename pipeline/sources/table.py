"""CSV with recovery: a row that cannot be read costs its first line only, also when an open quote
swallowed its neighbours.
"""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pipeline.errors import WindvaneError
from pipeline.sources.fields import NAMES, NEEDED, not_utf8
from pipeline.sources.lines import LINE_LIMIT, Line, read_lines

DELIMITERS = (",", "\t", ";", "|")
ROW_LINES = 10_000  # an open quote is given up after this many lines
_KNOWN = frozenset(name for names in NAMES.values() for name in names)


class Row(NamedTuple):
    """One row, or why it is none. `first` and `last` are its physical lines, `end` the offset after it."""

    fields: dict[str, object]
    data: bytes
    first: int
    last: int
    end: int
    fault: str = ""
    cut: bool = False


class Table:
    """The columns of a CSV file and how to read its rows."""

    def __init__(self, columns: list[str], delimiter: str, after_header: tuple[int, int]) -> None:
        self.columns = columns
        self.delimiter = delimiter
        self.after_header = after_header  # (offset, lines)

    def rows(self, lines: Iterator[Line]) -> Iterator[Row]:
        """The rows of the lines after the header; blank lines are skipped."""
        if csv.field_size_limit() < LINE_LIMIT:
            csv.field_size_limit(LINE_LIMIT)  # the csv module has no such limit per reader; it stops at 128 KB
        feed = _Feed(lines)
        while (first := feed.peek()) is not None:
            if first.cut:
                feed.take()
                yield Row({}, first.data, first.number, first.number, first.end, "The line is too long.", cut=True)
            elif not first.data.strip():
                feed.take()
            else:
                yield self._row(feed)

    def _row(self, feed: "_Feed") -> Row:
        feed.begin()
        fault = ""
        values: list[str] = []
        try:
            values = next(csv.reader(feed, delimiter=self.delimiter, strict=True))
            if len(values) != len(self.columns):
                fault = f"The row has {len(values)} fields, the header {len(self.columns)}."
        except csv.Error as e:
            fault = f"Not a CSV row: {e}."
        if fault:
            feed.give_back_all_but_first()  # an open quote took them: they may be good rows
        taken = feed.taken
        data = b"\n".join(line.data for line in taken)
        if not fault:
            try:
                data.decode()
            except UnicodeDecodeError as e:
                fault = not_utf8(data, e)
        fields: dict[str, object] = {} if fault else dict(zip(self.columns, values, strict=True))
        return Row(fields, data, taken[0].number, taken[-1].number, taken[-1].end, fault)


class _Feed:
    """Lines as text for csv.reader, remembering what the present row took so that it can be given back."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._waiting: deque[Line] = deque()
        self.taken: list[Line] = []
        self._bytes = 0

    def peek(self) -> Line | None:
        if not self._waiting and (line := next(self._lines, None)) is not None:
            self._waiting.append(line)
        return self._waiting[0] if self._waiting else None

    def take(self) -> Line:
        line = self.peek()
        if line is None:
            raise StopIteration
        return self._waiting.popleft()

    def begin(self) -> None:
        self.taken = []
        self._bytes = 0

    def give_back_all_but_first(self) -> None:
        self._waiting.extendleft(reversed(self.taken[1:]))
        self.taken = self.taken[:1]

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        if len(self.taken) >= ROW_LINES or self._bytes > LINE_LIMIT:
            raise StopIteration
        self.taken.append(self.take())
        self._bytes += len(self.taken[-1].data)
        return self.taken[-1].data.decode(errors="surrogateescape") + "\n"


def header_of(stream: BinaryIO, path: Path, needed: Sequence[str] = NEEDED) -> Table:
    """The table of the stream's first line that is not blank; raises WindvaneError when it names none of the columns
    `needed` (compared without case), one of which holds the text."""
    wanted = {name.lower() for name in needed}
    stream.seek(0)
    for line in read_lines(stream):
        data = line.data.removeprefix(b"\xef\xbb\xbf") if line.number == 1 else line.data
        if data.strip() and not line.cut:
            break
    else:
        raise WindvaneError(f"{path} is empty. Expected a header row, then one text per row.")
    text = data.decode(errors="replace")
    # The delimiter is the one that gives most columns we know; csv.Sniffer guesses from the texts and is
    # often wrong.
    splits = {d: next(csv.reader([text], delimiter=d)) for d in DELIMITERS}
    best = max(DELIMITERS, key=lambda d: (len(_named(splits[d]) & (_KNOWN | wanted)), len(splits[d])))
    columns = [name.strip() for name in splits[best]]
    if not _named(columns) & wanted:
        raise WindvaneError(
            f"{path}: expected JSON Lines, or CSV with a header that has one of the columns "
            f"{', '.join(needed)}; found {', '.join(columns)[:200]}. Rename the column that holds the text."
        )
    return Table(columns, best, (line.end, line.number))


def _named(columns: list[str]) -> set[str]:
    return {name.strip().lower() for name in columns}
