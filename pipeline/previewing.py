"""What a rule would have sent on the stored history, with the stories, and which entities it cannot judge alone."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.detect.detector import Detector
from pipeline.detect.lens import Sectors
from pipeline.detect.rules import Rule
from pipeline.errors import WindvaneError
from pipeline.keys import entity_key
from pipeline.naming import Names
from pipeline.records import Alert, Opinion
from pipeline.store.base import OpinionStore

KNOWN_DAYS = 28  # of history before the days asked for: four half-lives of the baselines
MAX_THIN = 50
TAKEN = 500  # opinions in memory at a time


class TooMuch(WindvaneError):
    """More texts than the asker may have read."""


def preview(
    rule: Rule, store: OpinionStore, days: int, names: Names, sectors: Sectors, most: int | None = None
) -> dict[str, Any]:
    """{"rule", "kind", "from", "to", "texts", "alerts": [{"key", "name", "severity", "fired_at", "end", "sentence_en",
    "sentence_zh", "stories"}], "per_week", "thin": [{"key", "name", "judged_with"}], "notes": [sentence]}.

    The days end with the newest stored text; the detector learns from up to 28 days before them. Reads the texts of
    all these days: raises TooMuch when they are more than `most`.
    """
    newest = store.stats()["newest_published_at"]
    if newest is None:
        nothing: dict[str, Any] = {"from": None, "to": None, "texts": 0, "alerts": [], "per_week": 0.0, "thin": []}
        return {"rule": rule.id, "kind": rule.kind, **nothing, "notes": ["Nothing is stored yet."]}
    end = datetime.fromtimestamp(float(newest), UTC)
    start = end - timedelta(days=days)
    known = start - timedelta(days=KNOWN_DAYS)
    if most is not None:
        stored = sum(b.total for b in store.bins(None, known, end + timedelta(seconds=1), 86400))
        if stored > most:
            raise TooMuch(
                f"expected at most {most:,} texts to look at, found about {stored:,} in {days} days and the "
                f"{KNOWN_DAYS} before them. Ask for fewer days, or run: windvane rules preview {rule.id} --days {days}"
            )
    order = sorted((o.published_at, o.opinion_id) for o in store.scan(known))
    detector = Detector([rule], names=names, sectors=sectors)
    alerts: list[Alert] = []
    entities: set[str] = set()
    for opinions in _in_time(store, [id_ for _, id_ in order]):
        alerts += detector.observe(opinions)
        entities.update(m.entity for o in opinions for m in o.entities)
    alerts += detector.advance(end + timedelta(seconds=2 * detector.config.lateness_s))
    notes = []
    if (first := order[0][0]) > start - timedelta(hours=detector.config.warmup_h):
        notes.append(f"The history begins on {first:%Y-%m-%d}: a rule that compares is silent in its first two days.")
    thin = _thin(detector, rule, entities, names)
    if any(t["judged_with"] is None for t in thin):
        notes.append(
            "Some entities have too little volume to be judged alone (about two negatives a day). Add a rule with "
            "scope.kinds: [sector] to judge them with their sector."
        )
    sent = _sent(alerts, start, names)
    return {
        "rule": rule.id, "kind": rule.kind, "from": start, "to": end,
        "texts": sum(at >= start for at, _ in order), "alerts": sent,
        "per_week": round(len(sent) * 7 / days, 2), "thin": thin, "notes": notes,
    }  # fmt: skip


def _in_time(store: OpinionStore, ids: Sequence[str]) -> Iterator[list[Opinion]]:
    """The opinions in the order of `ids`, a few at a time: all of them at once would take up to 10 KB each."""
    for at in range(0, len(ids), TAKEN):
        yield store.get(ids[at : at + TAKEN])


def _thin(detector: Detector, rule: Rule, entities: set[str], names: Names) -> list[dict[str, Any]]:
    """The entities in the rule's scope that are too thin for it; only kinds that test negatives against the usual."""
    if rule.defaults.counted != "negatives" or not rule.defaults.tests:
        return []
    by_sector = "sector" in rule.scope.kinds
    found = []
    for entity in sorted(entities):
        key = entity_key(entity)
        if not detector.thin(entity) or not (by_sector or rule.scope.holds(key)):
            continue
        found.append({"key": key, "name": names(key, "en"), "judged_with": detector.judged_with(entity)})
    return found[:MAX_THIN]


def _sent(alerts: Sequence[Alert], start: datetime, names: Names) -> list[dict[str, Any]]:
    """Each episode that fired from `start` on."""
    ends = {a.alert_id: a.end for a in alerts if a.end is not None}
    return [
        {
            "key": a.key, "name": names(a.key, "en"), "severity": a.severity, "fired_at": a.fired_at,
            "end": ends.get(a.alert_id), "sentence_en": a.evidence.sentence_en,
            "sentence_zh": a.evidence.sentence_zh,
            "stories": [{"title": s.title, "source": s.source, "url": s.url} for s in a.evidence.top_stories],
        }
        for a in alerts if a.event == "fired" and a.fired_at >= start
    ]  # fmt: skip
