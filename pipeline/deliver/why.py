"""Who got what of an alert, and why: for every subscription whether it fits and what became of each message."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pipeline.control.base import ControlStore, Delivery, Episode, Subscription
from pipeline.control.matching import Tiers, mismatches
from pipeline.control.tiers import tiers_of
from pipeline.deliver.recheck import OPEN
from pipeline.errors import WindvaneError
from pipeline.records import Alert


class NoSuchAlert(WindvaneError):
    """There is neither an alert nor a delivery of that id."""


RECENT = 10_000  # short ids are looked for in so many of the newest alerts


def explain_delivery(control: ControlStore, asked: str, now: datetime) -> dict[str, Any]:
    """What is known of an alert (its id, or the beginning of it that messages show) or of the alert of a delivery id:

    {"alert_id", "delivery_id" (as asked, or null), "key", "rule", "severity", "status", "people": {what people did},
    "snoozes": [of its key or rule], "events": [{"seq", "event", "at", "severity"}],
    "subscriptions": [{"id", "owner", "name", "channel", "active", "events": [{"seq", "event", "fits",
    "mismatches" (in words), "fields": [{"field", "wanted", "found"}] (the same for programs), "deliveries": [row],
    "note"}]}]}. Raises NoSuchAlert when there is neither, WindvaneError when several begin with a short id.
    """
    row = control.delivery(asked)
    episode = _episode(control, row.alert_id if row is not None else asked)
    if episode is None:
        raise NoSuchAlert(f"expected the id of an alert or a delivery, found {asked!r}, which is neither.")
    alert = episode.alert
    events = control.alert_events(alert.alert_id)
    rows = control.deliveries(alert.alert_id)
    subscriptions, tiers = control.subscriptions(), tiers_of(control)
    gone = sorted({d.subscription_id for d in rows} - {s.id for s in subscriptions})
    return {
        "alert_id": alert.alert_id,
        "delivery_id": row.id if row is not None else None,
        "key": alert.key,
        "rule": alert.rule,
        "severity": alert.severity,
        "status": episode.status,
        "people": _people(episode),
        "snoozes": [s._asdict() for s in control.snoozes(now) if s.subject in (alert.key, alert.rule)],
        "events": [{"seq": e.seq, "event": e.event, "at": e.at, "severity": e.severity} for e in events],
        "subscriptions": [
            *(_subscription(s, events, [d for d in rows if d.subscription_id == s.id], tiers) for s in subscriptions),
            *(_gone(id_, [d for d in rows if d.subscription_id == id_]) for id_ in gone),
        ],
    }


def in_words(found: Mapping[str, Any]) -> Iterator[str]:
    """The same, as lines for a person."""
    yield f"Alert {found['alert_id']}: {found['key']}, {found['rule']}, {found['severity']}, {found['status']}."
    for did, what in found["people"].items():
        yield f"  {did}: {what}"
    for s in found["snoozes"]:
        yield f"  {s['scope']} {s['subject']} is snoozed by {s['by']} until {s['until'].isoformat(timespec='seconds')}"
    for s in found["subscriptions"]:
        whose = f" of {s['owner']}" if s["owner"] else ""
        yield f"{s['id']} ({s['channel']}){whose}{'' if s['active'] else ', off'}"
        for event in s["events"]:
            fits = "fits" if event["fits"] else "; ".join(event["mismatches"])
            yield f"  {event['event']} ({event['seq']}): {fits}{'. ' + event['note'] if event['note'] else ''}"
            for d in event["deliveries"]:
                mark = "→ " if d["id"] == found["delivery_id"] else ""
                yield f"    {mark}{_row_words(d)}"


def delivery_view(d: Delivery) -> dict[str, Any]:
    """A row as it is shown: what is empty is left out, but for its state."""
    kept = {field: value for field, value in d._asdict().items() if value not in (None, "", False, 0)}
    if d.state not in OPEN:
        kept.pop("next_at", None)
    return {"state": d.state, "attempts": d.attempts, **kept}


def _row_words(d: Mapping[str, Any]) -> str:
    kind = "escalation, " if d["kind"] == "escalation" else ""
    words = f"{d['id']}: {kind}{d['state']}, {d['attempts']} tries"
    if "next_at" in d:
        words += f", due {d['next_at'].isoformat(timespec='seconds')}"
    if "ended_at" in d:
        words += f", {d['ended_at'].isoformat(timespec='seconds')}"
    if d.get("reason"):
        words += f". {d['reason']}"
    if d.get("answer") and d["answer"] != d.get("reason"):
        words += f" Last answer: {d['answer']}"
    if d.get("escalation"):
        words += f" {d['escalation']}"
    elif d.get("escalate_at"):
        words += f" Escalates at {d['escalate_at'].isoformat(timespec='seconds')} unless acknowledged."
    return words


def _subscription(s: Subscription, events: Sequence[Alert], rows: Sequence[Delivery], tiers: Tiers) -> dict[str, Any]:
    told = []
    for event in events:
        against = list(mismatches(s, event, tiers))
        mine = [d for d in rows if d.seq == event.seq]
        note = ""
        if not against and not mine:
            note = "It has no row: the subscription was made or changed after this was recorded."
        elif against and any(d.kind == "event" for d in mine):
            note = "It fitted when this was recorded; the subscription was changed since."
        told.append(
            {
                "seq": event.seq,
                "event": event.event,
                "fits": not against,
                "mismatches": [str(m) for m in against],
                "fields": [m._asdict() for m in against],
                "deliveries": [delivery_view(d) for d in mine],
                "note": note,
            }
        )
    return {"id": s.id, "owner": s.owner, "name": s.name, "channel": s.channel, "active": s.active, "events": told}


def _gone(id_: str, rows: Sequence[Delivery]) -> dict[str, Any]:
    told = [
        {
            "seq": d.seq, "event": d.kind, "fits": False, "mismatches": ["the subscription was removed"],
            "fields": [], "deliveries": [delivery_view(d)], "note": "",
        }
        for d in rows
    ]  # fmt: skip
    return {"id": id_, "owner": "", "name": "", "channel": rows[0].channel, "active": False, "events": told}


def _people(episode: Episode) -> dict[str, str]:
    def said(who: str | None, at: datetime | None, more: str = "") -> str:
        when = f", {at.isoformat(timespec='seconds')}" if at else ""
        return f"{who or 'somebody'}{when}{more}"

    found = {}
    if episode.acked_at:
        found["acknowledged"] = said(episode.acked_by, episode.acked_at)
    if episode.assigned_to:
        found["assigned"] = said(episode.assigned_to, episode.assigned_at)
    if episode.snoozed_until:
        found["snoozed"] = said(
            episode.snoozed_by, None, f", until {episode.snoozed_until.isoformat(timespec='seconds')}"
        )
    if episode.resolved_by:
        found["resolved"] = said(
            episode.resolved_by, episode.resolved_at, f": {episode.resolve_reason or 'no reason given'}"
        )
    return found


def _episode(control: ControlStore, asked: str) -> Episode | None:
    """By its id, or by the beginning of it when only one begins so."""
    if (found := control.episode(asked)) is not None or len(asked) < 6:
        return found
    begin = [e for e in control.episodes(limit=RECENT) if e.alert.alert_id.startswith(asked)]
    if len(begin) > 1:
        ids = ", ".join(e.alert.alert_id for e in begin[:5])
        raise WindvaneError(f"expected the id of one alert, found {asked!r}, with which {len(begin)} begin: {ids}.")
    return begin[0] if begin else None
