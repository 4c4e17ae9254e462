"""DingTalk: a custom robot of a group, signed, written as markdown."""

import base64
import hashlib
import hmac
from datetime import datetime

from yarl import URL

from pipeline.deliver.card import Card
from pipeline.deliver.channels.base import Body, Provider
from pipeline.deliver.channels.markdown import write_markdown
from pipeline.deliver.outcomes import DINGTALK as CODES
from pipeline.deliver.outcomes import by_codes
from pipeline.deliver.target import Target
from pipeline.deliver.text import fit

TEXT, TITLE = 2048, 64  # bytes; longer texts are refused by some groups (research B2), longer titles by all (34016)


def write(card: Card) -> Body:
    """`title` is what the list of conversations shows."""
    text = write_markdown(card, TEXT, "\n\n")
    return {"msgtype": "markdown", "markdown": {"title": fit(card.title, TITLE), "text": text}}


def sign(target: Target, body: Body, now: datetime) -> tuple[str, Body]:
    """The address with timestamp (ms) and sign: base64 of HMAC-SHA256 over "timestamp\\nsecret" under the secret
    (open.dingtalk.com/document/orgapp/customize-robot-security-settings). Built anew at each try."""
    if not target.secret:
        return target.url, body
    stamp = str(int(now.timestamp() * 1000))
    mac = hmac.digest(target.secret.encode(), f"{stamp}\n{target.secret}".encode(), hashlib.sha256)
    signed = URL(target.url).update_query(timestamp=stamp, sign=base64.b64encode(mac).decode())
    return str(signed), body


DINGTALK = Provider("dingtalk", write, by_codes(CODES), sign)
