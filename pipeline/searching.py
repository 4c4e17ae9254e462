"""A search from what a person typed at the command line, checked with sentences. (FastAPI checks the page's.)"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, get_args

from pipeline.errors import WindvaneError
from pipeline.records import Language, SentimentLabel
from pipeline.store.base import Filters, Search

ORDERS = ("newest", "best")


def build_search(text: str, order: str, limit: int, filters: Mapping[str, Any], offset: int = 0) -> Search:
    """The store's search. Times without a zone are UTC. Raises WindvaneError that names the field."""
    _one_of("order", order, ORDERS)
    _one_of("sentiment", filters.get("sentiment"), get_args(SentimentLabel))
    _one_of("language", filters.get("language"), get_args(Language))
    known = {k: _utc(v) if isinstance(v, datetime) else v for k, v in filters.items() if v not in (None, "")}
    return Search(text=text, filters=Filters(**known), order=order, limit=limit, offset=offset)  # type: ignore[arg-type]


def _one_of(field: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value and value not in allowed:
        raise WindvaneError(f"{field}: expected one of {', '.join(allowed)}; found {value!r}.")


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
