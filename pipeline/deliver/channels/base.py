"""What the chat channels share: a card becomes a request, an answer becomes an outcome."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from pipeline.deliver.base import Message, Outcome
from pipeline.deliver.card import Card, card_of
from pipeline.deliver.links import ActionLinks
from pipeline.deliver.outcomes import Reader
from pipeline.deliver.secrets import Vault
from pipeline.deliver.sender import HttpSender, Request, Sent
from pipeline.deliver.target import Target, open_target
from pipeline.errors import WindvaneError

Body = Mapping[str, Any]
_JSON = {"Content-Type": "application/json; charset=utf-8"}


class Provider(NamedTuple):
    """A chat service: how a card is written for it within its limits, how a request is signed, how its answer is
    read."""

    name: str
    write: Callable[[Card], Body]
    read: Reader
    sign: Callable[[Target, Body, datetime], tuple[str, Body]] = lambda target, body, now: (target.url, body)


class Outlet(NamedTuple):
    """What a channel needs besides its provider."""

    sender: HttpSender
    vault: Vault = Vault()
    actions: ActionLinks | None = None


class ChatChannel:
    """A provider's channel. Sends messages (the dispatcher) and cards (digests, the test button)."""

    def __init__(self, provider: Provider, outlet: Outlet) -> None:
        self._provider = provider
        self._outlet = outlet

    async def send(self, message: Message) -> Outcome:
        card = card_of(message, self._outlet.actions)
        return (await self.send_card(card, message.subscription.target, message.delivery.id)).outcome

    async def send_card(self, card: Card, target: str, delivery_id: str) -> Sent:
        """Send a card to a stored target. `delivery_id` is the same at every try (chat services know no such id)."""
        sender = self._outlet.sender
        try:
            opened = open_target(self._outlet.vault, target)
            url, body = self._provider.sign(opened, self._provider.write(card), sender.clock())
        except WindvaneError as e:
            return Sent(Outcome("permanent", str(e)))
        except ValueError:  # its text would hold the address
            return Sent(Outcome("permanent", "The address is no web address. Expected https://…; copy it again."))
        request = Request(url, msgspec.json.encode(body), _JSON, (*opened.hidden, url))
        return await sender.post(request, self._provider.read)


def json_size(body: Body) -> int:
    """Bytes of a body as it is sent."""
    return len(msgspec.json.encode(body))
