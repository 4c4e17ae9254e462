"""The control store over SQLAlchemy: the embedded SQLite file, or PostgreSQL with the same statements."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, delete, func, insert, select, update

from pipeline.clock import Clock, system_clock
from pipeline.control import deliveries as rows
from pipeline.control import migrations
from pipeline.control.base import Delivery, DeliveryState, Episode, EpisodeStatus, Subscription, Watch
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
            episode = {"seq": alert.seq, "key": alert.key, "status": _status(alert),
                       "fired_at": alert.fired_at, "alert": record}  # fmt: skip
            if not insert_new(connection, EpisodeRow, [{"alert_id": alert.alert_id, **episode}]):
                connection.execute(
                    update(EpisodeRow)
                    .where(EpisodeRow.alert_id == alert.alert_id, EpisodeRow.seq < alert.seq)
                    .values(**episode)
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
        """The first acknowledgement stands; another one changes nothing."""
        with self._db.begin() as connection:
            changed = connection.execute(
                update(EpisodeRow)
                .where(EpisodeRow.alert_id == alert_id, EpisodeRow.acked_by.is_(None))
                .values(acked_by=by, acked_at=at)
            ).rowcount
            if changed:
                _audit(connection, at, by, "acknowledge", alert_id)
            return bool(changed) or _exists(connection, alert_id)

    def snooze(self, alert_id: str, until: datetime, by: str, at: datetime) -> bool:
        with self._db.begin() as connection:
            changed = connection.execute(
                update(EpisodeRow)
                .where(EpisodeRow.alert_id == alert_id, EpisodeRow.snoozed_until.is_distinct_from(until))
                .values(snoozed_until=until)
            ).rowcount
            if changed:
                _audit(connection, at, by, "snooze", alert_id, f"until {until.isoformat()}")
            return bool(changed) or _exists(connection, alert_id)

    def subscriptions(self) -> list[Subscription]:
        with self._db.read() as connection:
            found = connection.execute(select(SubscriptionRow.__table__).order_by(SubscriptionRow.id))
            return [rows.subscription_of(row._mapping) for row in found]

    def put_subscription(self, subscription: Subscription, by: str = "local") -> None:
        with self._db.begin() as connection:
            row = subscription._asdict()
            row |= {"keys": list(row["keys"]), "severities": list(row["severities"])}
            if not put_if_changed(connection, SubscriptionRow, row):
                return
            # never the target: an address may hold a secret
            detail = f"{subscription.channel}, {'on' if subscription.active else 'off'}"
            _audit(connection, self._clock(), by, "put_subscription", subscription.id, detail)

    def lease_deliveries(self, now: datetime, limit: int, lease_s: float) -> list[tuple[Delivery, Alert, Subscription]]:
        with self._db.begin() as connection:
            return rows.lease(connection, now, limit, lease_s)

    def finish_delivery(
        self, delivery_id: str, state: DeliveryState, reason: str, next_at: datetime | None = None
    ) -> None:
        with self._db.begin() as connection:
            rows.finish(connection, delivery_id, state, reason, next_at or self._clock())

    def deliveries(self, alert_id: str | None = None, state: DeliveryState | None = None) -> list[Delivery]:
        with self._db.read() as connection:
            return rows.listed(connection, alert_id, state)

    def watches(self) -> list[Watch]:
        with self._db.read() as connection:
            found = connection.execute(select(WatchRow.__table__).order_by(WatchRow.id))
            return [Watch(row.id, row.name, row.kind, row.pattern) for row in found]

    def put_watch(self, watch: Watch, by: str = "local") -> None:
        with self._db.begin() as connection:
            if not put_if_changed(connection, WatchRow, watch._asdict()):
                return
            _audit(connection, self._clock(), by, "put_watch", watch.id, f"{watch.name}: {watch.kind} {watch.pattern}")

    def remove_watch(self, watch_id: str, by: str = "local") -> bool:
        with self._db.begin() as connection:
            removed = connection.execute(delete(WatchRow).where(WatchRow.id == watch_id)).rowcount
            if removed:
                _audit(connection, self._clock(), by, "remove_watch", watch_id)
            return bool(removed)

    def add_feedback(self, feedback: Feedback) -> None:
        """For task "alert_useful" `opinion_id` is the alert's id and the value "yes" or "no"."""
        row = {"feedback_id": feedback.feedback_id, "opinion_id": feedback.opinion_id, "task": feedback.task,
               "at": feedback.at, "record": encode(feedback)}  # fmt: skip
        with self._db.begin() as connection:
            if insert_new(connection, FeedbackRow, [row]):
                detail = f"{feedback.task}={feedback.value}"
                _audit(connection, feedback.at, feedback.by, "label", feedback.opinion_id, detail)

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
            Episode(
                rows.decode_alert(row.alert),
                row.status,
                row.acked_by,
                row.acked_at,
                row.snoozed_until,
                useful.get(row.alert_id),
            )
            for row in found
        ]


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


def _exists(connection: Connection, alert_id: str) -> bool:
    n = connection.execute(select(func.count()).select_from(EpisodeRow).where(EpisodeRow.alert_id == alert_id)).scalar()
    return bool(n)


def _audit(connection: Connection, at: datetime, by: str, action: str, subject: str, detail: str = "") -> None:
    connection.execute(insert(AuditRow).values(at=at, by=by, action=action, subject=subject, detail=detail))
