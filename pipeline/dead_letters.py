"""Dead letters: listed with their reasons, and re-driven once the cause is mended.

A letter is never deleted. The message it tells of is, when its topic is trimmed (log.retention_days,
kafka.retention_days): a letter that had to be cut to fit can be re-driven only until then.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from pipeline.bus.base import Bus, TooLarge
from pipeline.compose import Stores
from pipeline.errors import Reject, WindvaneError
from pipeline.graph import ORDERED, TOPICS, dlq
from pipeline.records import RECORD_OF_TOPIC, DecodeError, Decoder, Raw, Rejected, encode
from pipeline.runners.letters import CUT
from pipeline.runners.loop import key_of

_TOPICS = (*TOPICS, *ORDERED)


class DeadLetter(NamedTuple):
    """One dead letter. `id` is "topic:offset" in the dead-letter log; `retried` when it was re-driven."""

    id: str
    retried: bool
    letter: Rejected


class Retried(NamedTuple):
    """What a re-drive did."""

    sent: int
    still_bad: list[tuple[str, str]]  # (id, why it cannot be sent again as it is)


def list_letters(stores: Stores, *, all_of_them: bool = False) -> Iterator[DeadLetter]:
    """Dead letters in the order they fell, those re-driven already only with `all_of_them`."""
    decode = Decoder(Rejected)
    for topic in _TOPICS:
        done = _retried(stores, topic)
        for message in stores.bus.read(dlq(topic)):
            if all_of_them or message.offset not in done:
                yield DeadLetter(f"{topic}:{message.offset}", message.offset in done, decode(message.value))


def retry_letters(stores: Stores, ids: list[str] | None = None) -> Retried:
    """Send dead letters (those named, or all not yet sent) to the topic they came from, each once (killed in between
    on Kafka, one may be sent twice, which changes nothing)."""
    letters = {d.id: d for d in list_letters(stores, all_of_them=ids is not None)}
    if ids is not None and (unknown := [i for i in ids if i not in letters]):
        raise WindvaneError(
            f"there is no dead letter {', '.join(unknown)}. `windvane dlq list --all` shows them with their ids."
        )
    sent, bad = 0, []
    for letter_id in ids if ids is not None else letters:
        letter = letters[letter_id].letter
        topic, _, offset = letter_id.partition(":")
        try:
            record = _record_of(letter, stores)
            with stores.unit_of_work():
                stores.bus.publish(letter.topic, [(letter.key or key_of(record), encode(record))])
                _mark(stores, topic, int(offset))
        except Reject as e:
            bad.append((letter_id, e.reason))
        except TooLarge as e:
            bad.append((letter_id, str(e)))
        else:
            sent += 1
    return Retried(sent, bad)


def counts(bus: Bus, control: Any) -> dict[str, int]:
    """Dead letters per topic that were not re-driven."""
    found = {}
    for topic in _TOPICS:
        n = bus.end(dlq(topic)) - len(_offsets(control, topic))
        if n:
            found[topic] = n
    return found


def _record_of(letter: Rejected, stores: Stores) -> Any:
    """The record to send. Of one that was cut to fit, the message itself, while its topic has it. A line that never
    became a record is parsed again: the parser may have been mended."""
    payload = letter.payload.encode()
    decode = Decoder(RECORD_OF_TOPIC[letter.topic])
    try:
        return decode(payload)
    except DecodeError as e:
        whole = _message_of(letter, stores.bus)
        if whole is not None:
            payload = whole
            with suppress(DecodeError):
                return decode(payload)
        elif letter.reason.endswith(CUT):
            raise Reject(_only_the_beginning(letter)) from e
        if letter.topic != "raw":
            raise Reject(str(e)) from e
    from pipeline.sources.fields import raw_from
    from pipeline.sources.files import json_object

    origin = (letter.origin or "re-driven").rsplit("/", 1)[-1].split(":")[0].split(".")[0]
    record: Raw = raw_from(json_object(payload), origin, stores.clock())
    return record


def _message_of(letter: Rejected, bus: Bus) -> bytes | None:
    """The message that the letter tells of; None: it never was on a topic, or has been trimmed."""
    if letter.offset is None:
        return None
    first = next(bus.read(letter.topic, letter.offset, letter.partition or 0), None)
    return first.value if first is not None and first.offset == letter.offset else None


def _only_the_beginning(letter: Rejected) -> str:
    source = f" ({letter.origin})" if letter.origin else ""
    if letter.offset is None:
        return f"only its beginning was kept: no topic ever had it whole. Publish it again from its source{source}."
    return (
        f"expected the whole message in {letter.topic}, partition {letter.partition or 0}, offset {letter.offset}, "
        f"found that it has been trimmed since: only its beginning is left, in this dead letter. "
        f"Publish it again from its source{source}."
    )


def _offsets(control: Any, topic: str) -> list[int]:
    stored = control.checkpoint(f"dlq:{topic}")
    return msgspec.json.decode(stored, type=list[int]) if stored else []


def _retried(stores: Stores, topic: str) -> set[int]:
    return set(_offsets(stores.control, topic))


def _mark(stores: Stores, topic: str, offset: int) -> None:
    done = sorted({*_offsets(stores.control, topic), offset})
    stores.control.put_checkpoint(f"dlq:{topic}", msgspec.json.encode(done))
