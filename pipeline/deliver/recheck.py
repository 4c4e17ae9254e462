"""Looking again before a row is sent: still wanted, its turn, not told already, not now. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from pipeline.control.base import Delivery, DeliveryState, Ending, Episode, Snooze, Subscription, Why
from pipeline.deliver.plan import Plan, plan, quiet_until
from pipeline.deliver.rows import RISING, Silence, held_words, silence_of
from pipeline.records import Alert

OPEN: tuple[DeliveryState, ...] = ("pending", "leased", "retry")
SILENT: tuple[DeliveryState, ...] = ("suppressed", "expired")
COMBINED = "Fired and resolved, told in one message."


class Seen(NamedTuple):
    """What a row is judged by. `siblings`: the rows of the same alert to the same subscription, escalations aside;
    `told`: what the subscription was told of the same key within its cool-down, and when."""

    episode: Episode | None
    siblings: Sequence[Delivery] = ()
    snoozes: Sequence[Snooze] = ()
    told: Sequence[tuple[Alert, datetime]] = ()
    sent_today: int = 0

    def earlier(self, delivery: Delivery) -> list[Delivery]:
        return [d for d in self.siblings if d.seq < delivery.seq]


def look_again(
    delivery: Delivery, alert: Alert, subscription: Subscription, seen: Seen, now: datetime
) -> Ending | None:
    """How the row ends without being sent, or waits on; None: send it now."""
    if delivery.state == "leased" and now >= delivery.next_at:  # this process slept: the row may be another's by now
        return _held(delivery, Plan(now, delivery.why), "The lease ran out before this was sent.", delivery.until)
    if not subscription.active:
        return _silenced(delivery, Silence("switched_off", "The subscription was switched off before this was sent."))
    if (wait := _its_turn(delivery, alert, seen, now)) is not None:
        return wait
    if delivery.retried_at is not None or (delivery.bundle and delivery.attempts > 1):
        return None  # a person wants it sent; or the digest may have arrived: it is sent again as it was
    if (silence := _unwanted(delivery, alert, subscription, seen, now)) is not None:
        return _silenced(delivery, silence)
    return _not_now(delivery, alert, subscription, seen, now)


def _its_turn(delivery: Delivery, alert: Alert, seen: Seen, now: datetime) -> Ending | None:
    """Messages of one alert keep their order. What rises does not wait for one that is held (which is told already
    then); its end waits, and is told with it."""
    if delivery.kind != "event":
        return None
    earlier = [d for d in seen.earlier(delivery) if d.state in OPEN and not (d.bundle and d.bundle == delivery.bundle)]
    held = [d for d in earlier if d.digest and d.state == "pending" and d.next_at > now]
    sending = [d.next_at for d in earlier if d not in held]
    if sending:
        due = max(now, *sending) + timedelta(seconds=1)
        words = "Waits for an earlier message of the same alert."
        return _held(delivery, Plan(due, delivery.why), words, delivery.until)
    if held and alert.event not in RISING:
        last = max(held, key=lambda d: d.next_at)
        words = "Waits for an earlier message of the same alert, to be told with it."
        return _held(delivery._replace(digest=True), Plan(last.next_at, last.why), words, last.until)
    return None


def _unwanted(
    delivery: Delivery, alert: Alert, subscription: Subscription, seen: Seen, now: datetime
) -> Silence | None:
    episode = seen.episode
    if (snoozed := silence_of(alert, episode, seen.snoozes, now)) is not None:
        return snoozed
    if delivery.kind == "escalation":
        return settled(episode)
    earlier = seen.earlier(delivery)
    if (told := _told(delivery, alert, seen, earlier)) is not None:
        return told
    if episode is not None and episode.resolved_by and alert.event in RISING:
        return settled(episode._replace(acked_by=None))
    if alert.event not in RISING and earlier and all(d.state in SILENT for d in earlier):
        last = earlier[-1]
        return Silence(
            last.why, f"Nothing of this alert was told here, so its end is not either. {last.reason}", last.by
        )
    return _cooling(alert, subscription, seen)


def _told(delivery: Delivery, alert: Alert, seen: Seen, earlier: Sequence[Delivery]) -> Silence | None:
    if alert.event in ("worse", "resolved") and any(d.state == "accepted" and d.reason == COMBINED for d in earlier):
        return Silence("told", "Told already: the message before said that it fired and is over.")
    if delivery.digest and any(d.state == "accepted" and d.seq > delivery.seq for d in seen.siblings):
        return Silence("told", "Told already: a later message of the same alert went out before this one was due.")
    return None


def _cooling(alert: Alert, subscription: Subscription, seen: Seen) -> Silence | None:
    if not subscription.cooldown_min or alert.event != "fired":
        return None
    for before, at in reversed(seen.told):
        if before.alert_id != alert.alert_id and before.severity <= alert.severity:
            until = at + timedelta(minutes=subscription.cooldown_min)
            words = f"Cool-down: told of {alert.key} at {at.isoformat(timespec='seconds')}, {before.severity}."
            return Silence("cooldown", words, until=until)
    return None


def settled(episode: Episode | None) -> Silence | None:
    """What people did with an alert that ends its being told further."""
    if episode is None:
        return None
    if episode.resolved_by:
        said = f": {episode.resolve_reason}" if episode.resolve_reason else "."
        return Silence("resolved", f"Resolved by {episode.resolved_by}{said}", episode.resolved_by)
    if episode.status == "resolved":
        return Silence("resolved", "It is over.")
    if episode.acked_by:
        return Silence("acknowledged", f"Acknowledged by {episode.acked_by}.", episode.acked_by)
    return None


def _not_now(delivery: Delivery, alert: Alert, subscription: Subscription, seen: Seen, now: datetime) -> Ending | None:
    """Quiet hours, digest and cap once more: settings change, and retries come at any hour."""
    when = plan(subscription, alert.severity, now, seen.sent_today)
    if delivery.digest or delivery.attempts > 1:  # its digest is due, or it was tried: only quiet hours hold it
        end = None if when.due == now else quiet_until(subscription, now)
        if end is None:
            return None
        when = Plan(end, "quiet_hours")
        if not delivery.digest:  # its id may have arrived: it stays a message of its own
            return _held(delivery, when, held_words(when.why, when.due), when.due)._replace(digest=False)
    if when.due <= now:
        return None
    return _held(delivery, when, held_words(when.why, when.due), when.due)._replace(digest=True)


def over_budget(delivery: Delivery, severity: str, again: datetime, gather_s: float) -> Ending:
    """The endpoint takes no more now: S3 that was not tried yet goes into one message with the others."""
    if severity == "S3" and delivery.attempts <= 1 and delivery.kind == "event":
        again += timedelta(seconds=0 if delivery.digest else gather_s)
        delivery = delivery._replace(digest=True)
    return _held(delivery, Plan(again, "rate_limit"), held_words("rate_limit", again), delivery.until)


def _held(delivery: Delivery, when: Plan, reason: str, until: datetime | None) -> Ending:
    return Ending(
        delivery.id, "pending", reason, when.due, delivery.lease,
        sent=False, why=when.why, until=until, digest=delivery.digest,
    )  # fmt: skip


def _silenced(delivery: Delivery, silence: Silence) -> Ending:
    state: DeliveryState = "expired" if silence.why == "switched_off" else "suppressed"
    why: Why = silence.why
    return Ending(
        delivery.id, state, silence.reason, None, delivery.lease,
        sent=False, why=why, by=silence.by, until=silence.until, digest=delivery.digest,
    )  # fmt: skip


def over_before_told(delivery: Delivery, alert: Alert, seen: Seen) -> bool:
    """Whether the episode ended before its first message, so that one message tells both. Only a row that was never
    tried may change what it says: a receiver drops a second text under the same id."""
    over = seen.episode is not None and seen.episode.status == "resolved" and alert.event in RISING
    first = not any(d.state == "accepted" for d in seen.earlier(delivery))
    return over and delivery.kind == "event" and delivery.attempts <= 1 and first
