"""A file as a source: JSON Lines or CSV, plain or gzipped, resumable at every item.

Resume is by byte offset and line number (offsets into the unpacked text when gzipped), guarded by a hash
of the file's beginning: a file that was replaced is refused, one that has grown goes on.
"""

import gzip
import hashlib
import io
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from pipeline.clock import Clock, system_clock
from pipeline.errors import Reject, WindvaneError
from pipeline.records import Rejected
from pipeline.sources.base import Item
from pipeline.sources.fields import NEEDED, json_object, raw_from, rejected
from pipeline.sources.lines import BOM, TOO_LONG, Line, read_lines
from pipeline.sources.stdin import StdinSource
from pipeline.sources.table import Row, Table, header_of

Kind = Literal["jsonl", "csv"]

STDIN = Path("-")
HEAD = 4096  # bytes of the file that tell whether it is still the same one
_OTHER_KINDS = {
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\xfd7zXZ": "xz-compressed",
    b"\x28\xb5\x2f\xfd": "zstd-compressed",
    b"BZh": "bzip2-compressed",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF",
    b"SQLite format 3": "a SQLite database",
}  # fmt: skip


class Position(msgspec.Struct, frozen=True):
    """How far a file was read, and what the file looked like then."""

    offset: int  # bytes of (unpacked) text done
    line: int  # lines done
    size: int  # of the file on disk
    head_size: int
    head: str  # hash of the first head_size bytes on disk
    ended: bool = False  # the rest cannot be read (a damaged gzip file)


def count(path: Path) -> int:
    """The file's size in bytes: the progress bar's total."""
    return path.stat().st_size if path != STDIN else 0


def file_source(path: Path, clock: Clock = system_clock) -> "FileSource | StdinSource":
    """The source of a path given on the command line; `-` is standard input. Raises WindvaneError, see FileSource."""
    return StdinSource(sys.stdin.buffer, clock) if path == STDIN else FileSource(path, clock)


class FileSource:
    """Items of one file, see the module; `source` is the outlet of records that name none (default: the
    file's stem).

    Raises WindvaneError when the file is missing, a folder, empty, binary or of a kind that is not read."""

    def __init__(self, path: Path, clock: Clock = system_clock, source: str | None = None) -> None:
        self.path = path
        self.name = f"file:{path.resolve()}"
        self._clock = clock
        self._packed, self._kind = inspect(path)
        self._source = source or _stem(path)
        self._disk: BinaryIO | None = None

    @property
    def progress(self) -> tuple[int, int]:
        """(bytes read from disk, bytes of the file)."""
        total = count(self.path)
        if self._disk is None:
            return 0, total
        return (total if self._disk.closed else min(self._disk.tell(), total)), total

    def items(self, position: str | None) -> Iterator[tuple[Item, str]]:
        """See base.Source. Raises WindvaneError when the file is not the one that `position` was stored
        for."""
        size = count(self.path)
        with open(self.path, "rb") as disk:
            start = self._resume(position, disk, size)
            if start.ended:
                return
            self._disk = disk
            disk.seek(0)
            stream: BinaryIO = gzip.GzipFile(fileobj=disk) if self._packed else disk  # type: ignore[assignment]
            yield from self._read(stream, start)

    def _read(self, stream: BinaryIO, start: Position) -> Iterator[tuple[Item, str]]:
        done = start
        try:
            table = header_of(stream, self.path) if self._kind == "csv" else None
            offset, line = (
                (start.offset, start.line) if start.line else table.after_header if table else (_skip_bom(stream), 0)
            )
            stream.seek(offset)
            lines = read_lines(stream, offset, line)
            items = self._rows(table, lines) if table else self._objects(lines)
            for item, offset, line in items:
                done = msgspec.structs.replace(start, offset=offset, line=line)
                yield item, _encode(done)
        except (EOFError, zlib.error, gzip.BadGzipFile) as e:
            reason = f"The gzip file is damaged after line {done.line} ({e}); what came before it was read."
            yield (
                rejected(reason, "", f"{self.path}:{done.line + 1}", self._clock()),
                _encode(msgspec.structs.replace(done, ended=True)),
            )

    def _objects(self, lines: Iterator[Line]) -> Iterator[tuple[Item, int, int]]:
        for line in lines:
            if line.data.strip():
                yield self._object(line), line.end, line.number

    def _object(self, line: Line) -> Item:
        if line.cut:
            return self._reject(TOO_LONG, line.data, line.number)
        try:
            return raw_from(json_object(line.data), self._source, self._clock())
        except Reject as e:
            return self._reject(e.reason, line.data, line.number)

    def _rows(self, table: Table, lines: Iterator[Line]) -> Iterator[tuple[Item, int, int]]:
        for row in table.rows(lines):
            yield self._row(row), row.end, row.last

    def _row(self, row: Row) -> Item:
        if row.fault:
            return self._reject(TOO_LONG if row.cut else row.fault, row.data, row.first)
        try:
            return raw_from(row.fields, self._source, self._clock())
        except Reject as e:
            return self._reject(e.reason, row.data, row.first)

    def _reject(self, reason: str, data: bytes, line: int) -> Rejected:
        return rejected(reason, data, f"{self.path}:{line}", self._clock())

    def _resume(self, text: str | None, disk: BinaryIO, size: int) -> Position:
        """The place to start from, checked against the file as it is now."""
        head_size = min(HEAD, size)
        if text is None:
            return Position(0, 0, size, head_size, _hash(disk, head_size))
        try:
            then = msgspec.json.decode(text, type=Position)
        except msgspec.DecodeError as e:
            raise WindvaneError(
                f"The stored position of {self.path} cannot be read ({e}). Use another data folder."
            ) from e
        if size < then.size or _hash(disk, then.head_size) != then.head:
            changed = f"it had {then.size} bytes, now {size}" if size < then.size else "its beginning differs"
            raise WindvaneError(
                f"{self.path} has changed since it was read up to line {then.line} ({changed}), so it cannot "
                "be continued. Put the old file back, or replay the new one under another name or into a new "
                "data folder."
            )
        return msgspec.structs.replace(then, size=size, head_size=head_size, head=_hash(disk, head_size))


