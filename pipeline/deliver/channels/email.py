"""E-mail over SMTP: one mail per message, as plain text and as HTML.

The Message-ID is the delivery's id at every try, so that mail programs drop a duplicate; mails of one alert stand in
one thread. What SMTP's codes mean: RFC 5321 (4yz: try again, 5yz: never).
"""

import ssl
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import NamedTuple

import aiosmtplib
import jinja2

from pipeline.clock import Clock, system_clock
from pipeline.deliver.base import Message, Outcome
from pipeline.deliver.card import Card, card_of, words
from pipeline.deliver.links import ActionLinks
from pipeline.deliver.secrets import Vault, scrubbed
from pipeline.deliver.sender import Sent
from pipeline.deliver.target import check_target
from pipeline.deliver.text import fit, one_line
from pipeline.errors import WindvaneError
from pipeline.settings import SmtpSettings

SUBJECT = 200  # bytes: longer ones are cut by mail programs, and 998 is the most of a line (RFC 5322)
_TEMPLATES = Path(__file__).parent.parent / "templates"


class Mailer(NamedTuple):
    """How mail leaves. `tls` None: the system's certificates."""

    smtp: SmtpSettings
    clock: Clock = system_clock
    tls: ssl.SSLContext | None = None


class EmailChannel:
    """One mail to the subscription's address."""

    def __init__(self, mailer: Mailer, vault: Vault = Vault(), actions: ActionLinks | None = None) -> None:
        self._mailer = mailer
        self._vault = vault
        self._actions = actions

    async def send(self, message: Message) -> Outcome:
        card = card_of(message, self._actions)
        return (await self.send_card(card, message.subscription.target, message.delivery.id)).outcome

    async def send_card(self, card: Card, target: str, delivery_id: str) -> Sent:
        """Send a card to a stored address."""
        smtp = self._mailer.smtp
        if not smtp.host:
            return Sent(Outcome("permanent", "There is no mail server. Set deliver.smtp.host."))
        try:
            to = self._vault.unseal(target).strip()
            check_target("email", to)
        except WindvaneError as e:
            return Sent(Outcome("permanent", str(e)))
        mail = compose(card, smtp.sender, to, delivery_id, self._mailer.clock())
        password = smtp.password.get_secret_value() if smtp.password else ""
        sent = await self._deliver(mail, password)
        return sent._replace(outcome=sent.outcome._replace(reason=scrubbed(sent.outcome.reason, password)))

    async def _deliver(self, mail: EmailMessage, password: str) -> Sent:
        smtp = self._mailer.smtp
        try:
            _, said = await aiosmtplib.send(
                mail,
                hostname=smtp.host,
                port=smtp.port,
                username=smtp.username,
                password=password or None,
                use_tls=smtp.security == "tls",
                start_tls=smtp.security == "starttls",
                timeout=smtp.timeout_s,
                tls_context=self._mailer.tls,
            )
        except Exception as e:
            return of_error(e)
        return Sent(Outcome("accepted", f"Answered 250: {one_line(said)[:200]}"), 250, said)


def compose(card: Card, sender: str, to: str, delivery_id: str, now: datetime) -> EmailMessage:
    """The mail of a card, as text and HTML. Header injection is refused by the library."""
    name, address = parseaddr(sender)
    host = address.rpartition("@")[2] or "localhost"
    mail = EmailMessage(policy=SMTP_POLICY)
    mail["From"] = Address(name, addr_spec=address)
    mail["To"] = to
    mail["Subject"] = fit(f"{card.title} · {card.sentence}", SUBJECT)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{delivery_id}@{host}>"
    if card.thread:
        mail["References"] = f"<{card.thread}@{host}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday replies
    env = _environment()
    values = {"card": card, "w": words(card.language)}
    mail.set_content(env.get_template("mail.txt").render(values))
    mail.add_alternative(env.get_template("mail.html").render(values), subtype="html")
    return mail


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def of_error(e: Exception) -> Sent:
    """What a failed send means, by the server's code."""
    if isinstance(e, aiosmtplib.SMTPRecipientsRefused) and e.recipients:
        e = e.recipients[0]  # there is one recipient, with its own code
    if isinstance(e, aiosmtplib.SMTPResponseException):
        said = one_line(str(e.message))[:200]
        reason = f"Answered {e.code}: {said}"
        return Sent(Outcome("permanent" if e.code >= 500 else "transient", reason), e.code, str(e.message))
    if isinstance(e, (aiosmtplib.SMTPTimeoutError, TimeoutError)):
        return Sent(Outcome("transient", "The mail server did not answer in time; it may have taken the mail."))
    if isinstance(e, aiosmtplib.SMTPConnectError | aiosmtplib.SMTPServerDisconnected | OSError):
        return Sent(Outcome("transient", f"The connection to the mail server failed: {one_line(str(e))[:200]}"))
    if isinstance(e, aiosmtplib.SMTPNotSupported | aiosmtplib.SMTPException):
        return Sent(Outcome("permanent", f"The mail server cannot do what is set: {one_line(str(e))[:200]}"))
    return Sent(Outcome("permanent", f"The mail could not be written: {type(e).__name__}: {one_line(str(e))[:200]}"))
