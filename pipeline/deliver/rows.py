"""The delivery row of one alert event for one subscription, and why there is nothing to tell. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid5

from pipeline.control.base import Delivery, DeliveryKind, Episode, Snooze, Subscription, Why
from pipeline.deliver.plan import plan
from pipeline.records import Alert

NAMESPACE = UUID("0b9a1f0e-5f5c-5a58-9c1d-7e3a9d0c64b1")  # Windvane's own; changing it would send everything again
RISING = ("fired", "worse")


class Silence(NamedTuple):
    """Why people do not want to hear of something: a stored fact."""

    why: Why
    reason: str
    by: str = ""
    until: datetime | None = None


OFF = Silence("switched_off", "The subscription was switched off when this happened.")


def delivery(
    alert: Alert,
    subscription: Subscription,
    now: datetime,
    silence: Silence | None = None,
    kind: DeliveryKind = "event",
) -> Delivery:
    """The row; `silence` suppresses it from the start, else it is due when the subscription's plan says. What rises is
    escalated when nobody acknowledges it in time."""
    when = plan(subscription, alert.severity, now, sent_today=0)
    row = Delivery(
        id=delivery_id(alert, subscription, kind),
        alert_id=alert.alert_id,
        seq=alert.seq,
        subscription_id=subscription.id,
        channel=subscription.channel,
        state="pending",
        attempts=0,
        next_at=when.due,
        created_at=now,
        kind=kind,
    )
    if silence is not None:
        return row._replace(
            state="suppressed", next_at=now, why=silence.why, reason=silence.reason, by=silence.by, until=silence.until
        )
    if subscription.escalate_to and subscription.escalate_min and alert.event in RISING:
        row = row._replace(escalate_at=now + timedelta(minutes=subscription.escalate_min))
    if when.why:
        row = row._replace(why=when.why, until=when.due, digest=when.digest, reason=held_words(when.why, when.due))
    return row


def delivery_id(alert: Alert, subscription: Subscription, kind: DeliveryKind = "event") -> str:
    """The same for the same event, subscription and channel, always: receivers drop duplicates by it."""
    name = f"{alert.alert_id}:{alert.seq}|{subscription.id}|{subscription.channel}"
    return str(uuid5(NAMESPACE, name if kind == "event" else f"{name}|{kind}"))


def silence_of(alert: Alert, episode: Episode | None, snoozes: Sequence[Snooze], now: datetime) -> Silence | None:
    """The snooze of the alert, its key or its rule that lasts."""
    if episode is not None and episode.snoozed_until is not None and episode.snoozed_until > now:
        return _snoozed("", episode.snoozed_by or "", episode.snoozed_until)
    for s in snoozes:
        if s.until > now and s.subject == (alert.key if s.scope == "key" else alert.rule):
            return _snoozed(f"{s.scope} {s.subject} ", s.by, s.until, s.reason)
    return None


def held_words(why: Why, due: datetime) -> str:
    """What a row waits for."""
    words = {
        "quiet_hours": "Quiet hours: due at their end, {at}.",
        "digest": "Goes into the digest of {at}.",
        "daily_cap": "The day's cap is reached: goes into the digest of {at}.",
        "rate_limit": "The channel is written to as fast as it takes: asked again at {at}.",
    }
    return words[why].format(at=due.isoformat(timespec="seconds"))


def _snoozed(what: str, by: str, until: datetime, reason: str = "") -> Silence:
    who = f"by {by} " if by else ""
    said = f" ({reason})" if reason else ""
    words = f"{what}snoozed {who}until {until.isoformat(timespec='seconds')}{said}."
    return Silence("snoozed", words[0].upper() + words[1:], by, until)
