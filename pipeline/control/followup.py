"""What is asked of delivery rows beside sending: counts, sending again, escalation. Functions over the caller's
transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import Connection, func, select, update

from pipeline.control.base import Delivery, Held, Leased, Why
from pipeline.control.deliveries import (
    WAITING,
    decode_alert,
    leased_of,
    row_of,
    with_alert_and_subscription,
)
from pipeline.control.models import AlertEventRow, DeliveryRow, EpisodeRow, SubscriptionRow
from pipeline.control.people import audit
from pipeline.control.upsert import insert_new
from pipeline.records import Alert

AGAIN = ("dead", "suppressed", "expired")  # what a person may have sent again, by id


def redeliver(connection: Connection, ids: Sequence[str] | None, by: str, at: datetime) -> list[str]:
    """See ControlStore.redeliver."""
    query = select(DeliveryRow.id).order_by(DeliveryRow.id).with_for_update()
    if ids is None:
        query = query.where(DeliveryRow.state == "dead")
    else:
        query = query.where(DeliveryRow.id.in_(ids), DeliveryRow.state.in_(AGAIN))
    found = list(connection.execute(query).scalars())
    connection.execute(
        update(DeliveryRow)
        .where(DeliveryRow.id.in_(found))
        .values(
            state="pending", reason=f"To be sent again, asked by {by}.", next_at=at, retried_at=at, ended_at=None,
            why="", by="", until=None, digest=False, bundle="",
        )
    )  # fmt: skip
    for delivery_id in found:
        audit(connection, at, by, "redeliver", delivery_id)
    return found


def sent_since(connection: Connection, subscription_id: str, since: datetime) -> int:
    """See ControlStore.sent_since."""
    query = select(func.count()).where(
        DeliveryRow.subscription_id == subscription_id,
        DeliveryRow.ended_at >= since,
        DeliveryRow.state == "accepted",
        DeliveryRow.kind == "event",
        DeliveryRow.bundle == "",
    )
    return int(connection.execute(query).scalar() or 0)


def held_back(connection: Connection, subscription_id: str | None, but: str) -> list[Held]:
    """See ControlStore.held_back."""
    alerts = func.count(DeliveryRow.alert_id.distinct())
    query = (
        select(DeliveryRow.subscription_id, DeliveryRow.why, alerts, func.min(DeliveryRow.next_at))
        # a row in `retry` keeps what held it before it was let go: it is not held now
        .where(DeliveryRow.state == "pending", DeliveryRow.why != "", DeliveryRow.alert_id != but)
        .group_by(DeliveryRow.subscription_id, DeliveryRow.why)
        .order_by(DeliveryRow.subscription_id, DeliveryRow.why)
    )
    if subscription_id is not None:
        query = query.where(DeliveryRow.subscription_id == subscription_id)
    rows = connection.execute(query)
    return [Held(subscription, cast(Why, why), count, due) for subscription, why, count, due in rows]


def told_of_key(
    connection: Connection, subscription_id: str, key: str, since: datetime
) -> list[tuple[Alert, datetime]]:
    """See ControlStore.told_of_key."""
    query = (
        select(AlertEventRow.alert, DeliveryRow.ended_at)
        .join(DeliveryRow, (AlertEventRow.alert_id == DeliveryRow.alert_id) & (AlertEventRow.seq == DeliveryRow.seq))
        .join(EpisodeRow, EpisodeRow.alert_id == DeliveryRow.alert_id)
        .where(DeliveryRow.subscription_id == subscription_id, DeliveryRow.ended_at >= since)
        .where(DeliveryRow.state == "accepted", EpisodeRow.key == key)
        .order_by(DeliveryRow.ended_at, DeliveryRow.id)
    )
    return [(decode_alert(row.alert), row.ended_at) for row in connection.execute(query)]


def escalation_is_due(connection: Connection, now: datetime) -> bool:
    """Whether due_escalations has anything to do."""
    return bool(connection.execute(select(func.count()).where(DeliveryRow.escalate_at <= now)).scalar())


def due_escalations(connection: Connection, now: datetime, limit: int) -> list[Leased]:
    """See ControlStore.due_escalations."""
    there = select(SubscriptionRow.id)
    connection.execute(
        update(DeliveryRow)
        .where(DeliveryRow.escalate_at <= now, DeliveryRow.subscription_id.not_in(there))
        .values(escalate_at=None, escalation="Not escalated: the subscription is gone.")
    )
    query = with_alert_and_subscription(DeliveryRow.escalate_at <= now).order_by(None)
    query = query.order_by(DeliveryRow.escalate_at, DeliveryRow.id).limit(limit)
    return [leased_of(row) for row in connection.execute(query)]


def escalate(connection: Connection, delivery_id: str, escalation: str, at: datetime, to: Delivery | None) -> bool:
    """See ControlStore.escalate."""
    first = connection.execute(
        update(DeliveryRow)
        .where(DeliveryRow.id == delivery_id, DeliveryRow.escalate_at.is_not(None))
        .values(escalate_at=None, escalation=escalation)
    ).rowcount
    if not first:
        return False
    if to is not None:
        record = connection.execute(
            select(AlertEventRow.alert).where(AlertEventRow.alert_id == to.alert_id, AlertEventRow.seq == to.seq)
        ).scalar_one()
        if insert_new(connection, DeliveryRow, [row_of(to, decode_alert(record), at)]):
            audit(connection, at, "windvane", "escalate", to.alert_id, f"to {to.subscription_id}")
    return True


def backlog(connection: Connection, now: datetime) -> dict[str, float]:
    """See ControlStore.backlog."""
    oldest = connection.execute(
        select(func.min(DeliveryRow.next_at)).where(DeliveryRow.state.in_(WAITING), DeliveryRow.next_at <= now)
    ).scalar()
    dead = connection.execute(select(func.count()).where(DeliveryRow.state == "dead")).scalar()
    return {"oldest_due_s": 0.0 if oldest is None else (now - oldest).total_seconds(), "dead": int(dead or 0)}
