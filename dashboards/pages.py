"""The pages: server-rendered, and the two parts that the first screen fetches again when something happened."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dashboards.charts import Charts
from dashboards.deps import WebDeps
from dashboards.desk import Desk
from dashboards.page_search import search_page
from dashboards.view import ALL, Json, filters_of, iso
from dashboards.words import Lang, compact, duration, load_words, odds, percent, pick_lang
from pipeline.errors import Retry, WindvaneError
from pipeline.store.base import Search

RANGES = {"1h": 1, "6h": 6, "24h": 24, "7d": 7 * 24, "28d": 28 * 24}  # hours
DEFAULT_RANGE = "24h"
MOVER_HOURS = 6
MOVER_FLOOR = 2.0  # a smaller score is not worth a line
MOVER_TEXTS = 3  # nor are one or two texts
_HERE = Path(__file__).parent


class Renderer:
    """Templates with the reader's language and theme. Autoescape is on: a text can only ever be text."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.words = load_words()
        self.env = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def __call__(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        asked = request.query_params.get("lang")
        lang = pick_lang(asked, request.cookies.get("windvane_lang"), request.headers.get("accept-language", ""))
        theme = request.cookies.get("windvane_theme", "auto")
        body = self.env.get_template(template).render(
            **self.helpers(lang),
            request=request,
            theme=theme if theme in ("light", "dark") else "auto",
            other_lang=_with(request, lang="en" if lang == "zh" else "zh"),
            here=str(request.url.path),
            status=self._status(),
            **values,
        )
        answer = HTMLResponse(body, status, headers={"cache-control": "no-store", "content-language": lang})
        if asked == lang:
            answer.set_cookie("windvane_lang", lang, max_age=365 * 86400, samesite="lax", path="/")
        return answer

    def _status(self) -> Json:
        """How things stand; where the store does not answer, what a page needs to say so."""
        try:
            return self.desk.status()
        except (Retry, WindvaneError):
            return self.desk.unknown_status()

    def helpers(self, lang: Lang) -> Json:
        """What every template may call."""
        words = self.words[lang]

        def t(key: str, **fill: object) -> str:
            return words[key].format(**fill) if fill else words[key]

        def worded(field: str, value: Any) -> str:
            """What a subscription asks for, or an alert has, in one of the fields that filter."""
            prefix = {"severities": "severity.", "languages": "language."}.get(field)
            if prefix is not None:
                return words[f"{prefix}{value}"]
            return str(value[lang] if isinstance(value, dict) else value)

        return {
            "lang": lang,
            "t": t,
            "words": {k: v for k, v in words.items() if k.startswith("js.")},
            "name": lambda names: names[lang],
            "other_name": lambda names: names["zh" if lang == "en" else "en"],
            "num": lambda v: compact(v, lang),
            "pct": percent,
            "odds": lambda score: odds(score, lang, words),
            "duration": lambda seconds: duration(seconds, words),
            "link": _link,
            "marked": marked,
            "worded": lambda field, values, between: words[between].join(worded(field, v) for v in values),
            "also": lambda alerts: words["foot.and"].join(
                dict.fromkeys(a["names"].get("topic", a["names"])[lang] for a in alerts)
            ),
        }


def _link(path: str, /, **query: object) -> str:
    """An address with its query; what is None or empty is left out."""
    held = {k: v for k, v in query.items() if v not in (None, "")}
    return f"{path}?{urlencode(held)}" if held else path


def _with(request: Request, **changes: str) -> str:
    return _link(request.url.path, **{**dict(request.query_params), **changes})


def marked(text: str, query: str) -> list[tuple[bool, str]]:
    """The text in pieces, True where a word of the query stands: the template marks them, escaping each."""
    words = [w.strip('"').casefold() for w in query.split() if w.strip('"')]
    folded = text.casefold()
    if not words or len(folded) != len(text):  # some letters change length when folded: then nothing is marked
        return [(False, text)]
    return list(_pieces(text, folded, words))


def _pieces(text: str, folded: str, words: list[str]) -> Iterator[tuple[bool, str]]:
    at = 0
    while at < len(text):
        hits = [(i, -len(w)) for w in words if (i := folded.find(w, at)) >= 0]
        if not hits:
            yield False, text[at:]
            return
        start, length = min(hits)
        if start > at:
            yield False, text[at:start]
        yield True, text[start : start - length]
        at = start - length


def page_routes(deps: WebDeps, desk: Desk, charts: Charts, render: Renderer) -> APIRouter:
    """GET only; see the templates of the same names."""
    pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    def side(scope: str | None) -> Json:
        """The left column; on a key's own page its alerts, open and closed, stand first."""
        opened, recent = desk.open_and_recent()
        busy = {a["key"] for lead in opened for a in (lead, *lead["related"])} | {scope}
        movers = [m for m in charts.movers(MOVER_HOURS, 30) if _worth_a_line(m) and m["key"] not in busy]
        own = [{**a, "related": []} for a in desk.alerts(None, scope, 8)] if scope else []
        if scope:
            opened, recent = [a for a in opened if a["key"] != scope], []
        return {"own": own, "opened": opened, "recent": recent, "movers": movers[:6]}

    @pages.get("/")
    def first(request: Request, key: str | None = None) -> HTMLResponse:
        panel = side(None)
        chosen, alert = key, None
        if chosen is None:
            closed = sorted(panel["recent"], key=lambda a: (a["severity"], -a["surprise"]))
            ranked = panel["opened"] or closed or panel["movers"]
            chosen = ranked[0]["key"] if ranked else ALL
        for a in panel["opened"] + panel["recent"]:
            if a["key"] == chosen:
                alert = a
                break
        values = _desk_values(request, desk, chosen, alert)
        return render(request, "desk.html", scope=None, selected=chosen, **panel, **values)

    @pages.get("/key/{key:path}")
    def key_page(request: Request, key: str) -> HTMLResponse:
        panel = side(key)
        return render(request, "desk.html", scope=key, selected=key, **panel, **_desk_values(request, desk, key, None))

    @pages.get("/parts/alerts")
    def alerts_part(request: Request, scope: str | None = None, selected: str = ALL) -> HTMLResponse:
        return render(request, "parts/alerts.html", scope=scope, selected=selected, **side(scope))

    @pages.get("/parts/stories")
    def stories_part(request: Request, key: str, start: datetime, end: datetime) -> HTMLResponse:
        return render(
            request,
            "parts/stories.html",
            stories=desk.stories(key, start, end),
            key=key,
            start=iso(start),
            end=iso(end),
        )

    @pages.get("/parts/foot")
    def foot_part(request: Request) -> HTMLResponse:
        return render(request, "parts/foot.html")

    @pages.get("/alerts/{alert_id}")
    def alert_page(request: Request, alert_id: str) -> HTMLResponse:
        alert = desk.alert(alert_id)
        if alert is None:
            return render(request, "gone.html", 404, what="alert")
        return render(request, "alert.html", alert=alert, related=desk.related(alert), first=_first_text(desk, alert))

    @pages.get("/search")
    def search(request: Request) -> HTMLResponse:
        return render(request, "search.html", **search_page(desk, dict(request.query_params)))

    return pages


def _worth_a_line(m: Json) -> bool:
    return abs(m["score"]) >= MOVER_FLOOR and (m["score"] < 0 or m["negatives"] >= MOVER_TEXTS)


def _desk_values(request: Request, desk: Desk, key: str, alert: Json | None) -> Json:
    """The chart's span: what the address says; else, around an alert that has ended, else up to now."""
    query = request.query_params
    now = desk.now()
    range_name = query.get("range", "")
    start, end = _time(query.get("from")), _time(query.get("to"))
    if range_name not in RANGES:
        range_name = DEFAULT_RANGE
        if start is not None:
            hours = ((end or now) - start).total_seconds() / 3600
            range_name = min(RANGES, key=lambda r: abs(RANGES[r] - hours))
    if end is None and start is not None:
        end = start + timedelta(hours=RANGES[range_name])
    if end is None and alert is not None and alert["end"] is not None:
        fired = datetime.fromisoformat(alert["fired_at"])
        if now - fired > timedelta(hours=RANGES[range_name]):
            end = fired + timedelta(hours=RANGES[range_name] / 3)
    if end is not None and end >= now:
        end = None
    stop = end or now + timedelta(milliseconds=1)
    begin = stop - timedelta(hours=RANGES[range_name])
    return {
        "names": desk.names.key(key),
        "alert": alert,
        "ranges": list(RANGES),
        "range": range_name,
        "to": iso(end) if end else "",
        "start": iso(begin),
        "end": iso(stop),
        "key": key,
        "stories": desk.stories(key, begin, stop),
    }


def _time(text: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at if at.tzinfo else None


def _first_text(desk: Desk, alert: Json) -> Json | None:
    """The first negative text of the rise."""
    start, end = datetime.fromisoformat(alert["evidence"]["rise_began_at"]), datetime.fromisoformat(alert["at"])
    filters = filters_of(alert["key"])._replace(start=start, end=end + timedelta(milliseconds=1), sentiment="negative")
    total = desk.search(Search(filters=filters, limit=1))["total"]
    found = desk.search(Search(filters=filters, limit=1, offset=max(0, total - 1)), alert["key"])
    return found["items"][0] if found["items"] else None
