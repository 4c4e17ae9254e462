"""The desk: alerts, texts, stories, names and how things stand, read from the stores. Sync, thread-safe, no state."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from dashboards.deps import WebDeps
from dashboards.related import fold, related
from dashboards.view import (
    ALL,
    Json,
    Names,
    episode_view,
    filters_of,
    from_epoch,
    iso,
    opinion_view,
)
from pipeline.control.base import EpisodeStatus
from pipeline.records import Opinion
from pipeline.store.base import Search

STORY_TEXTS = 300  # stories are folded from so many of the newest texts


class Desk:
    """See each verb. Times are aware datetimes in, ISO strings out."""

    def __init__(self, deps: WebDeps) -> None:
        self.deps = deps
        self.names = Names(deps.names, deps.topics, deps.control.watches)

    # -- now ---------------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Event-time now: the newest text's time when history is replayed, else the clock."""
        newest = self.deps.store.stats().get("newest_published_at")
        live = self.deps.status().get("mode", "live") == "live"
        return self.deps.clock() if live or newest is None else from_epoch(newest)

    def status(self) -> Json:
        """How the whole thing stands; see docs/api.md."""
        backlog = self.deps.control.backlog(self.deps.clock())
        return self._status(self.deps.status(), self.deps.store.stats(), self._alert_counts(), backlog)

    def unknown_status(self) -> Json:
        """The same fields where the stores do not answer."""
        return self._status({}, {}, {"open": 0, "total": 0}, {"oldest_due_s": 0.0, "dead": 0})

    def _status(
        self,
        runner: Mapping[str, Any],
        stats: Mapping[str, float | None],
        alerts: Json,
        deliveries: Mapping[str, float],
    ) -> Json:
        clock = self.deps.clock()
        live = runner.get("mode", "live") == "live"
        published, indexed = stats.get("newest_published_at"), stats.get("newest_indexed_at")
        newest = published if live else indexed
        age = None if newest is None else max(0.0, round(clock.timestamp() - newest, 1))
        return {
            **runner,
            "mode": runner.get("mode", "live"),
            "now": iso(clock if live or published is None else from_epoch(published)),
            "clock": iso(clock),
            "opinions": int(stats.get("opinions") or 0),
            "stories": int(stats.get("stories") or 0),
            "newest_published_at": None if published is None else iso(from_epoch(published)),
            "newest_indexed_at": None if indexed is None else iso(from_epoch(indexed)),
            "newest_age_s": age,
            "stale": live and age is not None and age > self.deps.stale_after_s,
            "lag": dict(runner.get("lag", {})),
            "dead_letters": int(runner.get("dead_letters", 0)),
            "silent_sources": list(runner.get("silent_sources", [])),
            "model": runner.get("model"),
            "rules_held_until": runner.get("rules_held_until"),
            "alerts": alerts,
            "deliveries": dict(deliveries),
        }

    def _alert_counts(self) -> Json:
        episodes = self.deps.control.episodes(limit=1000)
        return {"open": sum(e.status != "resolved" for e in episodes), "total": len(episodes)}

    # -- alerts ------------------------------------------------------------------------------------------------------

    def alerts(self, status: EpisodeStatus | None = None, key: str | None = None, limit: int = 100) -> list[Json]:
        """Newest fired first."""
        return [episode_view(e, self.names) for e in self.deps.control.episodes(status, key, limit)]

    def open_and_recent(self, recent: int = 8) -> tuple[list[Json], list[Json]]:
        """Open alerts, most surprising first, those put aside (acknowledged, snoozed) last; and the newest closed.
        Alerts about the same stories are folded, see related.py."""
        rows = self.alerts(limit=200)
        clock = iso(self.deps.clock())

        def rank(a: Json) -> tuple[bool, str, float]:
            aside = a["acked_at"] is not None or (a["snoozed_until"] or "") > clock
            return aside, a["severity"], -a["surprise"]

        opened = [{**a, "aside": rank(a)[0]} for a in rows if a["status"] != "resolved"]
        closed = fold([a for a in rows if a["status"] == "resolved"])
        return fold(sorted(opened, key=rank)), closed[:recent]

    def alert(self, alert_id: str) -> Json | None:
        """One alert with the events of its life."""
        episode = self.deps.control.episode(alert_id)
        if episode is None:
            return None
        events = self.deps.control.alert_events(alert_id)
        brief = [
            {
                "seq": e.seq,
                "event": e.event,
                "at": iso(e.at),
                "severity": e.severity,
                "negatives": e.evidence.negatives,
                "total": e.evidence.total,
            }
            for e in events
        ]
        alert = episode.alert
        quiet = [
            {"scope": s.scope, "subject": s.subject, "until": iso(s.until), "by": s.by, "reason": s.reason}
            for s in self.deps.control.snoozes(self.deps.clock())
            if s.subject == (alert.key if s.scope == "key" else alert.rule)
        ]
        return {**episode_view(episode, self.names), "events": brief, "snoozes": quiet}

    def related(self, alert: Json) -> list[Json]:
        """Other alerts about the same stories at the same time."""
        return [a for a in self.alerts(limit=200) if a["alert_id"] != alert["alert_id"] and related(alert, a)]

    # -- texts -------------------------------------------------------------------------------------------------------

    def search(self, search: Search, key: str | None = None) -> Json:
        """{"total", "capped", "items"}."""
        page = self.deps.store.search(search)
        return {
            "total": page.total,
            "capped": page.capped,
            "items": [opinion_view(o, self.names, key) for o in page.items],
        }

    def stories(self, key: str, start: datetime, end: datetime, limit: int = 12) -> list[Json]:
        """What to read: negative stories first, then the most copied; copies folded (the newest texts of the span)."""
        base = filters_of(key)._replace(start=start, end=end)
        found = self.deps.store.search(Search(filters=base._replace(sentiment="negative"), limit=STORY_TEXTS))
        stories = self._fold(found.items, key)
        if len(stories) < limit:
            seen = {row["story_id"] for row in stories}
            rest = self.deps.store.search(Search(filters=base, limit=STORY_TEXTS))
            stories += [row for row in self._fold(rest.items, key) if row["story_id"] not in seen]
        return stories[:limit]

    def _fold(self, items: Iterable[Opinion], key: str) -> list[Json]:
        by_story: dict[str, list[Opinion]] = {}
        for o in items:
            by_story.setdefault(o.story_id, []).append(o)
        rows = []
        for story_id, copies in by_story.items():
            first = min(copies, key=lambda o: (o.published_at, o.opinion_id))
            rows.append(
                {
                    **opinion_view(first, self.names, key),
                    "story_id": story_id,
                    "copies": len(copies),
                    "sources": len({o.voice for o in copies}),
                }
            )
        rank = {label: i for i, label in enumerate(("negative", "positive", "neutral"))}
        rows.sort(key=lambda r: r["published_at"], reverse=True)
        rows.sort(key=lambda r: (rank[r["feeling"]], -r["copies"]))
        return rows

    def explain(self, text_id: str, key: str = ALL) -> Json:
        """Why a text counts as it does under `key`: the words that moved the model. LookupError, as a sentence, where
        there is no such text or explanations are not offered."""
        if self.deps.explain is None:
            raise LookupError("This page was started without the model, so it cannot explain its answers.")
        found = self.deps.store.get([text_id])
        if not found:
            raise LookupError(f"There is no text {text_id}. /api/opinions lists those there are.")
        entity = filters_of(key).entity
        named = any(m.entity == entity for m in found[0].entities)
        return {"id": text_id, **self.deps.explain(found[0], entity if named else None)}

    # -- keys --------------------------------------------------------------------------------------------------------

    def keys(self, q: str, limit: int = 10) -> list[Json]:
        """Keys whose name or ticker has `q` in it: exact first, then those that begin with it. Empty: the loudest."""
        q = q.strip().casefold()
        if not q:
            now = self.now()
            top = self.deps.store.top_keys("entity", now - timedelta(days=7), now + timedelta(seconds=1), limit)
            return [{"key": c.key, "names": self.names.key(c.key)} for c in top]
        ranked = []
        for key, words in self._all_keys():
            best = min((_match(q, w.casefold()) for w in words if w), default=3)
            if best < 3:
                ranked.append((best, len(words[0]), key))
        return [{"key": key, "names": self.names.key(key)} for _, _, key in sorted(ranked)[:limit]]

    def _all_keys(self) -> Iterable[tuple[str, list[str]]]:
        for entity in self.names.entities:
            n = self.names.entity(entity)
            yield f"entity:{entity}", [n["en"], n["zh"], entity, *n["tickers"]]
        for label in self.names.topics:
            n = self.names.topic(label)
            yield f"topic:{label}", [n["en"], n["zh"], label]
        for w in self.deps.control.watches():
            yield f"watch:{w.id}", [w.name, w.id]


def _match(q: str, word: str) -> int:
    """0 equal, 1 begins with, 2 has in it, 3 not."""
    if word == q:
        return 0
    if word.startswith(q):
        return 1
    return 2 if q in word else 3
