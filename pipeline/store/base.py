"""The opinion store contract: search, charts, export. Writing is idempotent by `opinion_id`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from pipeline.records import Language, Opinion, SentimentLabel

BIN_S = 300  # roll-up bins are 5 minutes of event time


class Filters(NamedTuple):
    """Every given field must hold. `start` inclusive, `end` exclusive, over published_at. Sentiment is the text's,
    or the entity's where `entity` is given."""

    entity: str | None = None
    topic: str | None = None
    watch: str | None = None
    sentiment: SentimentLabel | None = None
    source: str | None = None
    language: Language | None = None
    start: datetime | None = None
    end: datetime | None = None
    story: str | None = None


class Search(NamedTuple):
    """`text` holds words and "phrases" that must all occur (zh and en; two-character words are found as substrings)."""

    text: str = ""
    filters: Filters = Filters()
    order: Literal["newest", "best"] = "newest"
    limit: int = 20
    offset: int = 0


class Page(NamedTuple):
    """`total` counts up to 10 000 exactly; more is reported as 10 000 with `capped`."""

    total: int
    capped: bool
    items: list[Opinion]


class Bin(NamedTuple):
    """Texts of one key in one bin. `start` is epoch seconds. An unsure text counts as `unsure`, not as its label."""

    start: int
    negative: int
    neutral: int
    positive: int
    unsure: int

    @property
    def total(self) -> int:
        return self.negative + self.neutral + self.positive + self.unsure


class KeyCount(NamedTuple):
    """Totals of one key over a span of time."""

    key: str
    negative: int
    total: int


class Rejection(NamedTuple):
    """An opinion that the store will never take, and why."""

    opinion_id: str
    reason: str


class OpinionStore(Protocol):
    """See each verb. `write` is the only one that changes anything."""

    def write(self, opinions: Sequence[Opinion]) -> list[Rejection]:
        """Insert or overwrite by id, durably and searchable on return; those that can never be taken come back.
        An outage raises errors.Retry with nothing half-counted."""

    def get(self, ids: Sequence[str]) -> list[Opinion]:
        """Those that exist, in the order asked."""

    def search(self, search: Search) -> Page:
        """Texts that match, newest first by published_at (ties by id), or best match first."""

    def bins(self, key: str | None, start: datetime, end: datetime, step_s: int = BIN_S) -> list[Bin]:
        """Counts per `step_s` (a multiple of 300) over [start, end) from roll-ups; empty bins are left out.
        key None: all
        texts. A five-minute bin that lies in [start, end) in part counts whole."""

    def top_keys(self, kind: str, start: datetime, end: datetime, limit: int = 50) -> list[KeyCount]:
        """The keys of a kind ("entity", "topic", "watch", …) with the most negatives in [start, end)."""

    def scan(self, start: datetime | None = None) -> Iterator[Opinion]:
        """Every opinion (published from `start` on), sorted by id."""

    def stats(self) -> Mapping[str, int | float | None]:
        """{"opinions", "stories": numbers, "newest_published_at", "newest_indexed_at": epoch seconds or None}."""

    def close(self) -> None:
        """Release what is held."""
