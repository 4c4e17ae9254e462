"""Delivers what the record stage wrote: every row is sent until the channel accepts it or it is visibly dead.

    0 escalate what nobody acknowledged in time
    1 lease due rows, then due digests
    2 look again (recheck.py): switched off, snoozed, told already, its turn, quiet hours, cap, the endpoint's budget
    3 send
    4 store the outcome

At least once: a crash between 3 and 4 lets the lease run out, and the row is sent again under the same id (a digest:
the same rows under the digest's id). An outcome is stored only under the lease it belongs to. Messages of one alert to
one subscription keep their order. Any number of dispatchers may work on one store.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from threading import Event
from typing import NamedTuple
from urllib.parse import quote

import structlog

from pipeline.clock import Clock
from pipeline.control.base import ControlStore, Delivery, DeliveryState, Ending, Leased, Subscription, Why
from pipeline.deliver.base import HELD, Channel, HeldBack, Links, Message, Outcome
from pipeline.deliver.card import digest_card
from pipeline.deliver.escalation import escalate
from pipeline.deliver.limits import Gate
from pipeline.deliver.plan import NEVER_CAPPED, day_began
from pipeline.deliver.recheck import COMBINED, Seen, look_again, over_before_told, over_budget
from pipeline.deliver.rows import RISING
from pipeline.deliver.sender import Sent
from pipeline.errors import Retry
from pipeline.records import Alert

log = structlog.get_logger(__name__)

LEASE_S = 120.0  # well above a channel's time limit: a lease runs out only when its holder died
BACKOFF_S, BACKOFF_CAP_S = 2.0, 900.0
GATHER_S = 30.0  # what is over an endpoint's budget is gathered so long before it goes out as one message
GIVE_UP = {"S1": timedelta(hours=24), "S2": timedelta(hours=6), "S3": timedelta(hours=1)}


def no_link(alert: Alert) -> str:
    return ""


def by_channel(subscription: Subscription) -> str:
    return subscription.channel


class Ways(NamedTuple):
    """The ways out: the gate that says how fast an endpoint may be written to (None: any speed), the name of the
    endpoint that a subscription leads to, and where the page is."""

    gate: Gate | None = None
    endpoint: Callable[[Subscription], str] = by_channel
    page: str = ""


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
        ways: Ways = Ways(),
    ) -> None:
        self._control = control
        self._channels = channels
        self._clock = clock
        self._rng = rng
        self._links = links
        self._ways = ways
        self._sending: Counter[str] = Counter()  # by subscription: they count towards its cap before they are stored

    def run_once(self, limit: int = 32) -> int:
        """One round; returns how many rows were leased. Raises Retry when the store is away."""
        escalate(self._control, self._clock())  # 0
        self._sending.clear()
        leased = self._control.lease_deliveries(self._clock(), limit, LEASE_S)  # 1 lease
        if leased:
            asyncio.run(self._round(leased))
        digest = self._control.lease_digest(self._clock(), LEASE_S)
        if digest:
            asyncio.run(self._digest(digest))
        return len(leased) + len(digest)

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
        for row in leased:  # most severe first: they ask the gate first
            series.setdefault((row[0].alert_id, row[0].subscription_id), []).append(row)
        ended = await asyncio.gather(*(self._in_order(rows) for rows in series.values()), return_exceptions=True)
        for failure in ended:  # only now: one failure must not cut off the others' sends
            if isinstance(failure, BaseException):
                raise failure

    async def _in_order(self, rows: Sequence[Leased]) -> None:
        for row in sorted(rows, key=lambda r: r[0].seq):
            ending = self._waits(row) or await self._deliver(row)
            self._store([ending])

    def _store(self, endings: Sequence[Ending]) -> None:
        if self._control.finish_deliveries(endings) < len(endings):  # 4 store
            log.warning("a lease ran out while its row was being sent; the outcome is the next holder's to store")

    def _waits(self, row: Leased) -> Ending | None:
        """2 look again: how the row ends or waits unsent; None: it is to be sent now."""
        delivery, alert, subscription = row
        now = self._clock()
        ending = look_again(delivery, alert, subscription, self._seen(row, now), now)
        if ending is None and (again := self._busy_until(subscription, now)):
            return over(row, again, now)
        return ending

    def _busy_until(self, subscription: Subscription, now: datetime) -> datetime | None:
        gate = self._ways.gate
        return None if gate is None else gate.may_send(self._ways.endpoint(subscription), now)

    def _seen(self, row: Leased, now: datetime) -> Seen:
        delivery, alert, s = row
        siblings = [
            d
            for d in self._control.deliveries(delivery.alert_id)
            if (d.subscription_id, d.channel, d.kind) == (s.id, delivery.channel, "event")
        ]
        told: Sequence[tuple[Alert, datetime]] = ()
        if s.cooldown_min and alert.event == "fired":
            told = self._control.told_of_key(s.id, alert.key, now - timedelta(minutes=s.cooldown_min))
        sent = 0
        if s.daily_cap and s.channel not in NEVER_CAPPED:
            sent = self._control.sent_since(s.id, day_began(s, now)) + self._sending[s.id]
        return Seen(self._control.episode(delivery.alert_id), siblings, self._control.snoozes(now), told, sent)

    async def _deliver(self, row: Leased) -> Ending:
        delivery, alert, subscription = row
        seen = self._seen(row, self._clock())
        both = over_before_told(delivery, alert, seen)
        newest = seen.episode.alert if both and seen.episode is not None else alert
        message = Message(delivery, newest, subscription, self._links(alert), both, self._also_held(row))
        self._sending[subscription.id] += 1
        outcome = await self._send(message)  # 3 send
        self._sending[subscription.id] -= 1
        if message.both and outcome.kind == "accepted":
            outcome = outcome._replace(reason=COMBINED)
        return after(delivery, alert, outcome, self._clock(), self._rng)

    def _also_held(self, row: Leased) -> HeldBack:
        """What else waits for the subscription as this row first goes out. Nothing at later tries: counts have moved
        on by then, and tries under one id must not tell different ones."""
        delivery, _, s = row
        if s.channel in NEVER_CAPPED or delivery.attempts > 1:
            return HeldBack()
        found = self._control.held_back(s.id, but=delivery.alert_id)
        return HeldBack(tuple((h.why, h.alerts) for h in found if h.why in HELD), self._sent_page(s))

    def _sent_page(self, subscription: Subscription) -> str:
        return f"{self._ways.page}/deliveries?subscription={quote(subscription.id)}" if self._ways.page else ""

    async def _digest(self, rows: Sequence[Leased]) -> None:
        """One message for many rows of one subscription. What is not wanted any more is stored before the send, so
        that after a crash the same digest is sent again."""
        kept = set()
        for row in sorted(rows, key=lambda r: r[0].seq):
            now = self._clock()
            ending = look_again(*row, self._seen(row, now), now)
            if ending is None:
                kept.add(row[0].id)
            else:
                self._store([ending])
        if not kept:
            return
        subscription, now = rows[0][2], self._clock()
        if again := self._busy_until(subscription, now):
            self._store([over(row, again, now) for row in rows if row[0].id in kept])
            return
        self._store(await self._send_digest([row for row in rows if row[0].id in kept]))

    async def _send_digest(self, rows: Sequence[Leased]) -> list[Ending]:
        messages = folded(rows, self._links)
        delivery, alert, subscription = rows[0]
        held = HeldBack(waited_for(rows), self._sent_page(subscription))
        send = getattr(self._channels.get(delivery.channel), "send_card", None)
        if len(messages) == 1 or send is None:
            if len(rows) > 1 and len(messages) == 1:
                messages = [messages[0]._replace(delivery=delivery._replace(id=delivery.bundle))]
            outcomes = [await self._send(m._replace(held=held)) for m in messages]
            outcome = next((o for o in outcomes if o.kind != "accepted"), outcomes[0])
        else:
            card = digest_card(messages, self._ways.page, held)
            outcome = await self._heard(subscription, send(card, subscription.target, delivery.bundle))
        ending = after(delivery, alert, outcome, self._clock(), self._rng)
        return [ending._replace(delivery_id=d.id, lease=d.lease) for d, _, _ in rows]

    async def _send(self, message: Message) -> Outcome:
        channel = self._channels.get(message.delivery.channel)
        if channel is None:
            known = ", ".join(sorted(self._channels)) or "none"
            return Outcome("permanent", f"There is no channel {message.delivery.channel!r} here (known: {known}).")
        return await self._heard(message.subscription, channel.send(message))

    async def _heard(self, subscription: Subscription, sending: Awaitable[Outcome | Sent]) -> Outcome:
        """Send, and tell the gate how it went. What goes wrong counts as transient."""
        try:
            answer = await sending
            outcome = answer.outcome if isinstance(answer, Sent) else answer
        except Exception as e:
            log.exception("channel failed", channel=subscription.channel, subscription=subscription.id)
            outcome = Outcome("transient", f"{type(e).__name__}: {e}")
        if self._ways.gate is not None:
            self._ways.gate.heard(self._ways.endpoint(subscription), outcome, self._clock())
        return outcome


def folded(rows: Sequence[Leased], links: Links) -> list[Message]:
    """One message per alert: its newest event, told together with its start where both are here. The same rows give
    the same messages at every try."""
    newest: dict[str, Message] = {}
    for delivery, alert, subscription in sorted(rows, key=lambda r: r[0].seq):
        before = newest.get(alert.alert_id)
        rose = before is not None and (before.both or before.alert.event in RISING)
        both = rose and alert.event == "resolved"
        newest[alert.alert_id] = Message(delivery, alert, subscription, links(alert), both)
    return list(newest.values())


def waited_for(rows: Sequence[Leased]) -> tuple[tuple[Why, int], ...]:
    """How many alerts were held back for each reason of HELD; the same rows give the same at every try."""
    whys = Counter({d.alert_id: d.why for d, _, _ in sorted(rows, key=lambda r: r[0].seq)}.values())
    return tuple((why, whys[why]) for why in HELD if whys[why])


def over(row: Leased, again: datetime, now: datetime) -> Ending:
    """What becomes of a row when its endpoint takes no more before `again`."""
    delivery, alert, _ = row
    if now < deadline(delivery, alert.severity, now):
        return over_budget(delivery, alert.severity, again, GATHER_S)
    said = f" The last answer: {delivery.answer}" if delivery.answer else ""
    words = f"Given up after {delivery.attempts - 1} tries: the channel takes no more.{said}"
    return Ending(delivery.id, "dead", words, None, delivery.lease, sent=False, digest=delivery.digest)


def deadline(delivery: Delivery, severity: str, now: datetime) -> datetime:
    """When a row is given up: 24, 6 or 1 h (by severity) after it was recorded, asked for again, or no longer held."""
    since = [at for at in (delivery.created_at, delivery.retried_at, delivery.until) if at is not None]
    return max(since, default=now) + GIVE_UP[severity]


def after(delivery: Delivery, alert: Alert, outcome: Outcome, now: datetime, rng: random.Random) -> Ending:
    """The row's next state: full-jitter back-off min(15 min, 2 s·2^n), Retry-After honoured, given up at its deadline,
    with a last try at that moment."""

    def ending(state: DeliveryState, reason: str, next_at: datetime | None = None) -> Ending:
        return Ending(delivery.id, state, reason, next_at, delivery.lease)

    if outcome.kind == "accepted":
        return ending("accepted", outcome.reason)
    if outcome.kind == "permanent":
        return ending("dead", outcome.reason)
    last = deadline(delivery, alert.severity, now)
    if now >= last:
        return ending("dead", f"Given up after {delivery.attempts} tries. The last: {outcome.reason}")
    wait = rng.uniform(0, min(BACKOFF_CAP_S, BACKOFF_S * 2 ** min(max(delivery.attempts - 1, 0), 20)))
    if outcome.after is not None:
        wait += outcome.after  # not before they asked, and not all at once
    return ending("retry", outcome.reason, min(now + timedelta(seconds=wait), max(last, now)))
