"""The delivery rows: who is due, who has the lease, how it ended. Functions over the caller's transaction."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from pipeline.control.base import Delivery, DeliveryState, Subscription
from pipeline.control.models import AlertEventRow, DeliveryRow, SubscriptionRow
from pipeline.records import Alert, Decoder

decode_alert = Decoder(Alert)

_WAITING = ("pending", "retry")


def row_of(delivery: Delivery, alert: Alert, now: datetime) -> dict[str, Any]:
    """The delivery as a row of control_deliveries; `now` is when it is recorded."""
    row = delivery._asdict()
    row["created_at"] = delivery.created_at or now
    return {**row, "severity": alert.severity, "alert_at": alert.at}


def lease(
    connection: Connection, now: datetime, limit: int, lease_s: float
) -> list[tuple[Delivery, Alert, Subscription]]:
    """See ControlStore.lease_deliveries. What goes to a subscription that is gone or off is suppressed.

    No step waits for a row that another lessee holds (SKIP LOCKED on PostgreSQL; SQLite has one writer and leaves the
    words out): lessees neither queue nor deadlock.
    """
    _change(
        connection,
        [DeliveryRow.state == "leased", DeliveryRow.next_at <= now],
        {"state": "pending", "reason": "the lease ran out before an outcome was known"},
    )
    active = select(SubscriptionRow.id).where(SubscriptionRow.active)
    _change(
        connection,
        [DeliveryRow.state.in_(_WAITING), DeliveryRow.next_at <= now, DeliveryRow.subscription_id.not_in(active)],
        {"state": "suppressed", "reason": "the subscription is switched off or gone"},
    )
    due = connection.execute(
        select(DeliveryRow.__table__, AlertEventRow.alert, SubscriptionRow.__table__)
        .join(AlertEventRow, (AlertEventRow.alert_id == DeliveryRow.alert_id) & (AlertEventRow.seq == DeliveryRow.seq))
        .join(SubscriptionRow, SubscriptionRow.id == DeliveryRow.subscription_id)
        .where(DeliveryRow.state.in_(_WAITING), DeliveryRow.next_at <= now)
        .order_by(DeliveryRow.severity, DeliveryRow.alert_at, DeliveryRow.seq, DeliveryRow.id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=DeliveryRow)
    ).all()
    until = now + timedelta(seconds=lease_s)
    columns, theirs = DeliveryRow.__table__.c, SubscriptionRow.__table__.c
    connection.execute(
        update(DeliveryRow)
        .where(DeliveryRow.id.in_([row._mapping[columns.id] for row in due]))
        .values(state="leased", next_at=until, attempts=DeliveryRow.attempts + 1)
    )
    leased = []
    for row in due:
        found = row._mapping
        delivery = delivery_of({c.name: found[c] for c in columns})._replace(
            state="leased", next_at=until, attempts=found[columns.attempts] + 1
        )
        subscription = subscription_of({c.name: found[c] for c in theirs})
        leased.append((delivery, decode_alert(found["alert"]), subscription))
    return leased


def finish(connection: Connection, delivery_id: str, state: DeliveryState, reason: str, next_at: datetime) -> None:
    """See ControlStore.finish_delivery."""
    connection.execute(
        update(DeliveryRow)
        .where(DeliveryRow.id == delivery_id, DeliveryRow.state != "accepted")
        .values(state=state, reason=reason, next_at=next_at)
    )


def listed(connection: Connection, alert_id: str | None, state: DeliveryState | None) -> list[Delivery]:
    """See ControlStore.deliveries; sorted by alert, event, id."""
    query = select(DeliveryRow.__table__).order_by(DeliveryRow.alert_id, DeliveryRow.seq, DeliveryRow.id)
    if alert_id is not None:
        query = query.where(DeliveryRow.alert_id == alert_id)
    if state is not None:
        query = query.where(DeliveryRow.state == state)
    return [delivery_of(row._mapping) for row in connection.execute(query)]


def delivery_of(row: Any) -> Delivery:
    """The row as people see it."""
    return Delivery(*(row[field] for field in Delivery._fields))


def subscription_of(row: Any) -> Subscription:
    """The row as people see it."""
    values = {field: row[field] for field in Subscription._fields}
    return Subscription(**{**values, "keys": tuple(row["keys"]), "severities": tuple(row["severities"])})


def _change(connection: Connection, where: list[ColumnElement[bool]], values: dict[str, Any]) -> None:
    """Change the rows that fit and that nobody holds."""
    free = select(DeliveryRow.id).where(*where).with_for_update(skip_locked=True)
    connection.execute(update(DeliveryRow).where(DeliveryRow.id.in_(free)).values(**values))
