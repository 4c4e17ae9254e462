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
DeliveryKind = Literal["event", "escalation"]
SnoozeScope = Literal["key", "rule"]
# Why a row is held or suppressed, for programs; `reason` says it in words.
Why = Literal[
    "", "snoozed", "resolved", "acknowledged", "cooldown", "told", "switched_off",  # suppressed
    "quiet_hours", "digest", "daily_cap", "rate_limit",  # held
]  # fmt: skip


class Subscription(NamedTuple):
    """Who is told what, where and when. What to hear of: every field that is not empty must fit (control/matching.py).
    When: quiet hours, digest and cap in the person's time zone (deliver/plan.py). Fields are checked where people give
    them (control/subscribing.py)."""

    id: str
    channel: ChannelName
    target: str = ""  # the address, for channels that need one, sealed where there is a key (deliver/secrets.py);
    # a signing secret goes with it: https://…#secret=…
    keys: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    language: Literal["en", "zh"] = "en"  # of the messages
    active: bool = True
    owner: str = ""  # whose it is
    name: str = ""
    entities: tuple[str, ...] = ()  # also within a topic
    topics: tuple[str, ...] = ()  # also of an entity
    languages: tuple[str, ...] = ()  # of the texts that lead the alert
    sources: tuple[str, ...] = ()  # one of them leads the alert
    tiers: tuple[int, ...] = ()  # such a source leads it
    rules: tuple[str, ...] = ()
    zone: str = "UTC"  # IANA name, for quiet hours, digests and days
    quiet: str = ""  # "22:00-07:30": hold messages until the end
    digest: Literal["none", "hourly", "daily"] = "none"
    digest_at: str = "08:00"  # of a daily digest
    s1_at_once: bool = True  # S1 passes quiet hours, digest and cap
    daily_cap: int = 20  # messages a day; what is more goes into an hourly digest; 0: any number
    cooldown_min: int = 0  # after a message on a key, other alerts of it that are no more severe are suppressed
    escalate_to: str = ""  # the subscription that hears of it when nobody acknowledges
    escalate_min: int = 0  # within so many minutes


class Episode(NamedTuple):
    """An alert as people see it: its newest event, how it stands, and what people did with it."""

    alert: Alert  # the newest event; its evidence is the one to show
    status: EpisodeStatus
    acked_by: str | None = None
    acked_at: datetime | None = None
    snoozed_until: datetime | None = None
    useful: bool | None = None
    snoozed_by: str | None = None
    assigned_to: str | None = None
    assigned_at: datetime | None = None
    resolved_by: str | None = None  # a person closed it; a new rise (fired, worse) opens it again
    resolved_at: datetime | None = None
    resolve_reason: str | None = None


class Snooze(NamedTuple):
    """A whole key or rule kept silent. One alert's own snooze is in its Episode."""

    scope: SnoozeScope
    subject: str  # the key or the rule's id
    until: datetime
    by: str
    at: datetime
    reason: str = ""


class Delivery(NamedTuple):
    """One attempt series: one alert event to one subscription. `id` is uuid5(alert event, subscription, channel)."""

    id: str
    alert_id: str
    seq: int
    subscription_id: str
    channel: str
    state: DeliveryState
    attempts: int  # sends that happened or may have (a lease that ran out), the present lease included
    next_at: datetime
    reason: str = ""  # the last outcome in words, or why it waits or was suppressed
    created_at: datetime | None = None  # when it was recorded (wall clock)
    kind: DeliveryKind = "event"
    lease: int = 0  # leases taken so far: the token without which a lease cannot be ended
    why: Why = ""  # what holds it, held it or suppressed it
    by: str = ""  # who, where a person did
    until: datetime | None = None  # until when
    digest: bool = False  # to be told together with others
    bundle: str = ""  # the digest it is or was part of, and that message's id
    answer: str = ""  # the channel's last answer
    ended_at: datetime | None = None
    retried_at: datetime | None = None  # when a person had it sent again
    escalate_at: datetime | None = None  # still to be looked at then: acknowledged, or to somebody else
    escalation: str = ""  # what came of that


class Ending(NamedTuple):
    """How a lease ends. `sent` False: nothing was handed to the channel, so it does not count as an attempt, and
    why, by, until and digest say what holds or suppresses the row; after a send they stay as they were."""

    delivery_id: str
    state: DeliveryState
    reason: str
    next_at: datetime | None = None  # pending, retry: due again
    lease: int | None = None  # Delivery.lease as it was leased; None: whoever holds it (tools)
    sent: bool = True
    why: Why = ""
    by: str = ""
    until: datetime | None = None
    digest: bool = False


Leased = tuple[Delivery, Alert, Subscription]


