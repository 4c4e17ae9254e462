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
from typing import Any

import aiohttp
import msgspec

from pipeline.clock import Clock, system_clock
from pipeline.deliver.base import Message, Outcome
from pipeline.errors import WindvaneError
from pipeline.sources.http import Answer, Caps, Client, Refused, open_session, retry_after

AGENT = "Windvane-Webhook/1"
CAPS = Caps(seconds=10.0, bytes=65_536, redirects=0)

# Chat services answer 200 with an error code: DingTalk and WeCom in `errcode`, Feishu in `code`.
TOO_FAST = frozenset({45009, 130101, 11232, 230020, 9499})
NEVER = frozenset({310000, 300001, 19021, 19024, 19001, 93000})  # bad signature, keyword or token
_TOO_FAST_S = 60.0  # their limits are per minute


class WebhookChannel:
    """Posts each message to its subscription's target. `secret` is "whsec_<base64>" or any text."""

    def __init__(
        self, secret: str = "", allow_private: bool = False, clock: Clock = system_clock, caps: Caps = CAPS
    ) -> None:
        self._key = signing_key(secret)
        self._allow_private = allow_private
        self._clock = clock
        self._caps = caps

    async def send(self, message: Message) -> Outcome:
        now = self._clock()
        body = payload(message)
        headers = signed_headers(message.delivery.id, now, body, self._key)
        try:
            async with open_session(AGENT, self._caps, self._allow_private) as session:
                client = Client(session, self._caps, self._allow_private)
                answer = await client.post(message.subscription.target, body, headers)
        except Refused as e:
            return Outcome("permanent", str(e))
        except TimeoutError:
            return Outcome("transient", f"No answer within {self._caps.seconds:g} s; it may have arrived.")
        except aiohttp.ClientError as e:
            return Outcome("transient", f"The connection failed: {e or type(e).__name__}.")
        return outcome(answer, now)


def payload(message: Message) -> bytes:
    """{"type", "timestamp", "text", "link", "data": the alert with its evidence}."""
    return msgspec.json.encode(
        {
            "type": f"alert.{message.event}",
            "timestamp": message.alert.at,
            "text": message.text,
            "link": message.link,
            "data": message.alert,
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


def outcome(answer: Answer, now: datetime) -> Outcome:
    """What an answer means. A 200 whose body reports an error is no success."""
    status = answer.status
    said = answer.body[:200].decode(errors="replace").strip()
    if 200 <= status < 300:
        return _of_body(answer.body, f"Answered {status}: {said}" if said else f"Answered {status}.")
    wait = retry_after(answer.headers, now)
    if status == 429 or (wait is not None and status == 503):
        return Outcome(
            "retry_after", f"Answered {status}, asks for {'a pause' if wait is None else f'{wait:g} s'}.", wait
        )
    if status >= 500 or status in (408, 425):
        return Outcome("transient", f"Answered {status}: {said}", wait)
    if 300 <= status < 400:
        to = answer.headers.get("Location", "nowhere")
        return Outcome("permanent", f"Answered {status}, a redirect to {to}. Set the webhook to its final address.")
    return Outcome("permanent", f"Answered {status}: {said}")


def _of_body(body: bytes, reason: str) -> Outcome:
    try:
        told: Any = msgspec.json.decode(body) if body.strip() else None
    except (msgspec.DecodeError, RecursionError):
        return Outcome("accepted", reason)
    code = error_code(told) if isinstance(told, dict) else None
    if code is None:
        return Outcome("accepted", reason)
    if code in TOO_FAST:
        return Outcome("retry_after", reason, _TOO_FAST_S)
    return Outcome("permanent" if code in NEVER else "transient", reason)


def error_code(told: Mapping[str, Any]) -> int | None:
    """The error in a body that came with a 2xx: its code, −1 when it has none, None when there is no error."""
    for name in ("errcode", "code"):
        code = told.get(name)
        if isinstance(code, int) and not isinstance(code, bool) and code != 0 and not 200 <= code < 300:
            return code
    if told.get("ok") is False or told.get("success") is False or told.get("error"):
        return -1
    return None
