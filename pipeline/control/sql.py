"""The control store over SQLAlchemy: the embedded SQLite file, or PostgreSQL with the same statements."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, delete, select, update

from pipeline.clock import Clock, system_clock
from pipeline.control import deliveries as rows
from pipeline.control import followup, migrations, people
from pipeline.control.base import (
    Delivery,
    DeliveryState,
    Ending,
    Episode,
    EpisodeStatus,
    Held,
    Leased,
    Snooze,
    SnoozeScope,
    Subscription,
    Watch,
)
from pipeline.control.models import (
    AlertEventRow,
    AuditRow,
    CheckpointRow,
    EpisodeRow,
    FeedbackRow,
    SubscriptionRow,
    WatchRow,
)
from pipeline.control.upsert import insert_new, put, put_if_changed
from pipeline.database import newer
from pipeline.records import Alert, Decoder, Feedback, encode

_decode_feedback = Decoder(Feedback)
_USEFUL = {"yes": True, "no": False}
_BY_PEOPLE = (
    "acked_by", "acked_at", "snoozed_until", "snoozed_by", "assigned_to", "assigned_at", "resolved_by", "resolved_at",
    "resolve_reason",
)  # fmt: skip


class Transactions(Protocol):
    """Where the tables lie: database.Database (SQLite) or control.postgres.PostgresDatabase. Both are shared by any
    number of threads, and raise errors.Retry for an outage with nothing of the transaction done."""

    @property
    def name(self) -> str:
        """Which database, in an error's words; never with a password."""

    def begin(self) -> AbstractContextManager[Connection]:
        """A writing transaction; inside another one of the same thread it joins it."""

    def read(self) -> AbstractContextManager[Connection]:
        """A consistent view; inside `begin` of the same thread, of the open transaction."""

    def close(self) -> None: ...


