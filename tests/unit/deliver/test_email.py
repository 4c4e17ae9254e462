"""E-mail against a mail server on this machine: what arrives, and what each answer of the server means."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from pydantic import SecretStr

from pipeline.deliver.base import Message, Outcome
from pipeline.deliver.channels.email import EmailChannel, Mailer
from pipeline.deliver.secrets import Vault, new_key
from pipeline.settings import SmtpSettings
from tests.unit.deliver.alerts import make_alert, make_delivery, make_subscription

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PASSWORD = "swordfish-swordfish"


class Inbox:
    """Keeps what arrives; answers what it is told to."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.at_rcpt = "250 OK"
        self.at_data = "250 OK queued as 42"
        self.wait = threading.Event()
        self.slow = False

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.at_rcpt.startswith("2"):
            envelope.rcpt_tos.append(address)
        return self.at_rcpt

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.slow:
            await asyncio.sleep(2)
        if self.at_data == "cut":
            server.transport.abort()
            return "250 OK"
        if self.at_data.startswith("2"):
            self.mails.append(message_from_bytes(envelope.content, policy=default))
        return self.at_data


Server = Callable[..., tuple[Inbox, SmtpSettings]]


@pytest.fixture
def server() -> Iterator[Server]:
    running: list[Controller] = []

    def start(**options: Any) -> tuple[Inbox, SmtpSettings]:
        inbox = Inbox()
        with socket.create_server(("127.0.0.1", 0)) as held:
            port = held.getsockname()[1]
        controller = Controller(inbox, hostname="127.0.0.1", port=port, **options)
        controller.start()
        running.append(controller)
        sender = "Windvane <w@example.org>"
        return inbox, SmtpSettings(host="127.0.0.1", port=port, security="none", sender=sender, timeout_s=5)

    yield start
    for controller in running:
        controller.stop()


def send(smtp: SmtpSettings, to: str = "ann@example.org", vault: Vault = Vault(), language: str = "zh") -> Outcome:
    alert = make_alert()
    subscription = make_subscription(channel="email", target=to, language=language)
    message = Message(make_delivery(alert, subscription, NOW), alert, subscription, "http://page.example/alerts/a1")
    return asyncio.run(EmailChannel(Mailer(smtp, lambda: NOW), vault).send(message))


def test_a_mail_arrives_as_text_and_html(server: Server) -> None:
    inbox, smtp = server()
    vault = Vault([new_key()])
    got = send(smtp, vault.seal("ann@example.org"), vault)
    assert got.kind == "accepted" and "queued as 42" in got.reason
    [mail] = inbox.mails
    assert mail["To"] == "ann@example.org" and "苹果：3 条负面" in mail["Subject"]
    assert [p.get_content_type() for p in mail.walk()][1:] == ["text/plain", "text/html"]
    for part in ("plain", "html"):
        assert "http://page.example/alerts/a1" in mail.get_body((part,)).get_content()
    send(smtp)
    assert inbox.mails[1]["Message-ID"] == mail["Message-ID"]


@pytest.mark.parametrize(
    ("rcpt", "data", "kind"),
    [
        ("450 4.2.0 greylisted", "", "transient"),
        ("550 5.1.1 no such user", "", "permanent"),
        ("250 OK", "451 4.3.0 try again", "transient"),
        ("250 OK", "421 4.7.0 too many", "transient"),
        ("250 OK", "552 5.3.4 too big", "permanent"),
        ("250 OK", "554 5.7.1 spam", "permanent"),
        ("250 OK", "cut", "transient"),
    ],
)
def test_what_the_server_says(server: Server, rcpt: str, data: str, kind: str) -> None:
    inbox, smtp = server()
    inbox.at_rcpt, inbox.at_data = rcpt, data or inbox.at_data
    got = send(smtp)
    assert got.kind == kind, got
    if data != "cut":
        assert (data if rcpt.startswith("2") else rcpt)[:3] in got.reason


def test_a_slow_server(server: Server) -> None:
    inbox, smtp = server()
    inbox.slow = True
    got = send(smtp.model_copy(update={"timeout_s": 0.3}))
    assert got.kind == "transient" and "may have taken" in got.reason


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    assert send(SmtpSettings(host="127.0.0.1", port=port, security="none")).kind == "transient"


def test_a_server_without_encryption_is_refused_when_it_is_asked_for(server: Server) -> None:
    inbox, smtp = server()
    got = send(smtp.model_copy(update={"security": "starttls"}))
    assert got.kind == "permanent" and not inbox.mails, got


def test_log_in(server: Server) -> None:
    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)

    inbox, smtp = server(authenticator=check, auth_required=True, auth_require_tls=False)
    right = smtp.model_copy(update={"username": "w", "password": SecretStr(PASSWORD)})
    assert send(right).kind == "accepted"
    wrong = send(right.model_copy(update={"password": SecretStr("wrong-wrong-wrong")}))
    assert wrong.kind == "permanent" and "535" in wrong.reason and "wrong-wrong" not in wrong.reason
    assert len(inbox.mails) == 1


@pytest.mark.parametrize(
    "to", ["", "ann", "a@b.c, d@e.f", "Ann <a@b.c>", "a@b.c\nBcc: x@y.z", "a@b.c\r\nBcc: x@y.z", "<a@b.c>", "a b@c.d"]
)
def test_one_plain_address(server: Server, to: str) -> None:
    inbox, smtp = server()
    got = send(smtp, to)
    assert got.kind == "permanent" and "one e-mail address" in got.reason and not inbox.mails


def test_no_mail_server() -> None:
    got = send(SmtpSettings())
    assert got.kind == "permanent" and "deliver.smtp.host" in got.reason
