"""The control store's tables, for SQLite and PostgreSQL alike. Changing them asks for a migration (see migrations/)."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Boolean, DateTime, Dialect, Index, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator, TypeEngine


class Utc(TypeDecorator[datetime]):
    """An aware UTC datetime with microseconds, also where the database knows no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"Expected a time with a zone, found {value.isoformat()}.")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Words(TypeDecorator[str]):
    """Text of at most `length` characters, sorted by code point everywhere; U+0000, which PostgreSQL cannot hold, is
    kept as U+FFFD."""

    impl = String
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        collation = "C" if dialect.name == "postgresql" else None
        kind = Text if self.length is None else String
        return kind(self.length, collation=collation)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else value.replace("\0", "\ufffd")


class Base(DeclarativeBase):
    """Every table begins with control_: the embedded file holds the bus and the opinions too."""

    type_annotation_map = {str: Words(), datetime: Utc, bytes: LargeBinary, list[str]: JSON, list[int]: JSON}  # noqa: RUF012


class EpisodeRow(Base):
    """An episode as its newest event (`seq`) tells it, and what people did with it."""

    __tablename__ = "control_episodes"
    __table_args__ = (
        Index("control_episodes_fired", "fired_at"),
        Index("control_episodes_key", "key", "fired_at"),
        Index("control_episodes_status", "status", "fired_at"),
    )
    alert_id: Mapped[str] = mapped_column(Words(64), primary_key=True)
    seq: Mapped[int]
    key: Mapped[str]
    status: Mapped[str] = mapped_column(Words(16))
    fired_at: Mapped[datetime]
    alert: Mapped[bytes]  # the newest event as JSON
    acked_by: Mapped[str | None]
    acked_at: Mapped[datetime | None]
    snoozed_until: Mapped[datetime | None]
    snoozed_by: Mapped[str | None]
    assigned_to: Mapped[str | None]
    assigned_at: Mapped[datetime | None]
    resolved_by: Mapped[str | None]
    resolved_at: Mapped[datetime | None]
    resolve_reason: Mapped[str | None]


class SnoozeRow(Base):
    """A key or a rule that is kept silent."""

    __tablename__ = "control_snoozes"
    scope: Mapped[str] = mapped_column(Words(8), primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    until: Mapped[datetime]
    by: Mapped[str]
    at: Mapped[datetime]
    reason: Mapped[str]


class AlertEventRow(Base):
    """One event; append-only."""

    __tablename__ = "control_alert_events"
    alert_id: Mapped[str] = mapped_column(Words(64), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    alert: Mapped[bytes]


class DeliveryRow(Base):
    """One alert event on its way to one subscription."""

    __tablename__ = "control_deliveries"
    __table_args__ = (
        Index("control_deliveries_due", "state", "next_at"),
        Index("control_deliveries_alert", "alert_id", "seq"),
        Index("control_deliveries_subscription", "subscription_id", "ended_at"),
        Index("control_deliveries_escalate", "escalate_at"),
    )
    id: Mapped[str] = mapped_column(Words(64), primary_key=True)
    alert_id: Mapped[str] = mapped_column(Words(64))
    seq: Mapped[int]
    subscription_id: Mapped[str]
    channel: Mapped[str] = mapped_column(Words(32))
    severity: Mapped[str] = mapped_column(Words(8))
    alert_at: Mapped[datetime]  # event time; of equal severity the oldest goes first
    state: Mapped[str] = mapped_column(Words(16))
    attempts: Mapped[int]
    next_at: Mapped[datetime]  # when it is due; while leased, when the lease runs out
    reason: Mapped[str]
    created_at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(Words(16))
    lease: Mapped[int]
    why: Mapped[str] = mapped_column(Words(16))
    by: Mapped[str]
    until: Mapped[datetime | None]
    digest: Mapped[bool] = mapped_column(Boolean)
    bundle: Mapped[str] = mapped_column(Words(64))
    answer: Mapped[str]
    ended_at: Mapped[datetime | None]
    retried_at: Mapped[datetime | None]
    escalate_at: Mapped[datetime | None]
    escalation: Mapped[str]


class SubscriptionRow(Base):
    __tablename__ = "control_subscriptions"
    id: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(Words(32))
    target: Mapped[str]
    keys: Mapped[list[str]]
    severities: Mapped[list[str]]
    language: Mapped[str] = mapped_column(Words(8))
    active: Mapped[bool] = mapped_column(Boolean)
    owner: Mapped[str]
    name: Mapped[str]
    entities: Mapped[list[str]]
    topics: Mapped[list[str]]
    languages: Mapped[list[str]]
    sources: Mapped[list[str]]
    tiers: Mapped[list[int]]
    rules: Mapped[list[str]]
    zone: Mapped[str] = mapped_column(Words(64))
    quiet: Mapped[str] = mapped_column(Words(16))
    digest: Mapped[str] = mapped_column(Words(8))
    digest_at: Mapped[str] = mapped_column(Words(8))
    s1_at_once: Mapped[bool] = mapped_column(Boolean)
    daily_cap: Mapped[int]
    cooldown_min: Mapped[int]
    escalate_to: Mapped[str]
    escalate_min: Mapped[int]


class WatchRow(Base):
    __tablename__ = "control_watches"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(Words(16))
    pattern: Mapped[str]


class FeedbackRow(Base):
    """One label event; append-only."""

    __tablename__ = "control_feedback"
    __table_args__ = (Index("control_feedback_opinion", "opinion_id"),)
    feedback_id: Mapped[str] = mapped_column(primary_key=True)
    opinion_id: Mapped[str]
    task: Mapped[str] = mapped_column(Words(32))
    at: Mapped[datetime]
    record: Mapped[bytes]


class CheckpointRow(Base):
    __tablename__ = "control_checkpoints"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[bytes]


class AuditRow(Base):
    """What people did; append-only."""

    __tablename__ = "control_audit"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    by: Mapped[str]
    action: Mapped[str] = mapped_column(Words(32))
    subject: Mapped[str]
    detail: Mapped[str]
