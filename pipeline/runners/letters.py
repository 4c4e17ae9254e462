"""Dead letters on their way to the bus: each fits, whatever it tells of."""

import base64
from datetime import datetime

import msgspec

from pipeline.bus.base import MESSAGE_LIMIT, too_large
from pipeline.graph import dlq
from pipeline.records import Record, Rejected, encode

Entry = tuple[str, bytes]

_LONGEST_KEY = 1_000  # characters; a longer key is no story, entity or source
_LONGEST_REASON = 100_000
CUT = " (payload: only the beginning of it)"


def payload_text(value: bytes) -> str:
    """The bytes as text; what is not UTF-8 as "base64:…"."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(value).decode()


def letter_entry(letter: Rejected) -> Entry:
    """(key, value) on the dead-letter topic. Of a letter that is larger than the bus takes the payload is cut, and the
    reason says so: the whole message lies where `topic`, `partition` and `offset`, or `origin`, say."""
    key = (letter.key or "")[:_LONGEST_KEY]
    value = encode(letter)
    if not too_large(dlq(letter.topic), key, value):
        return key, value
    cut = msgspec.structs.replace(letter, key=key, reason=letter.reason[:_LONGEST_REASON] + CUT, payload="")
    room = MESSAGE_LIMIT - len(key.encode()) - len(encode(cut))
    payload = letter.payload[:room]
    while (size := len(msgspec.json.encode(payload))) > room:  # characters take more than one byte, or are escaped
        payload = payload[: len(payload) * room // size - 1]
    return key, encode(msgspec.structs.replace(cut, payload=payload))


def letter_of(stage: str, topic: str, entry: Entry, reason: str, at: datetime) -> Rejected:
    """The dead letter of a record that no topic has: it was to go to `topic`. `at`: UTC."""
    key, value = entry
    return Rejected(stage=stage, topic=topic, key=key, reason=reason, payload=payload_text(value), rejected_at=at)


def refusal(topic: str, key: str, record: Record, value: bytes) -> str:
    """Why no bus takes this record; "" when it does."""
    why = too_large(topic, key, value)
    return f"its {type(record).__name__} is too large: {why}" if why else ""
