"""The control store contract: episodes, subscriptions, deliveries, watches, labels, checkpoints, audit.

Backends: SQLite now, PostgreSQL through the same SQLAlchemy models. Every verb is idempotent where it is called twice.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from pipeline.records import Alert, Feedback

EpisodeStatus = Literal["firing", "cooling", "resolved"]
ChannelName = Literal["web", "log", "webhook", "email", "slack", "teams", "dingtalk", "feishu", "wecom"]
DeliveryState = Literal["pending", "leased", "accepted", "retry", "dead", "suppressed", "expired"]


class Subscription(NamedTuple):
    """Who is told what, where. Empty tuples mean "all"."""

    id: str
    channel: ChannelName
    target: str = ""  # the address, for channels that need one, sealed where there is a key (deliver/secrets.py);
    # a signing secret goes with it: https://…#secret=…
    keys: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    language: Literal["en", "zh"] = "en"
    active: bool = True


class Episode(NamedTuple):
    """An alert as people see it: its newest event, how it stands, and what people did with it."""

    alert: Alert  # the newest event; its evidence is the one to show
    status: EpisodeStatus
    acked_by: str | None = None
    acked_at: datetime | None = None
    snoozed_until: datetime | None = None
    useful: bool | None = None


class Delivery(NamedTuple):
    """One attempt series: one alert event to one subscription. `id` is uuid5(alert event, subscription, channel)."""

    id: str
    alert_id: str
    seq: int
    subscription_id: str
    channel: str
    state: DeliveryState
    attempts: int  # leases taken so far, the present one included
    next_at: datetime
    reason: str = ""  # the last outcome in words, or why it was suppressed
    created_at: datetime | None = None  # when it was recorded (wall clock): giving up is measured from here


class Watch(NamedTuple):
    """A user's own key: texts that hold a keyword or phrase, match a regular expression, or carry a field's value."""

    id: str
    name: str
    kind: Literal["keyword", "phrase", "regex", "field", "all"]
    pattern: str  # field: "ticker=AAPL" or "ticker in AAPL,MSFT"; all: ""


class ControlStore(Protocol):
    """Times are aware UTC datetimes."""

    def record_alert(self, alert: Alert, deliveries: Sequence[Delivery]) -> None:
        """Episode change, alert event and its delivery rows, in one transaction. Seen before: nothing changes."""

    def episodes(self, status: EpisodeStatus | None = None, key: str | None = None, limit: int = 100) -> list[Episode]:
        """Newest fired first."""

    def episode(self, alert_id: str) -> Episode | None: ...

    def alert_events(self, alert_id: str | None = None) -> list[Alert]:
        """Every event, sorted by (alert_id, seq): what `export alerts` writes."""

    def acknowledge(self, alert_id: str, by: str, at: datetime) -> bool:
        """False when there is no such alert."""

    def snooze(self, alert_id: str, until: datetime, by: str, at: datetime) -> bool: ...

    def subscriptions(self) -> list[Subscription]: ...

    def put_subscription(self, subscription: Subscription) -> None: ...

    def lease_deliveries(self, now: datetime, limit: int, lease_s: float) -> list[tuple[Delivery, Alert, Subscription]]:
        """Deliveries that are due, leased to the caller; a lease that runs out is pending again. Most severe first."""

    def finish_delivery(
        self, delivery_id: str, state: DeliveryState, reason: str, next_at: datetime | None = None
    ) -> None:
        """Store how a send ended (pending or retry: due again at `next_at`). Once accepted it stays accepted: the
        outcome of a slower twin whose lease had run out changes nothing."""

    def deliveries(self, alert_id: str | None = None, state: DeliveryState | None = None) -> list[Delivery]: ...

    def watches(self) -> list[Watch]: ...

    def put_watch(self, watch: Watch) -> None: ...

    def remove_watch(self, watch_id: str) -> bool: ...

    def add_feedback(self, feedback: Feedback) -> None:
        """Append a label event; the same feedback_id again changes nothing."""

    def feedback(self, opinion_id: str | None = None) -> list[Feedback]: ...

    def checkpoint(self, name: str) -> bytes | None:
        """State kept for a part of the pipeline (a source's progress, a detector's snapshot)."""

    def put_checkpoint(self, name: str, value: bytes) -> None: ...

    def audit(self, limit: int = 100) -> list[Mapping[str, str]]:
        """Newest first: {"at", "by", "action", "subject", "detail"}."""

    def close(self) -> None: ...
