"""The JSON API for acting on an alert: acknowledge, assign, snooze it, its key or its rule, resolve, say whether it was
right. JSON only (security.py)."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from dashboards.deps import WebDeps
from dashboards.desk import Desk
from pipeline.control.base import Snooze
from pipeline.records import Feedback, stable_id

Who = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    by: Who = "web"  # there are no accounts yet: whoever acts may give a name


class Ack(_Body):
    """Acknowledge: someone is on it."""


class Assign(_Body):
    """Whose it is; "" takes it back."""

    to: Annotated[str, StringConstraints(strip_whitespace=True, max_length=80)]


class Resolve(_Body):
    """Close it for everybody, with the reason."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Quiet(_Body):
    """Quiet for `minutes` from now, or until a time: this alert, all of its key, or all of its rule. 0 minutes ends
    it."""

    scope: Literal["alert", "key", "rule"] = "alert"
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = ""
    minutes: int | None = Field(default=None, ge=0, le=60 * 24 * 30)
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

    @api.post("/assign")
    def assign(alert_id: str, body: Assign) -> dict[str, Any]:
        return answer(alert_id, deps.control.assign(alert_id, body.to, body.by, deps.clock()))

    @api.post("/resolve")
    def resolve(alert_id: str, body: Resolve) -> dict[str, Any]:
        return answer(alert_id, deps.control.resolve(alert_id, body.by, deps.clock(), body.reason))

    @api.post("/snooze")
    def snooze(alert_id: str, body: Quiet) -> dict[str, Any]:
        now = deps.clock()
        until = _until(body, now)
        if body.scope == "alert":
            return answer(alert_id, deps.control.snooze(alert_id, until, body.by, now))
        episode = deps.control.episode(alert_id)
        if episode is None:
            return answer(alert_id, False)
        subject = episode.alert.key if body.scope == "key" else episode.alert.rule
        if until > now:
            deps.control.put_snooze(Snooze(body.scope, subject, until, body.by, now, body.reason))
        else:
            deps.control.lift_snooze(body.scope, subject, body.by, now)
        return answer(alert_id, True)

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


def _until(body: Quiet, now: datetime) -> datetime:
    """When it ends: the time given, or `minutes` from now (an hour)."""
    until = body.until
    if until is None:
        return now + timedelta(minutes=60 if body.minutes is None else body.minutes)
    until = until.replace(tzinfo=UTC) if until.tzinfo is None else until
    if until <= now:
        raise HTTPException(
            422, f"A snooze ends in the future; {until.isoformat()} has passed. Send minutes or a later until."
        )
    return until
