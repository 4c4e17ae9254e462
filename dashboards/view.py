"""Records as the JSON that pages and programs read. Nothing here touches a store; times are ISO 8601, UTC, with a Z."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

from pipeline.control.base import Episode, Watch
from pipeline.keys import keys_of, split_key
from pipeline.records import Alert, Evidence, Opinion, Sentiment, Story
from pipeline.store.base import Filters

ALL = "all"  # the pseudo-key of every text together
Json = dict[str, Any]


class Named(Protocol):
    """What the page needs to know of an entity (pipeline.prepare.entities.EntityName has it)."""

    @property
    def tickers(self) -> Sequence[str]: ...
    @property
    def name_en(self) -> str: ...
    @property
    def name_zh(self) -> str: ...


class Names:
    """Keys to names in both languages. Unknown ids name themselves, so nothing is ever blank."""

    def __init__(
        self,
        entities: Mapping[str, Any],
        topics: Mapping[str, tuple[str, str]],
        watches: Callable[[], Sequence[Watch]],
    ) -> None:
        self.entities = entities
        self.topics = topics
        self.watches = watches

    def entity(self, entity: str) -> Json:
        found: Named | None = self.entities.get(entity)
        if found is None:
            return {"en": entity, "zh": entity, "tickers": []}
        en, zh = found.name_en or found.name_zh or entity, found.name_zh or found.name_en or entity
        return {"en": en, "zh": zh, "tickers": list(found.tickers)}

    def topic(self, label: str) -> Json:
        en, zh = self.topics.get(label, (label, label))
        return {"en": en, "zh": zh, "tickers": []}

    def key(self, key: str) -> Json:
        """{"en", "zh", "tickers", "kind"} of any key, of "all" too; of entity × topic also "topic", its names alone."""
        kind, value = split_key(key)
        match kind:
            case "entity":
                names = self.entity(value)
            case "topic":
                names = self.topic(value)
            case "entity_topic":
                entity, _, topic = value.partition("|")
                e, t = self.entity(entity), self.topic(topic)
                names = {
                    "en": f"{e['en']} · {t['en']}",
                    "zh": f"{e['zh']} · {t['zh']}",
                    "tickers": e["tickers"],
                    "topic": {"en": t["en"], "zh": t["zh"]},
                }
            case "watch":
                name = next((w.name for w in self.watches() if w.id == value), value)
                names = {"en": name, "zh": name, "tickers": []}
            case "all":
                names = {"en": "All texts", "zh": "全部文本", "tickers": []}
            case _:
                names = {"en": key, "zh": key, "tickers": []}
        return {**names, "kind": kind}


def filters_of(key: str) -> Filters:
    """The search filters that hold for exactly the texts of a key."""
    kind, value = split_key(key)
    match kind:
        case "entity":
            return Filters(entity=value)
        case "topic":
            return Filters(topic=value)
        case "entity_topic":
            entity, _, topic = value.partition("|")
            return Filters(entity=entity, topic=topic)
        case "watch":
            return Filters(watch=value)
        case _:
            return Filters()


def iso(at: datetime) -> str:
    """2026-11-22T08:14:00.123Z"""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_or_none(at: datetime | None) -> str | None:
    return None if at is None else iso(at)


def from_epoch(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def safe_url(url: str | None) -> str | None:
    """The address if a browser may be sent there (http or https), else None."""
    if url is None:
        return None
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None
    return url.strip() if parts.scheme in ("http", "https") and parts.netloc else None


def sentiment_view(s: Sentiment) -> Json:
    return {"label": s.label, "negative": s.negative, "neutral": s.neutral, "positive": s.positive}


def opinion_view(opinion: Opinion, names: Names, key: str | None = None) -> Json:
    """One text. `feeling` is what counts under `key`: towards the entity where one is asked for, else the text's."""
    feeling = opinion.sentiment
    if key is not None:
        feeling = next((f.sentiment for f in keys_of(opinion) if f.key == key), feeling)
    return {
        "id": opinion.opinion_id,
        "story_id": opinion.story_id,
        "published_at": iso(opinion.published_at),
        "fetched_at": iso(opinion.fetched_at),
        "scored_at": iso(opinion.scored_at),
        "indexed_at": iso_or_none(opinion.indexed_at),
        "source": opinion.source,
        "author": opinion.author,
        "title": opinion.title,
        "text": opinion.text,
        "url": safe_url(opinion.url),
        "language": opinion.language,
        "feeling": feeling.label,
        "sentiment": sentiment_view(opinion.sentiment),
        "unsure": opinion.unsure,
        "topics": [{"label": t.label, "p": t.p, "names": names.topic(t.label)} for t in opinion.topics],
        "entities": [
            {
                "entity": m.entity,
                "key": f"entity:{m.entity}",
                "text": m.text,
                "start": m.start,
                "end": m.end,
                "sentiment": sentiment_view(m.sentiment),
                "basis": m.basis,
                "names": names.entity(m.entity),
            }
            for m in opinion.entities
        ],
        "watches": list(opinion.watches),
        "model_version": opinion.model_version,
        "time_clamped": opinion.time_clamped,
    }


