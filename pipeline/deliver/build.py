"""The dispatcher and the channels of one machine, from its settings."""

import random
from collections.abc import Mapping
from typing import Protocol

from pipeline.clock import Clock
from pipeline.control.base import ControlStore, Subscription
from pipeline.deliver.base import Channel, Links
from pipeline.deliver.card import Card
from pipeline.deliver.channels.base import ChatChannel, Outlet
from pipeline.deliver.channels.dingtalk import DINGTALK
from pipeline.deliver.channels.email import EmailChannel, Mailer
from pipeline.deliver.channels.feishu import FEISHU
from pipeline.deliver.channels.slack import SLACK
from pipeline.deliver.channels.teams import TEAMS
from pipeline.deliver.channels.wecom import WECOM
from pipeline.deliver.dispatcher import Dispatcher, Ways
from pipeline.deliver.limits import Gate, endpoint_of
from pipeline.deliver.links import ActionLinks, action_links
from pipeline.deliver.log import LogChannel, WebChannel
from pipeline.deliver.secrets import Vault, open_vault
from pipeline.deliver.sender import HttpSender, Sent
from pipeline.deliver.webhook import WebhookChannel
from pipeline.errors import WindvaneError
from pipeline.settings import DeliverSettings, Settings

PAGE = "http://127.0.0.1:8710"


class CardChannel(Channel, Protocol):
    """A channel to somewhere else. `target` is as stored (sealed or not)."""

    async def send_card(self, card: Card, target: str, delivery_id: str) -> Sent:
        """Send a digest or a test; never raises."""


def vault_of(settings: Settings) -> Vault:
    """The vault of the settings' key; embedded runs without one keep a key file in the data folder."""
    key = settings.deliver.secret_key
    embedded = not settings.postgres.url
    return open_vault(key.get_secret_value() if key else None, settings.data_dir if embedded else None)


def page_of(deliver: DeliverSettings, page: str = PAGE) -> str:
    """Where links in messages lead, without a slash at the end: deliver.page, else where the page is served."""
    return (deliver.page or page).rstrip("/")


def outgoing_channels(
    deliver: DeliverSettings, clock: Clock, vault: Vault, actions: ActionLinks | None = None
) -> dict[str, CardChannel]:
    """Every channel that leads out of this machine, by name."""
    outlet = Outlet(HttpSender(deliver.webhook_allow_private, clock), vault, actions)
    secret = deliver.webhook_secret.get_secret_value() if deliver.webhook_secret else ""
    return {
        "webhook": WebhookChannel(outlet, secret),
        "email": EmailChannel(Mailer(deliver.smtp, clock), vault, actions),
        **{p.name: ChatChannel(p, outlet) for p in (SLACK, TEAMS, DINGTALK, FEISHU, WECOM)},
    }


def build_dispatcher(
    control: ControlStore, deliver: DeliverSettings, clock: Clock, page: str = PAGE, vault: Vault = Vault()
) -> Dispatcher:
    """A dispatcher over every channel; `page` is where the web page is, for the links in messages."""
    base = page_of(deliver, page)
    outgoing = outgoing_channels(deliver, clock, vault, action_links(vault, base))
    channels: Mapping[str, Channel] = {"log": LogChannel(), "web": WebChannel(), **outgoing}

    def endpoint(subscription: Subscription) -> str:
        try:
            return endpoint_of(subscription.channel, vault.unseal(subscription.target))
        except WindvaneError:  # sealed with another key: the channel says so
            return subscription.channel

    links: Links = lambda alert: f"{base}/alerts/{alert.alert_id}"  # noqa: E731
    ways = Ways(Gate(dispatchers=deliver.dispatchers), endpoint, base)
    return Dispatcher(control, channels, clock, random.Random(), links, ways)
