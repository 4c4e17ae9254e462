"""Links in messages with which a person acts on an alert: signed, expiring, and acting only on POST.

A link is HMAC-SHA256 (RFC 2104, cut to 128 bits) over action, alert, subscription and expiry, under a key derived from
deliver.secret_key. Opening it shows a page with a button: mail scanners fetch every link they see.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, get_args
from urllib.parse import quote, urlencode

import msgspec

from pipeline.deliver.secrets import Vault
from pipeline.errors import WindvaneError

Action = Literal["ack", "snooze_1h", "snooze_24h", "resolve"]
ACTIONS: tuple[Action, ...] = get_args(Action)
VALID = timedelta(days=3)  # longer than the 24 h in which the most severe alert is still being sent
_MAC_BYTES = 16


class Claim(NamedTuple):
    """What a valid link allows."""

    action: Action
    alert_id: str
    subscription_id: str
    expires: datetime


class LinkRefused(WindvaneError):
    """A link that was changed or not made here (403), or has expired (410)."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class ActionLinks:
    """Makes and checks links. `keys`: the first signs, each checks; `page`: where people reach the page; `offered`:
    what messages offer."""

    def __init__(
        self,
        keys: Sequence[bytes],
        page: str,
        offered: tuple[Action, ...] = ACTIONS,
        valid: timedelta = VALID,
    ) -> None:
        if not keys:
            raise ValueError("links need a signing key")
        self._keys = tuple(keys)
        self._page = page.rstrip("/")
        self.offered = offered
        self.valid = valid

    def url(self, action: Action, alert_id: str, subscription_id: str, expires: datetime) -> str:
        """The link's address; `expires` is rounded down to the second."""
        at = int(expires.timestamp())
        mac = _mac(self._keys[0], action, alert_id, subscription_id, at).decode()
        query = urlencode({"s": subscription_id, "e": at, "m": mac})
        return f"{self._page}/act/{action}/{quote(alert_id, safe='')}?{query}"

    def check(self, action: str, alert_id: str, query: tuple[str, str, str], now: datetime) -> Claim:
        """The claim of a link; `query` is its s, e and m. Raises LinkRefused."""
        subscription_id, expires, mac = query
        if action not in ACTIONS or not (expires.isascii() and expires.isdigit() and len(expires) <= 11):
            raise LinkRefused(403, "This link is not whole. Open it from the message again, without changing it.")
        at = int(expires)
        given = mac.strip().encode()
        if not any(hmac.compare_digest(_mac(k, action, alert_id, subscription_id, at), given) for k in self._keys):
            raise LinkRefused(
                403, "This link was changed, or made with another key. Open it from the message again, or use the page."
            )
        until = datetime.fromtimestamp(at, UTC)
        if now >= until:
            raise LinkRefused(410, f"This link expired at {until:%Y-%m-%d %H:%M} UTC. Open the alert's page instead.")
        return Claim(action, alert_id, subscription_id, until)  # type: ignore[arg-type]


def action_links(vault: Vault, page: str, offered: tuple[Action, ...] = ACTIONS) -> ActionLinks | None:
    """Links under the vault's keys; None without keys: then messages only link to the page."""
    keys = vault.keys_for("action links")
    return ActionLinks(keys, page, offered) if keys else None


def _mac(key: bytes, action: str, alert_id: str, subscription_id: str, expires: int) -> bytes:
    said = msgspec.json.encode([action, alert_id, subscription_id, expires])  # unambiguous where parts touch
    mac = hmac.digest(key, said, hashlib.sha256)[:_MAC_BYTES]
    return base64.urlsafe_b64encode(mac).rstrip(b"=")
