"""Stage `record` (alerts → control store): the alert event and one delivery per subscription, in one transaction.

Ids are uuid5 of (alert event, subscription, channel), so an alert that comes twice adds nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid5

from pipeline import records
from pipeline.clock import Clock
from pipeline.control.base import ControlStore, Delivery, Episode, Subscription
from pipeline.records import Alert

NAMESPACE = UUID("0b9a1f0e-5f5c-5a58-9c1d-7e3a9d0c64b1")  # Windvane's own; changing it would send everything again


class Record:
    """Alerts in, nothing out. Raises Retry when the store is away; recording again changes nothing."""

    name = "record"

    def __init__(self, control: ControlStore, clock: Clock) -> None:
        self._control = control
        self._clock = clock

    def __call__(self, batch: Sequence[Alert]) -> Sequence[records.Record]:
        subscriptions = [s for s in self._control.subscriptions() if s.active]
        for alert in batch:
            now = self._clock()
            why_not = suppression(self._control.episode(alert.alert_id), now)
            rows = [delivery(alert, s, now, why_not) for s in subscriptions if wants(s, alert)]
            self._control.record_alert(alert, rows)
        return []


def wants(subscription: Subscription, alert: Alert) -> bool:
    """Whether the subscription covers the alert; empty lists mean "all"."""
    return (not subscription.keys or alert.key in subscription.keys) and (
        not subscription.severities or alert.severity in subscription.severities
    )


def delivery(alert: Alert, subscription: Subscription, now: datetime, why_not: str = "") -> Delivery:
    """The row of one alert event for one subscription; `why_not` suppresses it from the start."""
    return Delivery(
        id=delivery_id(alert, subscription),
        alert_id=alert.alert_id,
        seq=alert.seq,
        subscription_id=subscription.id,
        channel=subscription.channel,
        state="suppressed" if why_not else "pending",
        attempts=0,
        next_at=now,
        reason=why_not,
        created_at=now,
    )


def delivery_id(alert: Alert, subscription: Subscription) -> str:
    """The same for the same event, subscription and channel, always: receivers drop duplicates by it."""
    return str(uuid5(NAMESPACE, f"{alert.alert_id}:{alert.seq}|{subscription.id}|{subscription.channel}"))


def suppression(episode: Episode | None, now: datetime) -> str:
    """Why people do not want to hear of this episode now, or ""."""
    if episode is not None and episode.snoozed_until is not None and episode.snoozed_until > now:
        return f"Snoozed until {episode.snoozed_until.isoformat(timespec='seconds')}."
    return ""
