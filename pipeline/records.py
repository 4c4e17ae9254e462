"""The nouns of Windvane: what travels on each topic. Frozen, typed, versioned; JSON on the wire.

Four clocks, all UTC with microseconds: `published_at` (event time; charts and windows use it), `fetched_at`,
`scored_at`, `indexed_at`. Ids are deterministic, so a replay overwrites and never adds. A reader accepts schema
version n and n-1; fields may be added with a default, never removed or re-typed within a version.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

SCHEMA_VERSION = 1

Language = Literal["zh", "en", "other"]
SentimentLabel = Literal["negative", "neutral", "positive"]
SENTIMENTS: tuple[SentimentLabel, ...] = ("negative", "neutral", "positive")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of everything on a topic."""

    schema_version: int = SCHEMA_VERSION


class Raw(Record, frozen=True, kw_only=True):
    """One text as a source gave it (topic `raw`). Nothing is cleaned or judged yet."""

    source: str  # the outlet or channel, e.g. "Reuters"
    text: str
    fetched_at: datetime
    native_id: str | None = None
    url: str | None = None
    title: str | None = None
    author: str | None = None
    published: str | None = None  # as given; prepare parses it, None means "when fetched"
    attributes: dict[str, str] = {}  # every other field of the source's record, e.g. {"ticker": "AAPL"}


class Mention(msgspec.Struct, frozen=True, kw_only=True):
    """An entity named in a text. `start`/`end` are code points into `document(post)`, end exclusive."""

    entity: str
    text: str
    start: int
    end: int


class Post(Record, frozen=True, kw_only=True):
    """A cleaned text with its story and its entities (topic `posts`)."""

    post_id: str
    source: str
    text: str
    language: Language
    published_at: datetime
    fetched_at: datetime
    story_id: str  # the post_id of the first near-identical text seen
    title: str | None = None
    author: str | None = None
    url: str | None = None
    time_clamped: bool = False  # published more than 5 minutes ahead of the fetch: set back to the fetch
    entities: tuple[Mention, ...] = ()
    watches: tuple[str, ...] = ()  # ids of the users' own watches that matched
    attributes: dict[str, str] = {}

    @property
    def voice(self) -> str:
        """Who speaks: the author where the source has many, else the source. Alerts count distinct voices."""
        return f"{self.source}/{self.author}" if self.author else self.source


class Sentiment(msgspec.Struct, frozen=True, kw_only=True):
    """Calibrated probabilities that sum to 1, and the most likely label."""

    label: SentimentLabel
    negative: float
    neutral: float
    positive: float


class TopicScore(msgspec.Struct, frozen=True, kw_only=True):
    """A topic that holds, with its calibrated probability."""

    label: str
    p: float


class ScoredMention(Mention, frozen=True, kw_only=True):
    """A mention with the feeling towards that entity; basis "text" means it fell back to the text's sentiment."""

    sentiment: Sentiment
    basis: Literal["mention", "text"]


class Opinion(Post, frozen=True, kw_only=True):
    """A scored text (topic `opinions`). `opinion_id` is `post_id`. `indexed_at` is set by the store."""

    sentiment: Sentiment
    unsure: bool  # below the confidence floor: never counts as negative in a spike
    model_version: str
    scored_at: datetime
    topics: tuple[TopicScore, ...] = ()
    entities: tuple[ScoredMention, ...] = ()  # type: ignore[assignment]
    indexed_at: datetime | None = None

    @property
    def opinion_id(self) -> str:
        return self.post_id


