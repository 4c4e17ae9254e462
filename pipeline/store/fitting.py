"""What a store will take: one test for every backend, so that the same opinions are dead letters everywhere."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from pipeline.records import DecodeError, Decoder, Opinion, encode
from pipeline.store.base import Rejection

_decode = Decoder(Opinion)


class Fitted(NamedTuple):
    """An opinion as it will be read back, and its record."""

    opinion: Opinion
    record: bytes


def fit(opinions: Sequence[Opinion], now: datetime) -> tuple[dict[str, Fitted], list[Rejection]]:
    """By id, with `indexed_at` set (of one id twice in a batch the later counts); and those that can never be kept."""
    fitting: dict[str, Fitted] = {}
    rejected: list[Rejection] = []
    for opinion in opinions:
        try:
            fitting[opinion.opinion_id] = _fitted(opinion, now)
        except (DecodeError, ValueError, TypeError) as e:
            rejected.append(Rejection(opinion.opinion_id, str(e)))
    return fitting, rejected


def _fitted(opinion: Opinion, now: datetime) -> Fitted:
    """Raises for what could not be read back."""
    if not opinion.opinion_id:
        raise ValueError("Expected an opinion with an id, found an empty one.")
    if opinion.published_at.tzinfo is None:
        raise ValueError(f"Expected published_at with a time zone, found {opinion.published_at.isoformat()}.")
    record = encode(msgspec.structs.replace(opinion, indexed_at=now))
    return Fitted(_decode(record), record)
