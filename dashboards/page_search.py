"""The search page's values: the form as it was filled in, the results, and where the next page is."""

from datetime import UTC, datetime, timedelta
from typing import Any

from dashboards.desk import Desk
from dashboards.view import ALL, Json, filters_of, iso
from pipeline.records import SENTIMENTS
from pipeline.store.base import Search

PER_PAGE = 20
MAX_OFFSET = 9800
SPANS = {"1h": 1, "24h": 24, "7d": 7 * 24, "28d": 28 * 24}  # hours; anything else is all the time there is


def _time(text: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def search_page(desk: Desk, query: dict[str, str]) -> Json:
    """Values for search.html. What cannot be understood in the address is ignored, never an error page."""

    def one_of(name: str, allowed: Any) -> str:
        value = query.get(name, "")
        return value if value in allowed else ""

    text, key = query.get("q", "")[:500].strip(), query.get("key", "") or ALL
    sentiment, language = one_of("sentiment", SENTIMENTS), one_of("language", ("zh", "en", "other"))
    order, span = one_of("order", ("best",)) or "newest", one_of("span", SPANS)
    start, end = _time(query.get("start")), _time(query.get("end"))
    if span:
        start, end = desk.now() - timedelta(hours=SPANS[span]), None
    offset = query.get("offset", "0")
    at = min(int(offset), MAX_OFFSET) if offset.isascii() and offset.isdigit() and len(offset) < 6 else 0
    filters = filters_of(key)._replace(
        sentiment=sentiment or None,  # type: ignore[arg-type]  # one_of has seen to it
        language=language or None,  # type: ignore[arg-type]
        source=query.get("source") or None,
        start=start,
        end=end,
        story=query.get("story") or None,
    )
    best = order == "best" and bool(text)
    found = desk.search(Search(text, filters, "best" if best else "newest", PER_PAGE, at), None if key == ALL else key)
    form = {
        "q": text,
        "key": "" if key == ALL else key,
        "sentiment": sentiment,
        "language": language,
        "source": query.get("source", ""),
        "story": query.get("story", ""),
        "span": span,
        "start": iso(start) if start and not span else "",
        "end": iso(end) if end and not span else "",
        "order": order,
    }
    more = at + PER_PAGE < found["total"] and at + PER_PAGE <= MAX_OFFSET
    return {
        "form": form,
        "names": desk.names.key(key),
        "found": found,
        "offset": at,
        "next_offset": at + PER_PAGE if more else None,
        "previous_offset": max(0, at - PER_PAGE) if at else None,
        "spans": list(SPANS),
        "explains": desk.deps.explain is not None,
    }
