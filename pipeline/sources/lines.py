"""Physical lines of a byte stream with their offsets, never holding more than the limit of one."""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

LINE_LIMIT = 16_000_000  # bytes; one text this long is no text
KEPT = 65_536  # of a longer line, this much goes into the dead letter
BOM = b"\xef\xbb\xbf"
TOO_LONG = f"The line is longer than {LINE_LIMIT // 1_000_000} MB; only its first {KEPT} bytes are kept here."


class Line(NamedTuple):
    """One line without its end. `number` counts from 1; `end` is the offset of the next line's first byte."""

    number: int
    end: int
    data: bytes
    cut: bool = False  # longer than the limit: `data` is only its beginning


def read_lines(stream: BinaryIO, offset: int = 0, number: int = 0, limit: int = LINE_LIMIT) -> Iterator[Line]:
    """The lines from the stream's present place, which is `offset` with `number` lines before it."""
    while data := stream.readline(limit + 1):
        number += 1
        offset += len(data)
        if len(data) <= limit or data.endswith(b"\n"):
            yield Line(number, offset, data.rstrip(b"\r\n"))
            continue
        kept = data[:KEPT]
        while not data.endswith(b"\n") and (data := stream.readline(1 << 20)):
            offset += len(data)
        yield Line(number, offset, kept, cut=True)
