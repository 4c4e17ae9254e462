"""Five-minute bins of event time per key, for as long as a bin may change or be looked back on.

Counted is a story once per source within a day; further copies show how far it spread and never add to the counts.
A text is known by its id, so that a second delivery adds nothing.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator

import msgspec

from pipeline.detect.config import BIN_S, DAY_S, DetectorConfig
from pipeline.keys import keys_of
from pipeline.records import Opinion, Sentiment, document

STORY_BINS = DAY_S // BIN_S  # a story that comes back after a day is news again
TITLE_CHARS = 160


class Heard(msgspec.Struct, frozen=True, array_like=True):
    """What the detector keeps of an opinion."""

    id: str
    at: float  # published_at, epoch seconds
    story: str
    source: str
    voice: str
    url: str | None
    title: str
    model_version: str
    keys: tuple[tuple[str, bool], ...]  # (key, negative)
    unit: str  # what is counted once
    negative: bool  # the text as a whole

    @property
    def bin(self) -> int:
        return int(self.at // BIN_S)


def heard(opinion: Opinion, config: DetectorConfig) -> Heard:
    """The opinion as the detector counts it.

    A story counts once per source: nobody writes the same sentence by chance, so hundreds of accounts that do are one
    copied text. Words too short for that (涨停, "down again") count once per voice.
    """

    def negative(feeling: Sentiment) -> bool:
        return not opinion.unsure and feeling.label == "negative" and feeling.negative >= config.certain_negative

    keys = tuple((key, negative(feeling)) for key, feeling in keys_of(opinion))
    text = document(opinion)
    copied = columns(text[: config.copied_columns]) >= config.copied_columns
    title = (opinion.title or text).strip()
    title = title.splitlines()[0] if title else ""
    return Heard(
        opinion.opinion_id, opinion.published_at.timestamp(), opinion.story_id, opinion.source, opinion.voice,
        opinion.url, title[:TITLE_CHARS], opinion.model_version, keys,
        f"{opinion.source if copied else opinion.voice}\x1f{opinion.story_id}", negative(opinion.sentiment),
    )  # fmt: skip


def columns(text: str) -> int:
    """Width of a text: a Han character counts two."""
    return len(text) + sum(c > "\u2e7f" for c in text)


class Bin(msgspec.Struct, array_like=True):
    """One key in five minutes. `texts` are (number of the text, negative, counted), copies too."""

    index: int
    negatives: int = 0
    total: int = 0
    texts: list[tuple[int, bool, bool]] = []


class KeyBins(msgspec.Struct, array_like=True):
    """The bins of one key that are not empty, oldest first, and the stories they have counted."""

    bins: list[Bin] = []
    units: dict[str, int] = {}  # unit -> bin in which it was counted

    def add(self, number: int, text: Heard, negative: bool) -> bool:
        """Put a text where it belongs; True when it counts, False when it is a further copy."""
        at = text.bin
        counted_in = self.units.get(text.unit)
        counts = counted_in is None or abs(at - counted_in) >= STORY_BINS
        if counts:
            self.units[text.unit] = at
        bin_ = self._bin(at)
        bin_.texts.append((number, negative, counts))
        bin_.total += counts
        bin_.negatives += counts and negative
        return counts

    def _bin(self, index: int) -> Bin:
        bins = self.bins
        if bins and bins[-1].index == index:
            return bins[-1]
        if not bins or bins[-1].index < index:
            bins.append(Bin(index))
            return bins[-1]
        at = bisect_left(bins, index, key=lambda b: b.index)
        if bins[at].index != index:
            insort(bins, Bin(index), key=lambda b: b.index)
        return bins[at]

    def window(self, first: int, end: int) -> list[Bin]:
        """The bins with first <= index < end."""
        bins = self.bins
        if not bins or bins[-1].index < first:
            return []
        low = 0 if bins[0].index >= first else bisect_left(bins, first, key=lambda b: b.index)
        if bins[-1].index < end:  # nearly always: windows end at the newest bin
            return bins[low:]
        return bins[low : bisect_left(bins, end, lo=low, key=lambda b: b.index)]

    def forget(self, before: int) -> Iterator[int]:
        """Drop the bins before `before`; gives the numbers of their texts."""
        at = bisect_left(self.bins, before, key=lambda b: b.index)
        if not at:
            return
        for bin_ in self.bins[:at]:
            yield from (number for number, _, _ in bin_.texts)
        del self.bins[:at]
        self.units = {unit: index for unit, index in self.units.items() if index >= before}


class TextStore:
    """The texts that bins point to, once each, until no bin can be asked for them."""

    def __init__(self) -> None:
        self._texts: dict[int, Heard] = {}
        self._numbers: dict[str, int] = {}
        self._next = 0

    def __contains__(self, text_id: str) -> bool:
        return text_id in self._numbers

    def __getitem__(self, number: int) -> Heard:
        return self._texts[number]

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, text: Heard) -> int:
        number = self._next
        self._next += 1
        self._texts[number] = text
        self._numbers[text.id] = number
        return number

    def forget(self, before: float) -> None:
        """Drop texts published before that time (epoch seconds)."""
        gone = [n for n, text in self._texts.items() if text.at < before]
        for n in gone:
            del self._numbers[self._texts.pop(n).id]

    def dump(self) -> tuple[int, list[tuple[int, Heard]]]:
        return self._next, list(self._texts.items())

    def load(self, saved: tuple[int, list[tuple[int, Heard]]]) -> None:
        self._next, items = saved
        self._texts = dict(items)
        self._numbers = {text.id: n for n, text in items}
