"""What people do with alerts: acknowledge, assign, snooze, resolve. Functions over the caller's transaction; each
says whether it changed anything, and what changed is in the audit log."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, delete, func, insert, select, update

from pipeline.control.base import Snooze, SnoozeScope
from pipeline.control.models import AuditRow, EpisodeRow, SnoozeRow, SubscriptionRow
from pipeline.control.upsert import put_if_changed
from pipeline.records import Alert

RISING = ("fired", "worse")  # these open an episode again that a person had closed


def audit(connection: Connection, at: datetime, by: str, action: str, subject: str, detail: str = "") -> None:
    """One row of the audit log."""
    connection.execute(insert(AuditRow).values(at=at, by=by, action=action, subject=subject, detail=detail))


def after_event(alert: Alert, status: str) -> dict[str, Any]:
    """The episode's status after an event: one that a person closed stays closed until it rises again."""
    if alert.event in RISING:
        return {"status": status, "resolved_by": None, "resolved_at": None, "resolve_reason": None}
    return {"status": case((EpisodeRow.resolved_by.is_not(None), "resolved"), else_=status)}


def acknowledge(connection: Connection, alert_id: str, by: str, at: datetime) -> bool:
    """The first acknowledgement stands; another one changes nothing."""
    changed = connection.execute(
        update(EpisodeRow)
        .where(EpisodeRow.alert_id == alert_id, EpisodeRow.acked_by.is_(None))
        .values(acked_by=by, acked_at=at)
    ).rowcount
    if changed:
        audit(connection, at, by, "acknowledge", alert_id)
    return bool(changed) or exists(connection, alert_id)


def assign(connection: Connection, alert_id: str, to: str, by: str, at: datetime) -> bool:
    """See ControlStore.assign."""
    wanted = to or None
    changed = connection.execute(
        update(EpisodeRow)
        .where(EpisodeRow.alert_id == alert_id, EpisodeRow.assigned_to.is_distinct_from(wanted))
        .values(assigned_to=wanted, assigned_at=at if wanted else None)
    ).rowcount
    if changed:
        audit(connection, at, by, "assign", alert_id, f"to {to}" if to else "to nobody")
    return bool(changed) or exists(connection, alert_id)


def snooze(connection: Connection, alert_id: str, until: datetime, by: str, at: datetime) -> bool:
    """See ControlStore.snooze."""
    changed = connection.execute(
        update(EpisodeRow)
        .where(EpisodeRow.alert_id == alert_id, EpisodeRow.snoozed_until.is_distinct_from(until))
        .values(snoozed_until=until, snoozed_by=by)
    ).rowcount
    if changed:
        audit(connection, at, by, "snooze", alert_id, f"until {until.isoformat()}")
    return bool(changed) or exists(connection, alert_id)


def resolve(connection: Connection, alert_id: str, by: str, at: datetime, reason: str) -> bool:
    """See ControlStore.resolve."""
    changed = connection.execute(
        update(EpisodeRow)
        .where(EpisodeRow.alert_id == alert_id, EpisodeRow.resolved_by.is_(None))
        .values(status="resolved", resolved_by=by, resolved_at=at, resolve_reason=reason)
    ).rowcount
    if changed:
        audit(connection, at, by, "resolve", alert_id, reason)
    return bool(changed) or exists(connection, alert_id)


def put_snooze(connection: Connection, snooze: Snooze) -> None:
    """See ControlStore.put_snooze."""
    if put_if_changed(connection, SnoozeRow, snooze._asdict()):
        detail = f"until {snooze.until.isoformat()}{': ' if snooze.reason else ''}{snooze.reason}"
        audit(connection, snooze.at, snooze.by, f"snooze_{snooze.scope}", snooze.subject, detail)


def snoozes(connection: Connection, now: datetime) -> list[Snooze]:
    """See ControlStore.snoozes."""
    query = select(SnoozeRow.__table__).where(SnoozeRow.until > now).order_by(SnoozeRow.scope, SnoozeRow.subject)
    return [Snooze(**dict(row._mapping)) for row in connection.execute(query)]


def end_escalations_to(connection: Connection, gone: str, by: str, at: datetime) -> None:
    """Those who escalated to a subscription that is removed escalate to nobody: both fields go together."""
    ended = connection.execute(
        update(SubscriptionRow)
        .where(SubscriptionRow.escalate_to == gone)
        .values(escalate_to="", escalate_min=0)
        .returning(SubscriptionRow.id, SubscriptionRow.channel, SubscriptionRow.active)
    )
    for id_, channel, active in sorted(ended):
        detail = f"{channel}, {'on' if active else 'off'}, escalates to nobody: {gone} is removed"
        audit(connection, at, by, "put_subscription", id_, detail)


def lift_snooze(connection: Connection, scope: SnoozeScope, subject: str, by: str, at: datetime) -> bool:
    """See ControlStore.lift_snooze."""
    lifted = connection.execute(
        delete(SnoozeRow).where(SnoozeRow.scope == scope, SnoozeRow.subject == subject, SnoozeRow.until > at)
    ).rowcount
    if lifted:
        audit(connection, at, by, "lift_snooze", f"{scope} {subject}")
    return bool(lifted)


def exists(connection: Connection, alert_id: str) -> bool:
    """Whether there is such an episode."""
    n = connection.execute(select(func.count()).select_from(EpisodeRow).where(EpisodeRow.alert_id == alert_id)).scalar()
    return bool(n)
