"""Standard input as a source: JSON Lines, or plain text with one text per line. It cannot be resumed."""

from collections.abc import Iterator
from typing import BinaryIO

from pipeline.clock import Clock, system_clock
from pipeline.errors import Reject
from pipeline.records import Raw
from pipeline.sources.base import Item
from pipeline.sources.fields import json_object, not_utf8, raw_from, rejected
from pipeline.sources.lines import BOM, TOO_LONG, Line, read_lines


class StdinSource:
    """Items of a byte stream, as they arrive. A line that begins with { is a JSON object, any other a text.

    `position` is accepted and ignored: what was piped in before is gone, what comes now is new."""

    name = "stdin"

    def __init__(self, stream: BinaryIO, clock: Clock = system_clock, source: str = "stdin") -> None:
        self._stream = stream
        self._clock = clock
        self._source = source
        self._bytes = 0

    @property
    def progress(self) -> tuple[int, int]:
        """(bytes read, 0: the total is not known)."""
        return self._bytes, 0

    def items(self, position: str | None = None) -> Iterator[tuple[Item, str]]:
        """See base.Source."""
        for line in read_lines(self._stream):
            self._bytes = line.end
            data = line.data.removeprefix(BOM) if line.number == 1 else line.data
            if data.strip():
                yield self._item(line._replace(data=data)), f'{{"line":{line.number}}}'

    def _item(self, line: Line) -> Item:
        try:
            if line.cut:
                raise Reject(TOO_LONG)
            if line.data.lstrip().startswith(b"{"):
                return raw_from(json_object(line.data), self._source, self._clock())
            return Raw(source=self._source, text=line.data.decode().strip(), fetched_at=self._clock())
        except UnicodeDecodeError as e:
            reason = not_utf8(line.data, e)
        except Reject as e:
            reason = e.reason
        return rejected(reason, line.data, f"stdin:{line.number}", self._clock())
