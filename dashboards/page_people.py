"""The pages on which people look after their subscriptions, and see what was sent and what was not, and why.

GET only: the forms send JSON to /api/subscriptions (security.py refuses anything else).
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from dashboards.deps import WebDeps
from dashboards.desk import Desk
from dashboards.pages import Renderer
from dashboards.view import Json, iso, iso_or_none
from pipeline.control.base import ChannelName, Delivery, DeliveryState, Held, Subscription
from pipeline.deliver.plan import NEVER_CAPPED
from pipeline.deliver.subscribing import version_of, view
from pipeline.deliver.target import WITHOUT_TARGET
from pipeline.deliver.why import NoSuchAlert, explain_delivery
from pipeline.errors import WindvaneError
from pipeline.records import Severity
from pipeline.rulebook import RuleBook

CHANNELS = get_args(ChannelName)
STATES = get_args(DeliveryState)
SHOWN = 60  # deliveries on a page
ZONES = (
    "Asia/Shanghai", "Asia/Hong_Kong", "Asia/Taipei", "Asia/Singapore", "Asia/Tokyo", "Asia/Seoul", "Asia/Kolkata",
    "Australia/Sydney", "Europe/London", "Europe/Berlin", "Europe/Paris", "Europe/Zurich", "America/New_York",
    "America/Chicago", "America/Los_Angeles", "America/Sao_Paulo", "UTC",
)  # fmt: skip


def subscription_routes(deps: WebDeps, desk: Desk, render: Renderer) -> APIRouter:
    """GET /subscriptions, /subscriptions/new, /subscriptions/edit/{id}, /deliveries."""
    pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
    told = Told(deps, desk)

    def form(request: Request, subscription: Subscription, new: bool) -> HTMLResponse:
        everyone = deps.control.subscriptions()
        watches = deps.control.watches()
        known = {f"watch:{w.id}" for w in watches}
        topics = dict.fromkeys([*deps.topics, *subscription.topics])  # what is gone is kept until somebody drops it
        entities = [{"id": e, "names": desk.names.entity(e)} for e in subscription.entities]
        return render(
            request,
            "subscription.html",
            s=view(subscription, deps.vault),
            new=new,
            version="" if new else version_of(subscription, deps.vault),
            quiet=[*subscription.quiet.split("-"), "", ""][:2],
            channels=CHANNELS,
            without_target=WITHOUT_TARGET,
            severities=get_args(Severity),
            zones=ZONES,
            entities=entities,
            topics=[{"id": t, "names": desk.names.topic(t)} for t in topics],
            watches=watches,
            other_keys=[k for k in subscription.keys if k not in known],
            rules=sorted({r.id for r in RuleBook(deps.control, deps.rules, deps.clock).rules} | {*subscription.rules}),
            others=[s for s in everyone if s.id != subscription.id],
        )

    @pages.get("/subscriptions")
    def subscriptions(request: Request) -> HTMLResponse:
        held = deps.control.held_back()
        found = [told.subscription(s, [h for h in held if h.subscription_id == s.id]) for s in _all(deps)]
        return render(request, "subscriptions.html", subscriptions=found, never_capped=NEVER_CAPPED)

    @pages.get("/subscriptions/new")
    def new(request: Request, entity: str = "", topic: str = "", key: str = "") -> HTMLResponse:
        """What is given is filled in: /subscriptions/new?entity=3333.HK."""
        entities, topics, keys = ((v,) if v else () for v in (entity, topic, key))
        return form(request, Subscription("", "email", entities=entities, topics=topics, keys=keys), True)

    @pages.get("/subscriptions/edit/{subscription_id}")
    def edit(request: Request, subscription_id: str) -> HTMLResponse:
        found = next((s for s in _all(deps) if s.id == subscription_id), None)
        if found is None:
            return render(request, "gone.html", 404, what="subscription")
        return form(request, found, False)

    @pages.get("/deliveries")
    def deliveries(
        request: Request, asked: Annotated[str, Query(alias="id")] = "", subscription: str = "", state: str = ""
    ) -> HTMLResponse:
        asked = asked.strip()[:200]
        values: Json = {"asked": asked, "subscription": subscription, "state": state, "states": STATES}
        values |= {"called": {s.id: s.name or s.id for s in _all(deps)}, "why": None, "wrong": "", "rows_": []}
        if asked:
            status = 200
            try:
                values["why"] = told.why(asked)
            except NoSuchAlert:  # the page has words of its own for it
                status = 404
            except WindvaneError as e:
                values["wrong"], status = str(e), 422
            return render(request, "deliveries.html", status, **values)
        chosen = state if state in STATES else None
        rows = deps.control.recent_deliveries(SHOWN, subscription or None, chosen)  # type: ignore[arg-type]
        values["rows_"] = told.rows(rows)
        return render(request, "deliveries.html", **values)

    return pages


def _all(deps: WebDeps) -> Sequence[Subscription]:
    return deps.control.subscriptions()


class Told:
    """Subscriptions and deliveries as the templates read them: names in both languages, times as ISO strings."""

    def __init__(self, deps: WebDeps, desk: Desk) -> None:
        self._deps = deps
        self._desk = desk

    def subscription(self, s: Subscription, held: Sequence[Held]) -> Json:
        """A row of the list: the fields, what to hear of by field, and what waits."""
        waits = [{"why": h.why, "n": h.alerts, "due": iso(h.due)} for h in held]
        return {**view(s, self._deps.vault), "wants": list(self._wants(s)), "waits": waits}

    def _wants(self, s: Subscription) -> Iterator[Json]:
        """{"field", "values"} for every field that is not empty; a value is names in both languages, or plain."""
        for field in ("entities", "keys", "topics", "severities", "languages", "tiers", "sources", "rules"):
            if values := getattr(s, field):
                yield {"field": field, "values": self._named(field, values)}

    def _named(self, field: str, values: Sequence[Any]) -> list[Any]:
        """Names in both languages for what has some, else as they are."""
        names = self._desk.names
        of = {"entities": names.entity, "keys": names.key, "topics": names.topic}.get(field)
        return [of(v) for v in values] if of else list(values)

    def rows(self, deliveries: Sequence[Delivery]) -> list[Json]:
        """Each with the alert it tells of (None: no longer kept)."""
        alerts = {d.alert_id: self._deps.control.episode(d.alert_id) for d in deliveries}
        found = []
        for d in deliveries:
            episode = alerts[d.alert_id]
            about = None
            if episode is not None:
                about = {"names": self._desk.names.key(episode.alert.key), "severity": episode.alert.severity}
            found.append({**_row(d._asdict()), "about": about})
        return found

    def why(self, asked: str) -> Json:
        """explain_delivery for the page; raises as that does."""
        found = explain_delivery(self._deps.control, asked, self._deps.clock())
        for s in found["subscriptions"]:
            for event in s["events"]:
                for m in event["fields"]:
                    m |= {side: self._named(m["field"], m[side]) for side in ("wanted", "found")}
                event["deliveries"] = [_row({**_EMPTY, **d}) for d in event["deliveries"]]
        for event in found["events"]:
            event["at"] = iso(event["at"])
        return {**found, "names": self._desk.names.key(found["key"]), "alert": self._desk.alert(found["alert_id"])}


_EMPTY: Json = {**Delivery("", "", 0, "", "", "pending", 0, None)._asdict()}  # type: ignore[arg-type]  # no times


def _row(d: Json) -> Json:
    """A delivery row with its times as ISO strings; `said`: the channel's own words, else why it is as it is."""
    times = ("created_at", "next_at", "until", "ended_at", "escalate_at", "retried_at")
    return {**d, **{t: iso_or_none(d[t]) for t in times}, "said": d["answer"] or ("" if d["why"] else d["reason"])}
