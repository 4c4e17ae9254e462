"""What a channel is given and what it answers."""

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from pipeline.control.base import Delivery, Subscription, Why
from pipeline.records import Alert

OutcomeKind = Literal["accepted", "retry_after", "transient", "permanent"]


class Outcome(NamedTuple):
    """How one send ended. `after`: seconds the other side asked us to wait (retry_after)."""

    kind: OutcomeKind
    reason: str
    after: float | None = None


HELD: tuple[Why, ...] = ("quiet_hours", "daily_cap", "rate_limit")  # against people's wish to hear at once


class HeldBack(NamedTuple):
    """Alerts of a subscription that were not told at once: how many for each reason of HELD, and where to see them."""

    counts: tuple[tuple[Why, int], ...] = ()
    link: str = ""


class Message(NamedTuple):
    """One alert event for one subscription. `both`: the episode had ended before its first message, so this one
    tells of its start and its end. `held`: what else waits as this goes out, or what this one waited for."""

    delivery: Delivery
    alert: Alert
    subscription: Subscription
    link: str
    both: bool = False
    held: HeldBack = HeldBack()

    @property
    def event(self) -> str:
        """fired, worse, resolved, corrected, fired_and_resolved, or escalated (nobody acknowledged it elsewhere)."""
        if self.delivery.kind == "escalation":
            return "escalated"
        return "fired_and_resolved" if self.both else self.alert.event

    @property
    def text(self) -> str:
        """One plain sentence in the subscriber's language, after what has happened to the alert."""
        evidence = self.alert.evidence
        zh = self.subscription.language == "zh"
        sentence = evidence.sentence_zh if zh else evidence.sentence_en
        lead = _LEADS[self.event][zh]
        return f"{lead}{'：' if zh else ': '}{sentence}" if lead else sentence


_LEADS: dict[str, tuple[str, str]] = {  # English, Chinese
    "fired": ("", ""),
    "worse": ("Getting worse", "情况加剧"),
    "resolved": ("Over", "已平息"),
    "corrected": ("Corrected", "更正"),
    "fired_and_resolved": ("Fired and already over", "曾触发，现已平息"),
    "escalated": ("Nobody has acknowledged this yet", "尚无人确认"),
}

Links = Callable[[Alert], str]  # where a person sees the alert


class Channel(Protocol):
    """A way to reach people. Sending the same delivery id again must be safe."""

    async def send(self, message: Message) -> Outcome:
        """Hand the message over. What goes wrong is an Outcome; an exception counts as transient."""
