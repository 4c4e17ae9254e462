"""Acting on an alert from a link in a message. GET shows what the link does and a button, and changes nothing: mail
scanners open every link. POST acts. Needs no JavaScript and no log-in: the link's signature is the permission.
"""

from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dashboards.deps import WebDeps
from dashboards.desk import Desk
from dashboards.pages import Renderer
from dashboards.security import SIGNED
from pipeline.deliver.links import Claim, LinkRefused

REASON = "resolved from a message"
# The page's own form must show where it comes from (security.py); other sites still learn nothing.
_HEADERS = {"referrer-policy": "same-origin", "x-robots-tag": "noindex"}
_SNOOZE = {"snooze_1h": timedelta(hours=1), "snooze_24h": timedelta(hours=24)}


class _Query(NamedTuple):
    s: str
    e: str
    m: str


class _Refusal(Exception):
    """A link that does not act: what the page says (act.refused.…) and its status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


def act_routes(deps: WebDeps, desk: Desk, render: Renderer) -> APIRouter:
    """GET and POST /act/{action}/{alert_id}?s=subscription&e=expiry&m=signature."""
    routes = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    def page(request: Request, status: int, **values: object) -> HTMLResponse:
        answer = render(request, "act.html", status, **values)
        answer.headers.update(_HEADERS)
        return answer

    def checked(action: str, alert_id: str, query: _Query) -> tuple[Claim, str]:
        """The claim, and who acts. Raises _Refusal."""
        if deps.actions is None:
            raise _Refusal(403, "changed")
        try:
            claim = deps.actions.check(action, alert_id, query, deps.clock())
        except LinkRefused as e:
            raise _Refusal(e.status, "expired" if e.status == 410 else "changed") from e
        owner = next((s for s in deps.control.subscriptions() if s.id == claim.subscription_id and s.active), None)
        if owner is None:  # whoever is no longer told may no longer act
            raise _Refusal(403, "ended")
        if deps.control.episode(alert_id) is None:
            raise _Refusal(410, "gone")
        return claim, owner.owner or owner.name or owner.id

    @routes.get(SIGNED + "{action}/{alert_id}")
    def ask(request: Request, action: str, alert_id: str, s: str = "", e: str = "", m: str = "") -> HTMLResponse:
        query = _Query(s, e, m)
        try:
            claim, _ = checked(action, alert_id, query)
        except _Refusal as refused:
            return page(request, refused.status, refused=refused.why, alert=desk.alert(alert_id))
        target = f"{SIGNED}{claim.action}/{alert_id}?{urlencode(query._asdict())}"
        values = {"refused": "", "alert": desk.alert(alert_id), "action": claim.action, "target": target}
        return page(request, 200, done=False, **values)

    @routes.post(SIGNED + "{action}/{alert_id}")
    def act(request: Request, action: str, alert_id: str, s: str = "", e: str = "", m: str = "") -> HTMLResponse:
        try:
            claim, by = checked(action, alert_id, _Query(s, e, m))
        except _Refusal as refused:
            return page(request, refused.status, refused=refused.why, alert=desk.alert(alert_id))
        _do(deps, claim, by)
        values = {"refused": "", "alert": desk.alert(alert_id), "action": claim.action, "target": ""}
        return page(request, 200, done=True, **values)

    return routes


def _do(deps: WebDeps, claim: Claim, by: str) -> None:
    """Doing it twice is doing it once (a snooze counts from the last time)."""
    now = deps.clock()
    if claim.action == "ack":
        deps.control.acknowledge(claim.alert_id, by, now)
    elif claim.action == "resolve":
        deps.control.resolve(claim.alert_id, by, now, REASON)
    else:
        deps.control.snooze(claim.alert_id, now + _SNOOZE[claim.action], by, now)
