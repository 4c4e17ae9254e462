"""Delivers what the record stage wrote: every row is sent until the channel accepts it or it is visibly dead.

    1 lease due rows
    2 look again: switched off, snoozed, an earlier message still on its way
    3 send
    4 store the outcome

At least once: a crash between 3 and 4 lets the lease run out, and the row is sent again under the same id. Messages of
one alert to one subscription keep their order. Any number of dispatchers may work on one store.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from threading import Event
from typing import NamedTuple

import structlog

from pipeline.clock import Clock
from pipeline.control.base import ControlStore, Delivery, DeliveryState, Episode, Subscription
from pipeline.deliver.base import Channel, Links, Message, Outcome
from pipeline.errors import Retry
from pipeline.records import Alert
from pipeline.stages.record import suppression

log = structlog.get_logger(__name__)

LEASE_S = 120.0  # well above a channel's time limit: a lease runs out only when its holder died
BACKOFF_S, BACKOFF_CAP_S = 2.0, 900.0
GIVE_UP = {"S1": timedelta(hours=24), "S2": timedelta(hours=6), "S3": timedelta(hours=1)}
OPEN: tuple[DeliveryState, ...] = ("pending", "leased", "retry")
COMBINED = "Fired and resolved, told in one message."

Leased = tuple[Delivery, Alert, Subscription]


class Verdict(NamedTuple):
    """What becomes of a row."""

    state: DeliveryState
    reason: str
    next_at: datetime | None = None


def no_link(alert: Alert) -> str:
    return ""


class Dispatcher:
    """Sends due deliveries through `channels` (by name). Call it from a thread of its own: sends run in parallel
    on an event loop that lives for one round."""

    def __init__(
        self,
        control: ControlStore,
        channels: Mapping[str, Channel],
        clock: Clock,
        rng: random.Random,
        links: Links = no_link,
    ) -> None:
        self._control = control
        self._channels = channels
        self._clock = clock
        self._rng = rng
        self._links = links

    def run_once(self, limit: int = 32) -> int:
        """One round; returns how many rows were leased. Raises Retry when the store is away."""
        leased = self._control.lease_deliveries(self._clock(), limit, LEASE_S)  # 1 lease
        if leased:
            asyncio.run(self._round(leased))
        return len(leased)

    def run(self, stop: Event, idle_s: float = 0.5, after_bug_s: float = 5.0) -> None:
        """Rounds until `stop`. An outage of the store is waited out; so is anything else that goes wrong, loudly:
        alerts that nobody sends are worse than a round that fails again."""
        while not stop.is_set():
            try:
                if self.run_once() == 0:
                    stop.wait(idle_s)
            except Retry as e:
                log.warning("waiting", part="deliver", reason=e.reason, seconds=e.after)
                stop.wait(e.after)
            except Exception:
                log.exception("a round of deliveries failed; trying again")
                stop.wait(after_bug_s)

    async def _round(self, leased: Sequence[Leased]) -> None:
        series: dict[tuple[str, str], list[Leased]] = {}
        for row in sorted(leased, key=lambda r: r[0].seq):
            series.setdefault((row[0].alert_id, row[0].subscription_id), []).append(row)
        ended = await asyncio.gather(*(self._in_order(rows) for rows in series.values()), return_exceptions=True)
        for failure in ended:  # only now: one failure must not cut off the others' sends
            if isinstance(failure, BaseException):
                raise failure

    async def _in_order(self, rows: Sequence[Leased]) -> None:
        for delivery, alert, subscription in rows:
            verdict = await self._deliver(delivery, alert, subscription)
            self._control.finish_delivery(delivery.id, verdict.state, verdict.reason, verdict.next_at)  # 4 store

    async def _deliver(self, delivery: Delivery, alert: Alert, subscription: Subscription) -> Verdict:
        now = self._clock()
        episode = self._control.episode(alert.alert_id)
        earlier = self._earlier(delivery)
        verdict = recheck(alert, subscription, earlier, now)  # 2 look again
        if verdict is None and (why := suppression(episode, now)):
            verdict = Verdict("suppressed", why)
        if verdict is not None:
            return verdict
        both = over_before_told(delivery, alert, episode, earlier)
        newest = episode.alert if both and episode is not None else alert
        outcome = await self._send(Message(delivery, newest, subscription, self._links(alert), both))  # 3 send
        if both and outcome.kind == "accepted":
            outcome = outcome._replace(reason=COMBINED)
        return after(delivery, alert, outcome, self._clock(), self._rng)

    def _earlier(self, delivery: Delivery) -> list[Delivery]:
        """The rows of the same alert to the same subscription that come before this one."""
        return [
            d
            for d in self._control.deliveries(delivery.alert_id)
            if d.seq < delivery.seq and (d.subscription_id, d.channel) == (delivery.subscription_id, delivery.channel)
        ]

    async def _send(self, message: Message) -> Outcome:
        channel = self._channels.get(message.delivery.channel)
        if channel is None:
            known = ", ".join(sorted(self._channels)) or "none"
            return Outcome("permanent", f"There is no channel {message.delivery.channel!r} here (known: {known}).")
        try:
            return await channel.send(message)
        except Exception as e:
            log.exception("channel failed", channel=message.delivery.channel, delivery=message.delivery.id)
            return Outcome("transient", f"{type(e).__name__}: {e}")


def recheck(alert: Alert, subscription: Subscription, earlier: Sequence[Delivery], now: datetime) -> Verdict | None:
    """Whether a row should still be sent now (None), later, or not at all; `earlier` are the rows before it."""
    if not subscription.active:
        return Verdict("expired", "The subscription was switched off before this was sent.")
    waiting = [d.next_at for d in earlier if d.state in OPEN]
    if waiting:
        due = max(now, *waiting) + timedelta(seconds=1)
        return Verdict("pending", "Waits for an earlier message of the same alert.", due)
    if alert.event in ("worse", "resolved") and any(d.state == "accepted" and d.reason == COMBINED for d in earlier):
        return Verdict("suppressed", "Told already: the message before said that it fired and is over.")
    return None


def over_before_told(delivery: Delivery, alert: Alert, episode: Episode | None, earlier: Sequence[Delivery]) -> bool:
    """Whether the episode ended before its first message, so that one message tells both. Only a row that was never
    tried may change what it says: a receiver drops a second text under the same id."""
    over = episode is not None and episode.status == "resolved" and alert.event in ("fired", "worse")
    return over and delivery.attempts <= 1 and not any(d.state == "accepted" for d in earlier)


def after(delivery: Delivery, alert: Alert, outcome: Outcome, now: datetime, rng: random.Random) -> Verdict:
    """The row's next state: full-jitter back-off min(15 min, 2 s·2^n), Retry-After honoured, given up 24, 6 or 1 h
    (by severity) after it was recorded, with a last try at that moment."""
    if outcome.kind == "accepted":
        return Verdict("accepted", outcome.reason)
    if outcome.kind == "permanent":
        return Verdict("dead", outcome.reason)
    deadline = (delivery.created_at or now) + GIVE_UP[alert.severity]
    if now >= deadline:
        return Verdict("dead", f"Given up after {delivery.attempts} tries. The last: {outcome.reason}")
    wait = rng.uniform(0, min(BACKOFF_CAP_S, BACKOFF_S * 2 ** min(max(delivery.attempts - 1, 0), 20)))
    if outcome.after is not None:
        wait += outcome.after  # not before they asked, and not all at once
    return Verdict("retry", outcome.reason, min(now + timedelta(seconds=wait), max(deadline, now)))
