"""The dispatcher of one machine, from its settings."""

import random
from collections.abc import Mapping

from pipeline.clock import Clock
from pipeline.control.base import ControlStore
from pipeline.deliver.base import Channel
from pipeline.deliver.dispatcher import Dispatcher
from pipeline.deliver.log import LogChannel, WebChannel
from pipeline.deliver.webhook import WebhookChannel
from pipeline.settings import DeliverSettings


def build_dispatcher(
    control: ControlStore, deliver: DeliverSettings, clock: Clock, page: str = "http://127.0.0.1:8710"
) -> Dispatcher:
    """A dispatcher over log, web and webhook; `page` is where the web page is, for the links in messages."""
    secret = deliver.webhook_secret.get_secret_value() if deliver.webhook_secret else ""
    channels: Mapping[str, Channel] = {
        "log": LogChannel(),
        "web": WebChannel(),
        "webhook": WebhookChannel(secret, deliver.webhook_allow_private, clock),
    }
    links = f"{page.rstrip('/')}/alerts/"
    return Dispatcher(control, channels, clock, random.Random(), lambda alert: links + alert.alert_id)
