"""The JSON API for subscriptions, deliveries, snoozes and the audit log (docs/api.md). Changes are JSON only
(security.py); a wrong value is 422 with a sentence that names its field."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, HTTPException, Query

from dashboards.deps import WebDeps
from pipeline.control.base import DeliveryState, SnoozeScope, Subscription
from pipeline.deliver.subscribing import ChangedMeanwhile, parse, put_all, put_read, version_of, view
from pipeline.deliver.trial import trial
from pipeline.deliver.why import delivery_view, explain_delivery
from pipeline.errors import WindvaneError

Json = dict[str, Any]
By = Annotated[str, Query(min_length=1, max_length=80)]
WEB = "web"  # there are no accounts yet: whoever acts may give a name


def plain(value: Any) -> Any:
    """Times as ISO strings with a Z, tuples as lists."""
    return msgspec.to_builtins(value, enc_hook=str)


def people_routes(deps: WebDeps) -> APIRouter:
    """Subscriptions, deliveries, snoozes, audit."""
    api = APIRouter(prefix="/api")
    _subscription_routes(api, deps)
    _delivery_routes(api, deps)

    @api.get("/snoozes")
    def snoozes() -> Json:
        return {"items": [plain(s._asdict()) for s in deps.control.snoozes(deps.clock())]}

    @api.delete("/snoozes/{scope}/{subject:path}")
    def lift(scope: SnoozeScope, subject: str, by: By = WEB) -> Json:
        if not deps.control.lift_snooze(scope, subject, by, deps.clock()):
            raise HTTPException(404, f"No snooze of {scope} {subject} lasts. /api/snoozes lists those that do.")
        return {"lifted": subject}

    @api.get("/audit")
    def audit(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Json:
        return {"items": [dict(row) for row in deps.control.audit(limit)]}

    return api


def _subscription_routes(api: APIRouter, deps: WebDeps) -> None:
    def found(subscription_id: str) -> Subscription:
        for s in deps.control.subscriptions():
            if s.id == subscription_id:
                return s
        raise HTTPException(
            404, f"There is no subscription {subscription_id}. /api/subscriptions lists those there are."
        )

    def shown(s: Subscription) -> Json:
        return {**view(s, deps.vault), "version": version_of(s, deps.vault)}

    def store(data: Json, by: str, version: str | None = None) -> Json:
        try:
            wanted = parse(data)
            if version is None:
                put_all(deps.control, deps.vault, [wanted], by)
            else:
                put_read(deps.control, deps.vault, wanted, by, version)
        except ChangedMeanwhile as e:
            raise HTTPException(409, str(e)) from e
        except WindvaneError as e:
            raise HTTPException(422, str(e)) from e
        return shown(found(wanted.id))

    @api.get("/subscriptions")
    def subscriptions() -> Json:
        return {"items": [shown(s) for s in deps.control.subscriptions()]}

    @api.get("/subscriptions/{subscription_id}")
    def subscription(subscription_id: str) -> Json:
        return shown(found(subscription_id))

    @api.post("/subscriptions", status_code=201)
    def create(data: Annotated[Json, Body()], by: By = WEB) -> Json:
        if any(s.id == data.get("id") for s in deps.control.subscriptions()):
            raise HTTPException(409, f"id: there is a subscription {data['id']!r} already. PUT changes it.")
        return store(data, by)

    @api.put("/subscriptions/{subscription_id}")
    def replace(subscription_id: str, data: Annotated[Json, Body()], by: By = WEB) -> Json:
        """Fields that are left out go back to their defaults; a target that is left out stays. With `version`, as GET
        gave it: 409 when somebody else changed it meanwhile."""
        if data.get("id", subscription_id) != subscription_id:
            raise HTTPException(422, f"id: expected {subscription_id!r}, as in the address, found {data['id']!r}.")
        fields = {**data, "id": subscription_id}
        version = fields.pop("version", None)
        if version is not None and not isinstance(version, str):
            raise HTTPException(422, f"version: expected the one that GET gave, found {version!r}.")
        return store(fields, by, version)

    @api.delete("/subscriptions/{subscription_id}")
    def remove(subscription_id: str, by: By = WEB) -> Json:
        found(subscription_id)
        deps.control.remove_subscription(subscription_id, by)
        return {"removed": subscription_id}

    @api.post("/subscriptions/{subscription_id}/test")
    def test(subscription_id: str) -> Json:
        return trial(found(subscription_id), deps.outgoing, deps.page, deps.clock())


def _delivery_routes(api: APIRouter, deps: WebDeps) -> None:
    @api.get("/deliveries")
    def deliveries(
        state: DeliveryState | None = None,
        alert: str | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Json:
        rows = deps.control.deliveries(alert, state)
        first = datetime.min.replace(tzinfo=UTC)
        rows.sort(key=lambda d: d.created_at or first, reverse=True)
        return {"total": len(rows), "items": [plain(delivery_view(d)) for d in rows[:limit]]}

    @api.get("/deliveries/explain")
    def explain(asked: Annotated[str, Query(alias="id", min_length=1, max_length=200)]) -> Json:
        try:
            return plain(explain_delivery(deps.control, asked, deps.clock()))  # type: ignore[no-any-return]
        except WindvaneError as e:
            raise HTTPException(404, str(e)) from e

    @api.post("/deliveries/{delivery_id}/retry")
    def retry(delivery_id: str, by: By = WEB) -> Json:
        if not deps.control.redeliver([delivery_id], by, deps.clock()):
            there = deps.control.delivery(delivery_id)
            if there is None:
                raise HTTPException(404, f"There is no delivery {delivery_id}. /api/deliveries lists those there are.")
            raise HTTPException(
                409, f"This delivery is {there.state}: only dead, suppressed and expired ones are sent again."
            )
        row = deps.control.delivery(delivery_id)
        return plain(delivery_view(row)) if row is not None else {}
