"""The delivery rows: who is due, who has the lease, how it ended. Functions over the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, select, update

from pipeline.control.base import Delivery, DeliveryState, Ending, Leased, Subscription
from pipeline.control.models import AlertEventRow, DeliveryRow, SubscriptionRow
from pipeline.records import Alert, Decoder

decode_alert = Decoder(Alert)

WAITING = ("pending", "retry")
OVER = ("accepted", "dead", "suppressed", "expired")
DIGEST_ROWS = 500  # the most that one digest tells
_DIGESTS = UUID("5d1c2a4e-64f5-5f0b-9a39-1f0c7b9d2e11")  # ids of digests are made from their rows'
_LISTS = ("keys", "severities", "entities", "topics", "languages", "sources", "tiers", "rules")


def row_of(delivery: Delivery, alert: Alert, now: datetime) -> dict[str, Any]:
    """The delivery as a row of control_deliveries; `now` is when it is recorded."""
    row = delivery._asdict()
    row["created_at"] = delivery.created_at or now
    if delivery.state in OVER:
        row["ended_at"] = delivery.ended_at or now
    return {**row, "severity": alert.severity, "alert_at": alert.at}


def lease(connection: Connection, now: datetime, limit: int, lease_s: float) -> list[Leased]:
    """See ControlStore.lease_deliveries. What goes to a subscription that is gone or off is suppressed.

    No step waits for a row that another lessee holds (SKIP LOCKED on PostgreSQL; SQLite has one writer and leaves the
    words out): lessees neither queue nor deadlock.
    """
    _make_ready(connection, now)
    due = connection.execute(
        with_alert_and_subscription(DeliveryRow.state.in_(WAITING), DeliveryRow.next_at <= now)
        .where(DeliveryRow.digest.is_(False))
        .limit(limit)
        .with_for_update(skip_locked=True, of=DeliveryRow)
    ).all()
    return _taken(connection, due, now + timedelta(seconds=lease_s))


def lease_digest(connection: Connection, now: datetime, lease_s: float) -> list[Leased]:
    """See ControlStore.lease_digest. The lock on the subscription keeps two lessees from sharing out one digest."""
    _make_ready(connection, now)
    is_due = (DeliveryRow.state.in_(WAITING), DeliveryRow.next_at <= now, DeliveryRow.digest.is_(True))
    subscription_id = connection.execute(
        select(SubscriptionRow.id)
        .where(SubscriptionRow.id.in_(select(DeliveryRow.subscription_id).where(*is_due)))
        .order_by(SubscriptionRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).scalar()
    if subscription_id is None:
        return []
    due = connection.execute(
        with_alert_and_subscription(*is_due, DeliveryRow.subscription_id == subscription_id)
        .limit(DIGEST_ROWS)
        .with_for_update(skip_locked=True, of=DeliveryRow)
    ).all()
    columns = DeliveryRow.__table__.c
    tried = sorted({(row._mapping[columns.next_at], b) for row in due if (b := row._mapping[columns.bundle])})
    if tried:  # as it was: the receiver may have it, and drops it by its id
        due = [row for row in due if row._mapping[columns.bundle] == tried[0][1]]
        bundle = tried[0][1]
    else:
        bundle = str(uuid5(_DIGESTS, "|".join(row._mapping[columns.id] for row in due)))
    return _taken(connection, due, now + timedelta(seconds=lease_s), bundle)


def digest_is_due(connection: Connection, now: datetime) -> bool:
    """Whether lease_digest may find something, leases that ran out included."""
    due = (DeliveryRow.digest.is_(True), DeliveryRow.next_at <= now, DeliveryRow.state.in_((*WAITING, "leased")))
    return bool(connection.execute(select(func.count()).where(*due)).scalar())


def finish(connection: Connection, endings: Sequence[Ending], now: datetime) -> int:
    """See ControlStore.finish_deliveries."""
    n = 0
    for e in endings:
        mine = [DeliveryRow.state != "accepted"]
        if e.lease is not None:
            mine = [DeliveryRow.state == "leased", DeliveryRow.lease == e.lease]
        values: dict[str, Any] = {"state": e.state, "reason": e.reason, "next_at": e.next_at or now}
        values["ended_at"] = now if e.state in OVER else None
        if e.sent:
            values["answer"] = e.reason
        else:
            values |= {"why": e.why, "by": e.by, "until": e.until, "digest": e.digest}
            # a bundle that was tried before stays one: its receiver may have it
            values |= {"bundle": case((DeliveryRow.attempts > 1, DeliveryRow.bundle), else_="")}
            values |= {"attempts": DeliveryRow.attempts - (0 if e.lease is None else 1)}
        n += connection.execute(
            update(DeliveryRow).where(DeliveryRow.id == e.delivery_id, *mine).values(**values)
        ).rowcount
    return n


def listed(connection: Connection, alert_id: str | None, state: DeliveryState | None) -> list[Delivery]:
    """See ControlStore.deliveries; sorted by alert, event, id."""
    query = select(DeliveryRow.__table__).order_by(DeliveryRow.alert_id, DeliveryRow.seq, DeliveryRow.id)
    if alert_id is not None:
        query = query.where(DeliveryRow.alert_id == alert_id)
    if state is not None:
        query = query.where(DeliveryRow.state == state)
    return [delivery_of(row._mapping) for row in connection.execute(query)]


def recent(
    connection: Connection, limit: int, subscription_id: str | None, state: DeliveryState | None
) -> list[Delivery]:
    """See ControlStore.recent_deliveries."""
    query = select(DeliveryRow.__table__).order_by(DeliveryRow.created_at.desc(), DeliveryRow.id).limit(limit)
    if subscription_id is not None:
        query = query.where(DeliveryRow.subscription_id == subscription_id)
    if state is not None:
        query = query.where(DeliveryRow.state == state)
    return [delivery_of(row._mapping) for row in connection.execute(query)]


def with_alert_and_subscription(*where: ColumnElement[bool]) -> Select[Any]:
    """Rows with their alert events and subscriptions: the most severe first, then the oldest."""
    return (
        select(DeliveryRow.__table__, AlertEventRow.alert, SubscriptionRow.__table__)
        .join(AlertEventRow, (AlertEventRow.alert_id == DeliveryRow.alert_id) & (AlertEventRow.seq == DeliveryRow.seq))
        .join(SubscriptionRow, SubscriptionRow.id == DeliveryRow.subscription_id)
        .where(*where)
        .order_by(DeliveryRow.severity, DeliveryRow.alert_at, DeliveryRow.seq, DeliveryRow.id)
    )


def leased_of(row: Row[Any]) -> Leased:
    """A row of with_alert_and_subscription."""
    found = row._mapping
    delivery = delivery_of({c.name: found[c] for c in DeliveryRow.__table__.c})
    subscription = subscription_of({c.name: found[c] for c in SubscriptionRow.__table__.c})
    return delivery, decode_alert(found["alert"]), subscription


def delivery_of(row: Any) -> Delivery:
    """The row as people see it."""
    return Delivery(*(row[field] for field in Delivery._fields))


def subscription_of(row: Any) -> Subscription:
    """The row as people see it."""
    values = {field: row[field] for field in Subscription._fields}
    return Subscription(**{**values, **{field: tuple(row[field]) for field in _LISTS}})


def subscription_row(subscription: Subscription) -> dict[str, Any]:
    """The subscription as a row of control_subscriptions."""
    row = subscription._asdict()
    return {**row, **{field: list(row[field]) for field in _LISTS}}


def _taken(connection: Connection, due: Sequence[Row[Any]], until: datetime, bundle: str = "") -> list[Leased]:
    """Lease these rows, which are locked."""
    taken = []
    for delivery, alert, subscription in map(leased_of, due):
        mine = delivery._replace(
            state="leased", next_at=until, attempts=delivery.attempts + 1, lease=delivery.lease + 1, bundle=bundle
        )
        taken.append((mine, alert, subscription))
    connection.execute(
        update(DeliveryRow)
        .where(DeliveryRow.id.in_([d.id for d, _, _ in taken]))
        .values(
            state="leased",
            next_at=until,
            attempts=DeliveryRow.attempts + 1,
            lease=DeliveryRow.lease + 1,
            bundle=bundle,
        )
    )
    return taken


def _make_ready(connection: Connection, now: datetime) -> None:
    """Give back what leases that ran out hold, and suppress what goes to nobody."""
    _change(
        connection,
        [DeliveryRow.state == "leased", DeliveryRow.next_at <= now],
        {"state": "pending", "reason": "the lease ran out before an outcome was known"},
    )
    active = select(SubscriptionRow.id).where(SubscriptionRow.active)
    _change(
        connection,
        [DeliveryRow.state.in_(WAITING), DeliveryRow.next_at <= now, DeliveryRow.subscription_id.not_in(active)],
        {
            "state": "suppressed",
            "why": "switched_off",
            "reason": "the subscription is switched off or gone",
            "ended_at": now,
        },
    )


def _change(connection: Connection, where: list[ColumnElement[bool]], values: dict[str, Any]) -> None:
    """Change the rows that fit and that nobody holds."""
    free = select(DeliveryRow.id).where(*where).with_for_update(skip_locked=True)
    connection.execute(update(DeliveryRow).where(DeliveryRow.id.in_(free)).values(**values))
