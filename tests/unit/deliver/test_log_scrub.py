"""No secret reaches a log, a stored reason or an audit row: real logs, real dispatcher, real channels, all failing."""

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from pipeline.cli.common import set_up_logs
from pipeline.compose import open_embedded
from pipeline.deliver.base import Message, Outcome
from pipeline.deliver.build import outgoing_channels
from pipeline.deliver.dispatcher import Dispatcher
from pipeline.deliver.secrets import Vault, new_key
from pipeline.settings import DeliverSettings, SmtpSettings
from tests.unit.deliver.alerts import make_alert, make_delivery, make_subscription

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TOKEN, SECRET, PASSWORD, HOOK = "tok0123456789abcdef", "SECret0123456789", "swordfish-swordfish", "hook-secret-0123"
HERE = f"http://127.0.0.1:9/robot/{TOKEN}?access_token={TOKEN}#secret={SECRET}"


class Careless:
    """A channel with a bug, which has the secret in a variable."""

    async def send(self, message: Message) -> Outcome:
        address = f"https://hooks.example/{TOKEN}"
        raise RuntimeError(f"a bug of {len(address)} characters")


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("channel", ["webhook", "slack", "teams", "dingtalk", "feishu", "wecom", "email", "careless"])
def test_nothing_leaks(channel: str, form: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    before = structlog.get_config()
    set_up_logs(form, verbose=True)
    try:
        smtp = SmtpSettings(host="127.0.0.1", port=9, username="w", password=SecretStr(PASSWORD), security="none")
        settings = DeliverSettings(webhook_secret=SecretStr(HOOK), webhook_allow_private=True, smtp=smtp)
        vault = Vault([new_key()])
        stores = open_embedded(tmp_path, clock=lambda: NOW)
        alert = make_alert()
        target = f"{TOKEN}@example.org" if channel == "email" else HERE
        subscription: Any = make_subscription(id="s", channel=channel, target=vault.seal(target))
        stores.control.put_subscription(subscription)
        stores.control.record_alert(alert, [make_delivery(alert, subscription, NOW)])
        channels: dict[str, Any] = {**outgoing_channels(settings, lambda: NOW, vault), "careless": Careless()}
        assert Dispatcher(stores.control, channels, lambda: NOW, random.Random(1)).run_once() == 1
        [row] = stores.control.deliveries()
        assert row.state == "retry", row
        kept = f"{row} {stores.control.audit()} {settings!r}"
        stores.close()
    finally:
        structlog.configure(**before)
    seen = capsys.readouterr().err
    assert channel != "careless" or "a bug of" in seen
    database = b"".join(p.read_bytes() for p in tmp_path.iterdir() if p.is_file())
    for secret in (TOKEN, SECRET, PASSWORD, HOOK):
        assert secret not in seen and secret not in kept and secret.encode() not in database, secret