def inspect(path: Path, needed: Sequence[str] = NEEDED) -> tuple[bool, Kind]:
    """(gzipped?, what it holds) of a file that can be read; raises WindvaneError for any other, and for a table
    that has none of the columns `needed`."""
    if not path.exists():
        raise WindvaneError(
            f"There is no file {path}. Give the path of a JSON Lines or CSV file, or - for standard input."
        )
    if path.is_dir():
        raise WindvaneError(f"{path} is a folder. Give one JSON Lines or CSV file.")
    try:
        with open(path, "rb") as disk:
            packed = disk.read(2) == b"\x1f\x8b"
            disk.seek(0)
            head = _head(gzip.GzipFile(fileobj=disk) if packed else disk)  # type: ignore[arg-type]
    except (EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise WindvaneError(f"{path} is a damaged gzip file ({e}). Get it again.") from e
    except OSError as e:
        raise WindvaneError(f"{path} cannot be read: {os.strerror(e.errno or 0)}. Check that you may read it.") from e
    return packed, _kind_of(path, head, needed)


def _head(stream: BinaryIO, size: int = 65_536) -> bytes:
    """The first bytes; of a gzip file that is cut short, those that can be read."""
    head = b""
    try:
        while len(head) < size and (more := stream.read(1024)):
            head += more
    except (EOFError, zlib.error):
        if not head:
            raise
    return head


def _kind_of(path: Path, head: bytes, needed: Sequence[str]) -> Kind:
    if not head.strip():
        raise WindvaneError(f"{path} is empty. Expected JSON Lines or CSV, one text per line or row.")
    for magic, what in _OTHER_KINDS.items():
        if head.startswith(magic):
            raise WindvaneError(
                f"{path} is {what}. Expected JSON Lines or CSV text, plain or gzipped: convert it first."
            )
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise WindvaneError(f"{path} is UTF-16 text. Expected UTF-8: iconv -f UTF-16 -t UTF-8.")
    if b"\0" in head:
        raise WindvaneError(f"{path} is a binary file. Expected JSON Lines or CSV text, plain or gzipped.")
    suffixes = [s.lower() for s in path.suffixes if s.lower() != ".gz"]
    first = head.removeprefix(BOM).lstrip()[:1]
    if suffixes and suffixes[-1] in (".csv", ".tsv"):
        header_of(io.BytesIO(head), path, needed)
        return "csv"
    if first == b"[" and suffixes[-1:] == [".json"]:
        raise WindvaneError(f"{path} is one JSON list. Expected one object per line: jq -c '.[]' {path} > {path}l")
    if (suffixes and suffixes[-1] in (".jsonl", ".ndjson", ".json")) or first == b"{":
        return "jsonl"
    header_of(io.BytesIO(head), path, needed)  # raises the sentence when it is no table either
    return "csv"


def _stem(path: Path) -> str:
    name = path.name
    return name.removesuffix(".gz").rsplit(".", 1)[0] or name


def _skip_bom(stream: BinaryIO) -> int:
    stream.seek(0)
    return len(BOM) if stream.read(len(BOM)) == BOM else 0


def _hash(disk: BinaryIO, size: int) -> str:
    disk.seek(0)
    return hashlib.blake2b(disk.read(size), digest_size=8).hexdigest()


def _encode(position: Position) -> str:
    return msgspec.json.encode(position).decode()