class SqlControlStore:
    """See control.base.ControlStore. Every writing verb joins the caller's `db.begin()` when there is one.

    `owns_db`: closing the store closes the database too. `clock` dates what no argument dates: audit rows of settings,
    and when a delivery was recorded. Verbs by which people change settings take `by`, the name for the audit log.
    """

    def __init__(self, db: Transactions, clock: Clock = system_clock, *, owns_db: bool = False) -> None:
        self._db = db
        self._clock = clock
        self._owns_db = owns_db
        with db.read() as connection:
            version = migrations.current(connection)
        if version != migrations.HEAD:
            with db.begin() as connection:
                version = migrations.upgrade(connection)
        if version != migrations.HEAD:
            raise newer(db.name, "control", version, migrations.HEAD)

    def record_alert(self, alert: Alert, deliveries: Sequence[Delivery]) -> None:
        record = encode(alert)
        with self._db.begin() as connection:
            event = {"alert_id": alert.alert_id, "seq": alert.seq, "at": alert.at, "alert": record}
            if not insert_new(connection, AlertEventRow, [event]):
                return
            status = _status(alert)
            episode = {"seq": alert.seq, "key": alert.key, "fired_at": alert.fired_at, "alert": record}
            if not insert_new(connection, EpisodeRow, [{"alert_id": alert.alert_id, "status": status, **episode}]):
                connection.execute(
                    update(EpisodeRow)
                    .where(EpisodeRow.alert_id == alert.alert_id, EpisodeRow.seq < alert.seq)
                    .values(**episode, **people.after_event(alert, status))
                )
            now = self._clock()
            insert_new(connection, rows.DeliveryRow, [rows.row_of(d, alert, now) for d in deliveries])

    def episodes(self, status: EpisodeStatus | None = None, key: str | None = None, limit: int = 100) -> list[Episode]:
        query = select(EpisodeRow.__table__).order_by(EpisodeRow.fired_at.desc(), EpisodeRow.alert_id).limit(limit)
        if status is not None:
            query = query.where(EpisodeRow.status == status)
        if key is not None:
            query = query.where(EpisodeRow.key == key)
        with self._db.read() as connection:
            return self._episodes(connection, query)

    def episode(self, alert_id: str) -> Episode | None:
        with self._db.read() as connection:
            found = self._episodes(connection, select(EpisodeRow.__table__).where(EpisodeRow.alert_id == alert_id))
        return found[0] if found else None

    def alert_events(self, alert_id: str | None = None) -> list[Alert]:
        query = select(AlertEventRow.alert).order_by(AlertEventRow.alert_id, AlertEventRow.seq)
        if alert_id is not None:
            query = query.where(AlertEventRow.alert_id == alert_id)
        with self._db.read() as connection:
            return [rows.decode_alert(record) for record in connection.execute(query).scalars()]

    def acknowledge(self, alert_id: str, by: str, at: datetime) -> bool:
        with self._db.begin() as connection:
            return people.acknowledge(connection, alert_id, by, at)

    def snooze(self, alert_id: str, until: datetime, by: str, at: datetime) -> bool:
        with self._db.begin() as connection:
            return people.snooze(connection, alert_id, until, by, at)

    def assign(self, alert_id: str, to: str, by: str, at: datetime) -> bool:
        with self._db.begin() as connection:
            return people.assign(connection, alert_id, to, by, at)

    def resolve(self, alert_id: str, by: str, at: datetime, reason: str) -> bool:
        with self._db.begin() as connection:
            return people.resolve(connection, alert_id, by, at, reason)

    def put_snooze(self, snooze: Snooze) -> None:
        with self._db.begin() as connection:
            people.put_snooze(connection, snooze)

    def snoozes(self, now: datetime) -> list[Snooze]:
        with self._db.read() as connection:
            return people.snoozes(connection, now)

    def lift_snooze(self, scope: SnoozeScope, subject: str, by: str, at: datetime) -> bool:
        with self._db.begin() as connection:
            return people.lift_snooze(connection, scope, subject, by, at)

    def subscriptions(self) -> list[Subscription]:
        with self._db.read() as connection:
            found = connection.execute(select(SubscriptionRow.__table__).order_by(SubscriptionRow.id))
            return [rows.subscription_of(row._mapping) for row in found]

    def put_subscription(self, subscription: Subscription, by: str = "local", read: Subscription | None = None) -> bool:
        with self._db.begin() as connection:
            if read is not None:
                mine = select(SubscriptionRow.__table__).where(SubscriptionRow.id == subscription.id).with_for_update()
                there = connection.execute(mine).one_or_none()
                if there is None or rows.subscription_of(there._mapping) != read:
                    return False
            if not put_if_changed(connection, SubscriptionRow, rows.subscription_row(subscription)):
                return True
            # never the target: an address may hold a secret
            detail = f"{subscription.channel}, {'on' if subscription.active else 'off'}"
            people.audit(connection, self._clock(), by, "put_subscription", subscription.id, detail)
            return True

    def remove_subscription(self, subscription_id: str, by: str = "local") -> bool:
        with self._db.begin() as connection:
            gone = connection.execute(delete(SubscriptionRow).where(SubscriptionRow.id == subscription_id)).rowcount
            if gone:
                people.end_escalations_to(connection, subscription_id, by, self._clock())
                people.audit(connection, self._clock(), by, "remove_subscription", subscription_id)
            return bool(gone)

    def lease_deliveries(self, now: datetime, limit: int, lease_s: float) -> list[Leased]:
        with self._db.begin() as connection:
            return rows.lease(connection, now, limit, lease_s)

    def lease_digest(self, now: datetime, lease_s: float) -> list[Leased]:
        with self._db.read() as connection:  # most rounds end here, without a writing transaction
            if not rows.digest_is_due(connection, now):
                return []
        with self._db.begin() as connection:
            return rows.lease_digest(connection, now, lease_s)

    def finish_delivery(
        self, delivery_id: str, state: DeliveryState, reason: str, next_at: datetime | None = None
    ) -> None:
        self.finish_deliveries([Ending(delivery_id, state, reason, next_at)])

    def finish_deliveries(self, endings: Sequence[Ending]) -> int:
        with self._db.begin() as connection:
            return rows.finish(connection, endings, self._clock())

    def deliveries(self, alert_id: str | None = None, state: DeliveryState | None = None) -> list[Delivery]:
        with self._db.read() as connection:
            return rows.listed(connection, alert_id, state)

    def recent_deliveries(
        self, limit: int, subscription_id: str | None = None, state: DeliveryState | None = None
    ) -> list[Delivery]:
        with self._db.read() as connection:
            return rows.recent(connection, limit, subscription_id, state)

    def held_back(self, subscription_id: str | None = None, but: str = "") -> list[Held]:
        with self._db.read() as connection:
            return followup.held_back(connection, subscription_id, but)

    def delivery(self, delivery_id: str) -> Delivery | None:
        with self._db.read() as connection:
            found = connection.execute(select(rows.DeliveryRow.__table__).where(rows.DeliveryRow.id == delivery_id))
            row = found.one_or_none()
            return None if row is None else rows.delivery_of(row._mapping)

    def redeliver(self, delivery_ids: Sequence[str] | None, by: str, at: datetime) -> list[str]:
        with self._db.begin() as connection:
            return followup.redeliver(connection, delivery_ids, by, at)

    def sent_since(self, subscription_id: str, since: datetime) -> int:
        with self._db.read() as connection:
            return followup.sent_since(connection, subscription_id, since)

    def told_of_key(self, subscription_id: str, key: str, since: datetime) -> list[tuple[Alert, datetime]]:
        with self._db.read() as connection:
            return followup.told_of_key(connection, subscription_id, key, since)

    def due_escalations(self, now: datetime, limit: int) -> list[Leased]:
        with self._db.read() as connection:
            if not followup.escalation_is_due(connection, now):
                return []
        with self._db.begin() as connection:
            return followup.due_escalations(connection, now, limit)

    def escalate(self, delivery_id: str, escalation: str, at: datetime, to: Delivery | None = None) -> bool:
        with self._db.begin() as connection:
            return followup.escalate(connection, delivery_id, escalation, at, to)

    def backlog(self, now: datetime) -> Mapping[str, float]:
        with self._db.read() as connection:
            return followup.backlog(connection, now)

    def watches(self) -> list[Watch]:
        with self._db.read() as connection:
            found = connection.execute(select(WatchRow.__table__).order_by(WatchRow.id))
            return [Watch(row.id, row.name, row.kind, row.pattern) for row in found]

    def put_watch(self, watch: Watch, by: str = "local") -> None:
        with self._db.begin() as connection:
            if not put_if_changed(connection, WatchRow, watch._asdict()):
                return
            people.audit(
                connection, self._clock(), by, "put_watch", watch.id, f"{watch.name}: {watch.kind} {watch.pattern}"
            )

    def remove_watch(self, watch_id: str, by: str = "local") -> bool:
        with self._db.begin() as connection:
            removed = connection.execute(delete(WatchRow).where(WatchRow.id == watch_id)).rowcount
            if removed:
                people.audit(connection, self._clock(), by, "remove_watch", watch_id)
            return bool(removed)

    def add_feedback(self, feedback: Feedback) -> None:
        """For task "alert_useful" `opinion_id` is the alert's id and the value "yes" or "no"."""
        row = {"feedback_id": feedback.feedback_id, "opinion_id": feedback.opinion_id, "task": feedback.task,
               "at": feedback.at, "record": encode(feedback)}  # fmt: skip
        with self._db.begin() as connection:
            if insert_new(connection, FeedbackRow, [row]):
                detail = f"{feedback.task}={feedback.value}"
                people.audit(connection, feedback.at, feedback.by, "label", feedback.opinion_id, detail)

    def feedback(self, opinion_id: str | None = None) -> list[Feedback]:
        """Oldest first."""
        query = select(FeedbackRow.record).order_by(FeedbackRow.at, FeedbackRow.feedback_id)
        if opinion_id is not None:
            query = query.where(FeedbackRow.opinion_id == opinion_id)
        with self._db.read() as connection:
            return [_decode_feedback(record) for record in connection.execute(query).scalars()]

    def checkpoint(self, name: str) -> bytes | None:
        with self._db.read() as connection:
            return connection.execute(select(CheckpointRow.value).where(CheckpointRow.name == name)).scalar()

    def put_checkpoint(self, name: str, value: bytes) -> None:
        with self._db.begin() as connection:
            put(connection, CheckpointRow, {"name": name, "value": value})

    def swap_checkpoint(self, name: str, before: bytes | None, value: bytes) -> bool:
        with self._db.begin() as connection:
            if before is None:
                return bool(insert_new(connection, CheckpointRow, [{"name": name, "value": value}]))
            mine = (CheckpointRow.name == name, CheckpointRow.value == before)
            return bool(connection.execute(update(CheckpointRow).where(*mine).values(value=value)).rowcount)

    def audit(self, limit: int = 100) -> list[Mapping[str, str]]:
        query = select(AuditRow.__table__).order_by(AuditRow.id.desc()).limit(limit)
        with self._db.read() as connection:
            return [
                {"at": r.at.isoformat(), "by": r.by, "action": r.action, "subject": r.subject, "detail": r.detail}
                for r in connection.execute(query)
            ]

    def close(self) -> None:
        """Closes the database where the store owns it; else that is its opener's to close."""
        if self._owns_db:
            self._db.close()

    def _episodes(self, connection: Connection, query: Any) -> list[Episode]:
        found = connection.execute(query).all()
        useful = _useful(connection, [row.alert_id for row in found])
        return [
            Episode(rows.decode_alert(row.alert), row.status, useful=useful.get(row.alert_id),
                    **{field: getattr(row, field) for field in _BY_PEOPLE})
            for row in found
        ]  # fmt: skip


def _status(alert: Alert) -> EpisodeStatus:
    return "resolved" if alert.event == "resolved" or alert.end is not None else "firing"


def _useful(connection: Connection, alert_ids: Sequence[str]) -> dict[str, bool]:
    """What people last said about these alerts."""
    labels = connection.execute(
        select(FeedbackRow.opinion_id, FeedbackRow.record)
        .where(FeedbackRow.task == "alert_useful", FeedbackRow.opinion_id.in_(alert_ids))
        .order_by(FeedbackRow.at, FeedbackRow.feedback_id)
    )
    said = {alert_id: _USEFUL.get(_decode_feedback(record).value) for alert_id, record in labels}
    return {alert_id: value for alert_id, value in said.items() if value is not None}