AlertEventKind = Literal["fired", "worse", "resolved", "corrected"]
Severity = Literal["S1", "S2", "S3"]  # S1 is the most severe


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """One story behind an alert: its first text and how far it spread."""

    story_id: str
    title: str
    source: str
    url: str | None
    published_at: datetime
    copies: int


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Why an alert fired. Counts are distinct stories per voice inside the window; `spread` counts every copy.
    `expected`, the band, `ratio` and `sources` are of what is `counted`: negatives, or all texts."""

    window_s: int
    negatives: int  # K
    total: int  # N
    expected: float  # M, usual in such a window
    usual_low: int  # 95 % band of what is usual
    usual_high: int
    ratio: float  # K / M; of texts N / M
    share: float  # K / N
    usual_share: float
    score_count: float  # -log10 p of the count test; 0 where it is not among `tests`
    score_share: float  # -log10 p of the share test; 0 where it is not among `tests`
    rise_began_at: datetime
    sources: int  # distinct voices
    spread: int
    top_stories: tuple[Story, ...]
    top_sources: tuple[str, ...]
    model_version: str
    sentence_en: str
    sentence_zh: str
    kind: str = "negative_spike"  # of the rule
    counted: Literal["negatives", "texts"] = "negatives"
    tests: tuple[Literal["count", "share"], ...] = ("count", "share")  # those that decided; none: message, static


class Alert(Record, frozen=True, kw_only=True):
    """One event in the life of an episode (topic `alerts`). `alert_id` names the episode; `seq` counts its events."""

    alert_id: str
    seq: int
    event: AlertEventKind
    rule: str  # rule id, e.g. "negative_spike"
    rule_version: int
    key: str  # see keys.py
    severity: Severity
    start: datetime  # first bin of the rise
    fired_at: datetime  # event time at which the rule fired
    at: datetime  # event time of this event
    end: datetime | None = None  # set when resolved
    evidence: Evidence


class Feedback(Record, frozen=True, kw_only=True):
    """One label given by a person (topic `feedback`); append-only."""

    feedback_id: str
    opinion_id: str
    task: Literal["sentiment", "topic", "entity_sentiment", "alert_useful"]
    value: str
    by: str
    at: datetime
    shown: str | None = None  # the prediction that was on the screen, None when blind
    model_version: str | None = None
    supersedes: str | None = None


class Control(Record, frozen=True, kw_only=True):
    """A command to running workers (topic `control`), e.g. a new current model."""

    command: Literal["model", "rules", "watches"]
    value: str
    at: datetime


class Rejected(Record, frozen=True, kw_only=True):
    """A dead letter (topic `<topic>.dlq`): what could not be processed, where it came from and why."""

    stage: str
    topic: str
    reason: str
    payload: str  # the original message as text; bytes that are not UTF-8 as "base64:..."
    rejected_at: datetime
    partition: int | None = None
    offset: int | None = None
    key: str | None = None
    origin: str | None = None  # file and line, or feed address, when it never reached a topic


RECORD_OF_TOPIC: Mapping[str, type[Record]] = {
    "raw": Raw, "posts": Post, "opinions": Opinion, "alerts": Alert, "feedback": Feedback, "control": Control,
    "prepared": Post, "timeline": Opinion,
}  # fmt: skip

_encoder = msgspec.json.Encoder()


def encode(record: Record) -> bytes:
    """The record as JSON bytes."""
    return _encoder.encode(record)


class DecodeError(Exception):
    """The bytes are no such record; the message names the field."""


class Decoder:
    """Bytes to one kind of record; raises DecodeError. Typed decoders are built once per topic."""

    def __init__(self, kind: type[Record]) -> None:
        self._kind = kind
        self._decoder = msgspec.json.Decoder(kind)

    def __call__(self, value: bytes) -> Any:
        try:
            record = self._decoder.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError) as e:  # ValidationError is a DecodeError
            raise DecodeError(f"not a {self._kind.__name__}: {e}") from e
        if not SCHEMA_VERSION - 1 <= record.schema_version <= SCHEMA_VERSION:
            raise DecodeError(
                f"{self._kind.__name__} has schema_version {record.schema_version}; this Windvane reads "
                f"{SCHEMA_VERSION - 1} and {SCHEMA_VERSION}. Upgrade the older side first."
            )
        return record


def document(post: Post) -> str:
    """The text that is linked, classified and searched: the title, then the body when it does not repeat the title."""
    if not post.title or post.text.startswith(post.title):
        return post.text
    return f"{post.title}\n{post.text}" if post.text else post.title


def stable_id(*parts: str) -> str:
    """A 128-bit hex id of the parts; equal parts give equal ids on every machine and in every run."""
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def json_schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema per topic, as checked in under docs/schemas/. `prepared` and `timeline` are posts and opinions."""
    kinds: dict[str, type[Record]] = {**RECORD_OF_TOPIC, "dlq": Rejected}
    del kinds["prepared"], kinds["timeline"]
    return {topic: msgspec.json.schema(kind) for topic, kind in kinds.items()}
