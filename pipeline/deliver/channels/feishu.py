"""Feishu 飞书 (Lark): a custom robot of a group, signed, written as a card."""

import base64
import hashlib
import hmac
from datetime import datetime

from pipeline.deliver.card import Card, without_lines, words
from pipeline.deliver.channels.base import Body, Provider, json_size
from pipeline.deliver.outcomes import FEISHU as CODES
from pipeline.deliver.outcomes import by_codes
from pipeline.deliver.target import Target
from pipeline.deliver.text import fit, markdown

# open.feishu.cn/document/client-docs/bot-v3/add-custom-bot: the body at most 20 KB; the signature needs some of it.
BODY, SENTENCE = 19_500, 6_000
_COLOURS = {"S1": "red", "S2": "orange", "S3": "yellow"}


def write(card: Card) -> Body:
    fitting = without_lines(card, lambda c: json_size(_message(c)) <= BODY)
    return _message(fitting)


def _message(card: Card) -> Body:
    w = words(card.language)
    elements: list[Body] = [{"tag": "div", "text": _plain(fit(card.sentence, SENTENCE))}]
    if card.facts:
        fields = [{"is_short": True, "text": _plain(f"{k}\n{v}")} for k, v in card.facts]
        elements.append({"tag": "div", "fields": fields})
    if card.lines:
        said = [f"**{w['stories']}**"] if card.severity else []
        for line in card.lines:
            text, by = fit(line.text, 900, markdown), markdown(line.by)
            said.append(f"- [{text}]({line.url}) — {by}" if line.url else f"- {text} — {by}")
        elements.append({"tag": "div", "text": {"tag": "lark_md", "content": "\n".join(said)}})
    if card.links:
        buttons = [
            {"tag": "button", "text": _plain(x.label), "url": x.url, "type": "primary" if i == 0 else "default"}
            for i, x in enumerate(card.links)
        ]
        elements.append({"tag": "action", "actions": buttons})
    elements.append({"tag": "note", "elements": [_plain(card.ending)]})
    header = {"title": _plain(fit(card.title, 400)), "template": _COLOURS.get(card.severity, "blue")}
    return {
        "msg_type": "interactive",
        "card": {"config": {"wide_screen_mode": True}, "header": header, "elements": elements},
    }


def _plain(text: str) -> Body:
    return {"tag": "plain_text", "content": text}


def sign(target: Target, body: Body, now: datetime) -> tuple[str, Body]:
    """The body with timestamp (s) and sign: base64 of HMAC-SHA256 over nothing under the key "timestamp\\nsecret",
    as the same page describes it. Built anew at each try."""
    if not target.secret:
        return target.url, body
    stamp = str(int(now.timestamp()))
    mac = hmac.digest(f"{stamp}\n{target.secret}".encode(), b"", hashlib.sha256)
    return target.url, {"timestamp": stamp, "sign": base64.b64encode(mac).decode(), **body}


FEISHU = Provider("feishu", write, by_codes(CODES), sign)
