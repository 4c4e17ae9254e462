"""The JSON API for acting on an alert: acknowledge, snooze, say whether it was right. JSON only (security.py)."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from dashboards.deps import WebDeps
from dashboards.desk import Desk
from pipeline.records import Feedback, stable_id

Who = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    by: Who = "web"  # there are no accounts yet: whoever acts may give a name


class Ack(_Body):
    """Acknowledge: someone is on it."""


class Snooze(_Body):
    """Quiet for `minutes` from now, or until a time."""

    minutes: int | None = Field(default=None, ge=1, le=60 * 24 * 30)
    until: datetime | None = None


class Useful(_Body):
    """Whether the alert was right."""

    useful: bool


def action_routes(deps: WebDeps, desk: Desk) -> APIRouter:
    """Each answers with the alert as it is afterwards; 404 when there is none."""
    api = APIRouter(prefix="/api/alerts/{alert_id}")

    def answer(alert_id: str, done: bool) -> dict[str, Any]:
        found = desk.alert(alert_id) if done else None
        if found is None:
            raise HTTPException(404, f"There is no alert {alert_id}. /api/alerts lists those there are.")
        return found

    @api.post("/ack")
    def ack(alert_id: str, body: Ack) -> dict[str, Any]:
        return answer(alert_id, deps.control.acknowledge(alert_id, body.by, deps.clock()))

    @api.post("/snooze")
    def snooze(alert_id: str, body: Snooze) -> dict[str, Any]:
        now = deps.clock()
        until = body.until
        if until is None:
            until = now + timedelta(minutes=body.minutes or 60)
        elif until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        if until <= now:
            raise HTTPException(
                422, f"A snooze ends in the future; {until.isoformat()} has passed. Send minutes or a later until."
            )
        return answer(alert_id, deps.control.snooze(alert_id, until, body.by, now))

    @api.post("/useful")
    def useful(alert_id: str, body: Useful) -> dict[str, Any]:
        episode = deps.control.episode(alert_id)
        if episode is None:
            return answer(alert_id, False)
        now, value = deps.clock(), "yes" if body.useful else "no"
        deps.control.add_feedback(
            Feedback(
                feedback_id=stable_id("alert_useful", alert_id, body.by, value, now.isoformat()),
                opinion_id=alert_id,
                task="alert_useful",
                value=value,
                by=body.by,
                at=now,
                model_version=episode.alert.evidence.model_version,
            )
        )
        return answer(alert_id, True)

    return api
