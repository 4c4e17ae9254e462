"""The test button: one labelled message to a subscription's channel, with the provider's raw answer."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from pipeline.control.base import Subscription
from pipeline.deliver.card import Card, trial_card
from pipeline.deliver.sender import Sent


class SendsCards(Protocol):
    """A channel that leads out of this machine."""

    async def send_card(self, card: Card, target: str, delivery_id: str) -> Sent: ...


def trial(subscription: Subscription, channels: Mapping[str, Any], page: str, now: datetime) -> dict[str, Any]:
    """{"outcome", "reason", "status", "said"}: what became of it, and the provider's words. Call it from a thread
    that has no event loop."""
    channel: SendsCards | None = channels.get(subscription.channel)
    if channel is None:
        said = f"{subscription.channel} leads nowhere else: alerts are there as soon as they are recorded."
        return {"outcome": "accepted", "reason": said, "status": None, "said": ""}
    card = trial_card(subscription.language, page)
    test_id = f"test-{subscription.id}-{int(now.timestamp() * 1000)}"
    sent = asyncio.run(channel.send_card(card, subscription.target, test_id))
    outcome = sent.outcome
    return {"outcome": outcome.kind, "reason": outcome.reason, "status": sent.status, "said": sent.said}