def story_view(story: Story) -> Json:
    return {
        "story_id": story.story_id,
        "title": story.title,
        "source": story.source,
        "url": safe_url(story.url),
        "published_at": iso(story.published_at),
        "copies": story.copies,
    }


def evidence_view(e: Evidence) -> Json:
    """The evidence as numbers; the sentences stand beside it in the alert."""
    return {
        "window_s": e.window_s,
        "negatives": e.negatives,
        "total": e.total,
        "expected": e.expected,
        "usual_low": e.usual_low,
        "usual_high": e.usual_high,
        "ratio": e.ratio,
        "share": e.share,
        "usual_share": e.usual_share,
        "score_count": e.score_count,
        "score_share": e.score_share,
        "rise_began_at": iso(e.rise_began_at),
        "sources": e.sources,
        "spread": e.spread,
        "top_stories": [story_view(s) for s in e.top_stories],
        "top_sources": list(e.top_sources),
        "model_version": e.model_version,
    }


def alert_view(alert: Alert, names: Names) -> Json:
    """One event of an episode."""
    return {
        "alert_id": alert.alert_id,
        "seq": alert.seq,
        "event": alert.event,
        "key": alert.key,
        "names": names.key(alert.key),
        "severity": alert.severity,
        "rule": alert.rule,
        "rule_version": alert.rule_version,
        "start": iso(alert.start),
        "fired_at": iso(alert.fired_at),
        "at": iso(alert.at),
        "end": iso_or_none(alert.end),
        "evidence": evidence_view(alert.evidence),
        "sentence": {"en": alert.evidence.sentence_en, "zh": alert.evidence.sentence_zh},
    }


def surprise(alert: Alert) -> float:
    """How improbable the weaker of its two tests finds it: what open alerts are ranked by."""
    return min(alert.evidence.score_count, alert.evidence.score_share)


def episode_view(episode: Episode, names: Names) -> Json:
    """An alert as people see it: its newest event, how it stands, what people did with it."""
    return {
        **alert_view(episode.alert, names),
        "status": episode.status,
        "surprise": round(surprise(episode.alert), 3),
        "acked_by": episode.acked_by,
        "acked_at": iso_or_none(episode.acked_at),
        "snoozed_until": iso_or_none(episode.snoozed_until),
        "snoozed_by": episode.snoozed_by,
        "assigned_to": episode.assigned_to,
        "assigned_at": iso_or_none(episode.assigned_at),
        "resolved_by": episode.resolved_by,
        "resolved_at": iso_or_none(episode.resolved_at),
        "resolve_reason": episode.resolve_reason,
        "useful": episode.useful,
    }
