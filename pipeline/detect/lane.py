"""One lens, its texts and its rules: event-time bins and a watermark. The detector has a lane for each lens.

The order of work, for each bin that closes (numbered in `_close`): 1 note that the stream spoke; 2 learn the hours
that are final; 3 count the bin's texts; 4 judge the keys with news; 5 listen for silence; 6 see to running episodes;
7 settle what is final. Everything is a function of the closed bins in event-time order, so that batches, restarts,
duplicates and any order of arrival within the lateness give equal alerts. A gap in the stream closes nothing, learns
nothing and resolves nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.detect.bins import Heard
from pipeline.detect.book import Book
from pipeline.detect.cases import Cases
from pipeline.detect.config import BIN_S, DetectorConfig
from pipeline.detect.lens import NO_SECTORS, Lens, Sectors
from pipeline.detect.rules import Rule
from pipeline.keys import entity_key, sector_key, split_key
from pipeline.naming import Names
from pipeline.records import Alert, Opinion


class Lane:
    """`late_dropped` counts texts older than a day on arrival: they are neither learned nor judged."""

    def __init__(
        self, lens: Lens, rules: Sequence[Rule], config: DetectorConfig, names: Names, sectors: Sectors = NO_SECTORS
    ) -> None:
        self.lens = lens
        self._c = lens.config(config)
        self._sectors = sectors if lens.by_sector else NO_SECTORS
        self.book = Book(self._c)
        self.cases = Cases(rules, self.book, names)
        self._open: dict[int, list[int]] = {}  # bin -> numbers of texts that wait for it to close
        self._touched: set[str] = set()  # keys whose closed bins got late texts
        self._watermark = 0.0
        self.late_dropped = 0

    # --- verbs

    def hear(self, opinion: Opinion) -> Heard:
        """The opinion as this lane counts it. May raise; changes nothing."""
        return self.lens.hear(opinion, self._c)

    def observe(self, text: Heard) -> list[Alert]:
        """Take a text in; the alerts of every bin that closed by it, in event-time order."""
        if text.id in self.book.texts:
            return []
        if self._watermark and text.at < self._watermark - self._c.allowed_late_s:
            self.late_dropped += 1
            return []
        number = self.book.texts.add(text)
        if (text.bin + 1) * BIN_S <= self._watermark:
            also = self._rolled(text)
            self.book.count_late(number, text, also)
            self._touched.update(key for key, _ in (*text.keys, *also))
        else:
            self._open.setdefault(text.bin, []).append(number)
        return self._move(text.at - self._c.lateness_s)

    def advance(self, now: datetime) -> list[Alert]:
        """Close every bin that ended by `now`."""
        return self._move(now.timestamp()) + self._round(self._end, self._take_touched())

    def use(self, rules: Sequence[Rule]) -> list[Alert]:
        """Other rules from now on; the alerts of episodes that end by it."""
        return self.cases.use(rules, self._end)

    @property
    def watermark(self) -> datetime | None:
        """Event time up to which every bin is closed; None before the first text."""
        return datetime.fromtimestamp(self._watermark, UTC) if self._watermark else None

    @property
    def held_until(self) -> datetime | None:
        """When rules on negatives may fire again, after another model version has begun to answer; None: now."""
        if not self.book.held(self._end):
            return None
        return datetime.fromtimestamp(self.book.changed * BIN_S + self._c.hold_h * 3600, UTC)

    def dump(self) -> dict[str, Any]:
        """The whole state, as plain values."""
        return {
            "book": self.book.dump(), "open": self._open, "touched": sorted(self._touched),
            "watermark": self._watermark, "late_dropped": self.late_dropped, "evaluated": self.cases.evaluated,
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of `dump`; exact."""
        self.book.load(state["book"])
        self._open, self._touched = state["open"], set(state["touched"])
        self._watermark, self.late_dropped = state["watermark"], state["late_dropped"]
        self.cases.evaluated = state["evaluated"]

    # --- time

    @property
    def _end(self) -> int:
        return int(self._watermark // BIN_S)

    def _move(self, watermark: float) -> list[Alert]:
        if watermark <= self._watermark:
            return []
        self._watermark = watermark
        alerts: list[Alert] = []
        for bin_ in sorted(b for b in self._open if (b + 1) * BIN_S <= watermark):
            alerts += self._close(bin_, self._open.pop(bin_))
        return alerts

    def _close(self, bin_: int, numbers: list[int]) -> list[Alert]:
        self.book.enter(bin_)  # 1, 2
        touched = self._take_touched()
        texts = self.book.texts
        for number in sorted(numbers, key=lambda n: (texts[n].at, texts[n].id)):  # 3
            also = self._rolled(texts[number])
            self.book.count(number, texts[number], also)
            touched.update(key for key, _ in (*texts[number].keys, *also))
        alerts = self._round(bin_ + 1, touched, spoke=True)
        self.book.sweep(bin_)
        return alerts

    def _round(self, end: int, touched: set[str], spoke: bool = False) -> list[Alert]:
        if not touched and (not spoke or self.lens == Lens()):  # without a filter, such a text bears on nothing watched
            return self.cases.settle(end)
        alerts = self.cases.judge_keys(end, touched)  # 4
        return alerts + self.cases.listen(end) + self.cases.tend(end) + self.cases.settle(end)  # 5, 6, 7

    def _take_touched(self) -> set[str]:
        touched, self._touched = self._touched, set()
        return touched

    def _rolled(self, text: Heard) -> tuple[tuple[str, bool], ...]:
        """The sectors of the thin entities in a text, negative where one of those is."""
        if not self._sectors:
            return ()
        found: dict[str, bool] = {}
        for key, negative in text.keys:
            kind, entity = split_key(key)
            sector = self._sectors.get(entity) if kind == "entity" else None
            if sector and self.book.thin(key):
                found[sector_key(sector)] = found.get(sector_key(sector), False) or negative
        return tuple(sorted(found.items()))

    def sector_of(self, entity: str) -> str | None:
        """The sector key that the entity's texts count for now; None: it is judged alone."""
        sector = self._sectors.get(entity)
        return sector_key(sector) if sector and self.book.thin(entity_key(entity)) else None
