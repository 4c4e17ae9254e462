"""The JSON API for reading (docs/api.md). Times are ISO 8601; a time without a zone is UTC."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, HTTPException, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from dashboards.charts import Charts
from dashboards.deps import WebDeps
from dashboards.desk import Desk
from dashboards.live import stream
from dashboards.view import ALL, filters_of
from pipeline.control.base import EpisodeStatus
from pipeline.errors import WindvaneError
from pipeline.records import Language, SentimentLabel
from pipeline.store.base import Search

Json = dict[str, Any]
MAX_TEXT = 500  # characters of a query; more is a mistake or an attack


def utc(at: datetime | None) -> datetime | None:
    """Aware, in UTC; a naive time is UTC."""
    if at is None:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def span(start: datetime | None, end: datetime | None, now: datetime, hours: float) -> tuple[datetime, datetime]:
    """The span asked for; by default the last `hours` up to now (inclusive)."""
    stop = utc(end) or now + timedelta(milliseconds=1)
    return utc(start) or stop - timedelta(hours=hours), stop


def reading_routes(deps: WebDeps, desk: Desk, charts: Charts) -> APIRouter:
    """Everything that changes nothing."""
    api = APIRouter(prefix="/api")

    @api.get("/status")
    def status() -> Json:
        return desk.status()

    @api.get("/opinions")
    def opinions(
        q: Annotated[str, Query(max_length=MAX_TEXT)] = "",
        key: str | None = None,
        entity: str | None = None,
        topic: str | None = None,
        watch: str | None = None,
        sentiment: SentimentLabel | None = None,
        source: str | None = None,
        language: Language | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        story: str | None = None,
        order: Literal["newest", "best"] = "newest",
        limit: Annotated[int, Query(ge=1, le=200)] = 20,
        offset: Annotated[int, Query(ge=0, le=9800)] = 0,
    ) -> Json:
        base = filters_of(key or ALL)
        filters = base._replace(
            entity=entity or base.entity,
            topic=topic or base.topic,
            watch=watch or base.watch,
            sentiment=sentiment,
            source=source,
            language=language,
            start=utc(start),
            end=utc(end),
            story=story,
        )
        focus = key or (f"entity:{filters.entity}" if filters.entity else None)
        return desk.search(Search(q, filters, order, limit, offset), focus)

    @api.get("/explain")
    def explain(text_id: Annotated[str, Query(alias="id", max_length=200)], key: str = ALL) -> Json:
        try:
            return desk.explain(text_id, key)
        except LookupError as e:
            raise HTTPException(404, str(e)) from e
        except WindvaneError as e:  # a text without a word
            raise HTTPException(422, str(e)) from e

    @api.get("/series")
    def series(
        key: str = ALL,
        start: datetime | None = None,
        end: datetime | None = None,
        step: Annotated[int | None, Query(ge=300, le=30 * 86400)] = None,
    ) -> Json:
        try:
            return charts.series(key, *span(start, end, desk.now(), 24), step)
        except ValueError as e:
            raise HTTPException(422, str(e)) from e

    @api.get("/stories")
    def stories(
        key: str = ALL,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: Annotated[int, Query(ge=1, le=50)] = 12,
    ) -> Json:
        return {"items": desk.stories(key, *span(start, end, desk.now(), 24), limit)}

    @api.get("/movers")
    def movers(
        hours: Annotated[float, Query(gt=0, le=168)] = 6, limit: Annotated[int, Query(ge=1, le=100)] = 10
    ) -> Json:
        return {"hours": hours, "items": charts.movers(hours, limit)}

    @api.get("/keys")
    def keys(q: Annotated[str, Query(max_length=100)] = "", limit: Annotated[int, Query(ge=1, le=50)] = 10) -> Json:
        return {"items": desk.keys(q, limit)}

    @api.get("/live", response_class=EventSourceResponse)
    async def live(
        request: Request, last_event_id: Annotated[str | None, Header()] = None
    ) -> AsyncIterator[ServerSentEvent]:
        async for event in stream(deps, desk, last_event_id, request.is_disconnected):
            yield event

    @api.get("/alerts")
    def alerts(
        status: EpisodeStatus | Literal["open"] | None = None,
        key: str | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Json:
        if status == "open":
            rows = [a for a in desk.alerts(None, key, 1000) if a["status"] != "resolved"]
            return {"items": rows[:limit]}
        return {"items": desk.alerts(status, key, limit)}

    @api.get("/alerts/{alert_id}")
    def alert(alert_id: str) -> Json:
        found = desk.alert(alert_id)
        if found is None:
            raise HTTPException(404, f"There is no alert {alert_id}. /api/alerts lists those there are.")
        return found

    return api
