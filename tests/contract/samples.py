"""Records for contract tests: everything has a default, a test names what it is about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.records import Alert, Evidence, Opinion, ScoredMention, Sentiment, SentimentLabel, TopicScore

NOON = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)  # the start of a five-minute bin


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def feeling(label: SentimentLabel = "neutral") -> Sentiment:
    p = {"negative": 0.1, "neutral": 0.1, "positive": 0.1, label: 0.8}
    return Sentiment(label=label, **p)


def mention(entity: str, label: SentimentLabel = "neutral", text: str = "x") -> ScoredMention:
    return ScoredMention(entity=entity, text=text, start=0, end=len(text), sentiment=feeling(label), basis="mention")


def opinion(id_: str = "a", text: str = "text", label: SentimentLabel = "neutral", **more: Any) -> Opinion:
    at = more.pop("at", NOON)
    topics = tuple(TopicScore(label=t, p=0.9) for t in more.pop("topics", ()))
    values: dict[str, Any] = {
        "source": "wire", "language": "en", "published_at": at, "fetched_at": at, "scored_at": at,
        "story_id": id_, "unsure": False, "model_version": "m1", "topics": topics, **more,
    }  # fmt: skip
    return Opinion(post_id=id_, text=text, sentiment=feeling(label), **values)


def alert(id_: str = "episode", seq: int = 1, event: str = "fired", **more: Any) -> Alert:
    at = more.pop("at", after(60 * seq))
    evidence = Evidence(
        window_s=3600, negatives=9, total=12, expected=1.0, usual_low=0, usual_high=3, ratio=9.0, share=0.75,
        usual_share=0.2, score_count=6.0, score_share=5.0, rise_began_at=NOON, sources=4, spread=20, top_stories=(),
        top_sources=(), model_version="m1", sentence_en=f"event {seq}", sentence_zh="",
    )  # fmt: skip
    values: dict[str, Any] = {
        "rule": "negative_spike", "rule_version": 1, "key": "entity:AAPL.US", "severity": "S2", "start": NOON,
        "fired_at": NOON, "at": at, "end": at if event == "resolved" else None, "evidence": evidence, **more,
    }  # fmt: skip
    return Alert(alert_id=id_, seq=seq, event=event, **values)
