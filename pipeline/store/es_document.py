"""An opinion as a document: its record as it is, and behind it what is searched and counted."""

import msgspec

from pipeline.keys import keys_of, split_key
from pipeline.records import Opinion, document
from pipeline.store.fitting import Fitted
from pipeline.store.rowid import us_of
from pipeline.store.words import words

_encoder = msgspec.json.Encoder()


class Extra(msgspec.Struct):
    """The fields behind the record. `keys`: label → kind → values, e.g. {"negative": {"entity": ["AAPL.US"]}}: the
    sentiment that counts for each key (keys.keys_of), whatever the record's mentions say one by one."""

    words: str
    published_us: int  # microseconds since the epoch
    indexed_us: int
    keys: dict[str, dict[str, list[str]]]


def source_of(fitted: Fitted, indexed_us: int) -> bytes:
    """The document as JSON. Read back, the record's reader does not see the fields behind it."""
    return joined(fitted.record, extra_of(fitted.opinion, indexed_us))


def extra_of(opinion: Opinion, indexed_us: int) -> Extra:
    """What is searched and counted of it."""
    return Extra(" ".join(words(document(opinion))), us_of(opinion.published_at), indexed_us, _felt(opinion))


def joined(record: bytes, extra: Extra) -> bytes:
    """One JSON object of two."""
    return record[:-1] + b"," + _encoder.encode(extra)[1:]


def _felt(opinion: Opinion) -> dict[str, dict[str, list[str]]]:
    felt: dict[str, dict[str, list[str]]] = {}
    for key, sentiment in keys_of(opinion):
        kind, value = split_key(key)
        felt.setdefault(sentiment.label, {}).setdefault(kind, []).append(value)
    return felt
