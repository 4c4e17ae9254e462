"""Escalation: an alert that nobody acknowledges in time goes to the subscription that stands behind."""

from datetime import datetime

from pipeline.control.base import ControlStore, Delivery, Episode, Leased, Subscription
from pipeline.deliver.recheck import SILENT, settled
from pipeline.deliver.rows import delivery, silence_of

AT_ONCE = 50


def escalate(control: ControlStore, now: datetime) -> int:
    """Decide what is due, each once however many dispatchers there are; returns how many were escalated."""
    due = control.due_escalations(now, AT_ONCE)
    if not due:
        return 0
    known = {s.id: s for s in control.subscriptions()}
    snoozes = control.snoozes(now)
    n = 0
    for leased in due:
        row, alert, subscription = leased
        episode = control.episode(row.alert_id)
        why_not = reason_against(leased, episode, known.get(subscription.escalate_to))
        if not why_not and (silence := silence_of(alert, episode, snoozes, now)) is not None:
            why_not = silence.reason
        if why_not:
            control.escalate(row.id, f"Not escalated: {why_not}", now)
            continue
        to = _row(leased, known[subscription.escalate_to], now)
        words = f"Nobody acknowledged within {subscription.escalate_min} min: sent to {to.subscription_id} too."
        n += control.escalate(row.id, words, now, to)
    return n


def reason_against(leased: Leased, episode: Episode | None, target: Subscription | None) -> str:
    """Why a row is not escalated; "" when it is."""
    row, _, subscription = leased
    if (done := settled(episode)) is not None:
        return done.reason
    if row.state in SILENT:
        return f"it was not to be told. {row.reason}"
    if not subscription.active:
        return "the subscription is switched off."
    if not subscription.escalate_to:
        return "the subscription no longer escalates to anybody."
    if target is None or not target.active:
        return f"there is no active subscription {subscription.escalate_to!r} to send it to."
    return ""


def _row(leased: Leased, target: Subscription, now: datetime) -> Delivery:
    """The row for `target`. One per event and subscription: a circle of subscriptions ends there."""
    return delivery(leased[1], target, now, kind="escalation")