class Held(NamedTuple):
    """How many alerts wait for a subscription for one reason, and when the first of them is due."""

    subscription_id: str
    why: Why
    alerts: int
    due: datetime


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

    def snooze(self, alert_id: str, until: datetime, by: str, at: datetime) -> bool:
        """Keep one alert silent until then; a time that has passed ends the snooze."""

    def assign(self, alert_id: str, to: str, by: str, at: datetime) -> bool:
        """`to` "" takes it back."""

    def resolve(self, alert_id: str, by: str, at: datetime, reason: str) -> bool:
        """Close it for everybody: what was not told yet is not told. A later fired or worse opens it again. The first
        resolve stands."""

    def put_snooze(self, snooze: Snooze) -> None:
        """One per scope and subject; the last one stands."""

    def snoozes(self, now: datetime) -> list[Snooze]:
        """Those that last, sorted by scope and subject."""

    def lift_snooze(self, scope: SnoozeScope, subject: str, by: str, at: datetime) -> bool: ...

    def subscriptions(self) -> list[Subscription]: ...

    def put_subscription(self, subscription: Subscription, by: str = "local", read: Subscription | None = None) -> bool:
        """`read`: put it only where the stored one is still that; False: it is not."""

    def remove_subscription(self, subscription_id: str, by: str = "local") -> bool:
        """Its waiting deliveries are suppressed when they come due; those who escalated to it escalate to nobody."""

    def lease_deliveries(self, now: datetime, limit: int, lease_s: float) -> list[Leased]:
        """Deliveries that are due and go out one by one, leased to the caller; a lease that runs out is pending again.
        Most severe first."""

    def lease_digest(self, now: datetime, lease_s: float) -> list[Leased]:
        """The due digest of one subscription, all its rows leased to the caller (`bundle` is its id), most severe
        first; [] when none is due. A bundle that was tried is leased again as it was."""

    def finish_delivery(
        self, delivery_id: str, state: DeliveryState, reason: str, next_at: datetime | None = None
    ) -> None:
        """finish_deliveries of one row, whoever holds it. Once accepted it stays accepted."""

    def finish_deliveries(self, endings: Sequence[Ending]) -> int:
        """Store how leases ended, in one transaction; how many of them. Where the row is leased to somebody else by
        now, or no longer leased, nothing changes: a slow twin cannot finish another's row."""

    def deliveries(self, alert_id: str | None = None, state: DeliveryState | None = None) -> list[Delivery]: ...

    def recent_deliveries(
        self, limit: int, subscription_id: str | None = None, state: DeliveryState | None = None
    ) -> list[Delivery]:
        """Newest recorded first."""

    def held_back(self, subscription_id: str | None = None, but: str = "") -> list[Held]:
        """What waits unsent for a reason (quiet hours, digest, cap, rate), per subscription and reason, sorted by them;
        the alert `but` is left out."""

    def delivery(self, delivery_id: str) -> Delivery | None: ...

    def redeliver(self, delivery_ids: Sequence[str] | None, by: str, at: datetime) -> list[str]:
        """Make dead rows (None: all; by id also suppressed and expired ones) due at once under the same ids; returns
        those that are."""

    def sent_since(self, subscription_id: str, since: datetime) -> int:
        """Messages of its own accepted since then: events, no digests and no escalations."""

    def told_of_key(self, subscription_id: str, key: str, since: datetime) -> list[tuple[Alert, datetime]]:
        """The alert events on `key` that the subscription was told of since then, and when; the newest last."""

    def due_escalations(self, now: datetime, limit: int) -> list[Leased]:
        """Rows whose `escalate_at` has come, with their alert events, oldest first; nothing is leased."""

    def escalate(self, delivery_id: str, escalation: str, at: datetime, to: Delivery | None = None) -> bool:
        """Store what came of a row's escalation and, with `to`, that delivery, in one transaction. False when somebody
        was quicker."""

    def backlog(self, now: datetime) -> Mapping[str, float]:
        """{"oldest_due_s": how long the row that has been due longest has waited (0: none), "dead": n}."""

    def watches(self) -> list[Watch]: ...

    def put_watch(self, watch: Watch) -> None: ...

    def remove_watch(self, watch_id: str) -> bool: ...

    def add_feedback(self, feedback: Feedback) -> None:
        """Append a label event; the same feedback_id again changes nothing."""

    def feedback(self, opinion_id: str | None = None) -> list[Feedback]: ...

    def checkpoint(self, name: str) -> bytes | None:
        """State kept for a part of the pipeline (a source's progress, a detector's snapshot)."""

    def put_checkpoint(self, name: str, value: bytes) -> None: ...

    def swap_checkpoint(self, name: str, before: bytes | None, value: bytes) -> bool:
        """Put it only where the stored one is still `before` (None: there is none); False: somebody was quicker."""

    def audit(self, limit: int = 100) -> list[Mapping[str, str]]:
        """Newest first: {"at", "by", "action", "subject", "detail"}."""

    def close(self) -> None: ...
