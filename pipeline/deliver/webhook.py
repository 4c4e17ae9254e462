"""The webhook channel: a signed POST after Standard Webhooks 1.0, its outcome read from status and body.

Headers: `webhook-id` is the delivery id, the same at every try (drop duplicates by it), `webhook-timestamp`, and with a
secret `webhook-signature` (HMAC-SHA256 over id.timestamp.body). Redirects are not followed.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime

import msgspec

from pipeline.deliver.base import Message, Outcome
from pipeline.deliver.card import Card
from pipeline.deliver.channels.base import Outlet
from pipeline.deliver.outcomes import of_webhook
from pipeline.deliver.sender import Request, Sent
from pipeline.deliver.target import open_target
from pipeline.errors import WindvaneError


class WebhookChannel:
    """Posts each message to its subscription's target. `secret` is "whsec_<base64>" or any text; a secret that comes
    with the target (#secret=…) goes before it."""

    def __init__(self, outlet: Outlet, secret: str = "") -> None:
        self._outlet = outlet
        self._secret = secret
        signing_key(secret)  # said at the start when it is none

    async def send(self, message: Message) -> Outcome:
        return (await self._post(payload(message), message.subscription.target, message.delivery.id)).outcome

    async def send_card(self, card: Card, target: str, delivery_id: str) -> Sent:
        """A digest or a test: type "digest" or "test", the card's texts as data."""
        return await self._post(card_payload(card, self._outlet.sender.clock()), target, delivery_id)

    async def _post(self, body: bytes, stored: str, delivery_id: str) -> Sent:
        sender = self._outlet.sender
        try:
            target = open_target(self._outlet.vault, stored)
            key = signing_key(target.secret or self._secret)
        except WindvaneError as e:
            return Sent(Outcome("permanent", str(e)))
        headers = signed_headers(delivery_id, sender.clock(), body, key)
        hidden = (*target.hidden, self._secret)
        return await sender.post(Request(target.url, body, headers, hidden), of_webhook)


def payload(message: Message) -> bytes:
    """{"type", "timestamp", "text", "link", "held": {why: alerts held back}, "data": the alert with its evidence}."""
    return msgspec.json.encode(
        {
            "type": f"alert.{message.event}",
            "timestamp": message.alert.at,
            "text": message.text,
            "link": message.link,
            "held": dict(message.held.counts),
            "data": message.alert,
        }
    )


def card_payload(card: Card, now: datetime) -> bytes:
    """{"type", "timestamp", "text", "link", "data": {"title", "lines": [{"text", "by", "url"}]}}."""
    return msgspec.json.encode(
        {
            "type": "test" if card.short_id == "test" else "digest",
            "timestamp": now,
            "text": card.sentence,
            "link": card.links[0].url if card.links else "",
            "data": {"title": card.title, "lines": [x._asdict() for x in card.lines]},
        }
    )


def signing_key(secret: str) -> bytes | None:
    """The key of a secret, None for none. Raises WindvaneError for a whsec_ secret that is not base64."""
    if not secret:
        return None
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as e:
        raise WindvaneError("The webhook secret begins with whsec_ but the rest is not base64. Copy it again.") from e


def signed_headers(delivery_id: str, now: datetime, body: bytes, key: bytes | None) -> Mapping[str, str]:
    """The Standard Webhooks headers."""
    stamp = str(int(now.timestamp()))
    headers = {"Content-Type": "application/json", "webhook-id": delivery_id, "webhook-timestamp": stamp}
    if key is not None:
        mac = hmac.digest(key, f"{delivery_id}.{stamp}.".encode() + body, hashlib.sha256)
        headers["webhook-signature"] = "v1," + base64.b64encode(mac).decode()
    return headers
