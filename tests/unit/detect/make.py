"""Opinions and small streams for the detector's tests."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from pipeline.detect.detector import Detector
from pipeline.records import Alert, Opinion, ScoredMention, Sentiment, SentimentLabel

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
FEELING: dict[SentimentLabel, Sentiment] = {
    "negative": Sentiment(label="negative", negative=0.9, neutral=0.07, positive=0.03),
    "neutral": Sentiment(label="neutral", negative=0.1, neutral=0.8, positive=0.1),
    "positive": Sentiment(label="positive", negative=0.05, neutral=0.15, positive=0.8),
}


def opinion(
    n: int | str,
    at: datetime,
    label: SentimentLabel = "neutral",
    *,
    entity: str = "ACME.US",
    voice: str | None = None,
    story: str | None = None,
    unsure: bool = False,
    source: str = "forum",
    text: str | None = None,
) -> Opinion:
    """A text about one entity; its own story and voice unless given."""
    feeling = FEELING[label]
    return Opinion(
        post_id=f"p{n}", source=source, author=voice or f"voice {n}", language="en", published_at=at, fetched_at=at,
        text=text or f"a text of more than forty columns, so that a copy is a copy, number {n}",
        story_id=story or f"s{n}",
        entities=(ScoredMention(entity=entity, text="ACME", start=0, end=4, sentiment=feeling, basis="text"),),
        sentiment=feeling, unsure=unsure, model_version="m1", scored_at=at,
    )  # fmt: skip


def quiet(
    days: int,
    *,
    start: datetime = MONDAY,
    per_hour: int = 2,
    share: float = 0.15,
    seed: int = 1,
    entity: str = "ACME.US",
) -> Iterator[Opinion]:
    """An even stream: `per_hour` texts an hour, `share` of them negative."""
    rng = Random(seed)
    for i in range(days * 24 * per_hour):
        at = start + timedelta(hours=i / per_hour, seconds=rng.randrange(600))
        label: SentimentLabel = "negative" if rng.random() < share else "neutral"
        yield opinion(f"q{seed}-{entity}-{i}", at, label, entity=entity, voice=f"v{rng.randrange(50)}")


def burst(
    n: int,
    at: datetime,
    label: SentimentLabel = "negative",
    *,
    minutes: int = 60,
    entity: str = "ACME.US",
    tag: str = "b",
) -> list[Opinion]:
    """`n` texts of that label within `minutes`, each a story and a voice of its own."""
    step = timedelta(minutes=minutes) / n
    return [opinion(f"{tag}-{entity}-{i}", at + i * step, label, entity=entity) for i in range(n)]


def in_time(*streams: Sequence[Opinion] | Iterator[Opinion]) -> list[Opinion]:
    return sorted((o for s in streams for o in s), key=lambda o: (o.published_at, o.post_id))


def alerts_of(opinions: Sequence[Opinion], detector: Detector | None = None, batch: int = 64) -> list[Alert]:
    """Every alert, the detector's clock moved to just after the last text at the end."""
    detector = detector or Detector()
    alerts: list[Alert] = []
    for i in range(0, len(opinions), batch):
        alerts += detector.observe(opinions[i : i + batch])
    if opinions:
        alerts += detector.advance(max(o.published_at for o in opinions) + timedelta(minutes=10))
    return alerts


def told(alerts: Sequence[Alert], key: str = "entity:ACME.US") -> list[str]:
    return [a.event for a in alerts if a.key == key]
