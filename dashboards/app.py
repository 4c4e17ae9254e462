"""The web app: `create_app(WebDeps(...))`. Pages for people, a JSON API for programs (docs/api.md), one live stream."""

from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException

from dashboards.api import reading_routes
from dashboards.api_actions import action_routes
from dashboards.api_deliver import deliver_routes
from dashboards.api_people import people_routes
from dashboards.api_rules import rule_routes
from dashboards.charts import Charts
from dashboards.deps import WebDeps
from dashboards.desk import Desk
from dashboards.page_act import act_routes
from dashboards.page_people import subscription_routes
from dashboards.pages import Renderer, page_routes
from dashboards.security import LOOPBACK_HOSTS, Guard
from pipeline.errors import Retry, WindvaneError
from pipeline.rulebook import RuleBook

_STATIC = Path(__file__).parent / "static"

__all__ = ["LOOPBACK_HOSTS", "WebDeps", "create_app"]


def create_app(deps: WebDeps) -> FastAPI:
    """The app over the given parts; it owns none of them and closes none."""
    app = FastAPI(title="Windvane", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    desk = Desk(deps)
    charts = Charts(deps, desk.names, desk.now)
    render = Renderer(desk)
    app.include_router(reading_routes(deps, desk, charts))
    app.include_router(action_routes(deps, desk))
    app.include_router(deliver_routes(deps))
    app.include_router(people_routes(deps))
    app.include_router(rule_routes(RuleBook(deps.control, deps.rules, deps.clock), deps.preview))
    app.include_router(page_routes(deps, desk, charts, render))
    app.include_router(subscription_routes(deps, desk, render))
    app.include_router(act_routes(deps, desk, render))
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        deps.store.stats()  # the page is well when its store answers
        return {"status": "ok"}

    @app.get("/favicon.ico", include_in_schema=False)
    def favicon() -> FileResponse:
        return FileResponse(_STATIC / "favicon.svg", media_type="image/svg+xml")

    _errors(app, render)
    app.add_middleware(Guard, hosts=deps.hosts)
    return app


def _errors(app: FastAPI, render: Renderer) -> None:
    """Every error as a sentence: JSON under /api, a page elsewhere."""

    def answer(request: Request, status: int, sentence: str) -> Response:
        if request.url.path.startswith(("/api/", "/healthz", "/static/")):
            return JSONResponse({"error": sentence}, status_code=status)
        return render(request, "gone.html", status, what="page" if status == 404 else "fault")

    @app.exception_handler(StarletteHTTPException)
    def refused(request: Request, e: HTTPException) -> Response:
        sentence = str(e.detail)
        if e.status_code == 404 and sentence == "Not Found":
            sentence = f"There is nothing at {request.url.path}. The addresses are listed in docs/api.md."
        return answer(request, e.status_code, sentence)

    @app.exception_handler(RequestValidationError)
    def misunderstood(request: Request, e: RequestValidationError) -> Response:
        first = e.errors()[0]
        where = ".".join(str(p) for p in first["loc"][1:]) or "the body"
        return answer(request, 422, f"{where}: {first['msg']}. See docs/api.md for what is understood.")

    @app.exception_handler(Retry)
    def outage(request: Request, e: Retry) -> Response:
        return answer(request, 503, f"{e.reason} Try again in a moment.")

    @app.exception_handler(WindvaneError)
    def sentence(request: Request, e: WindvaneError) -> Response:
        return answer(request, 500, str(e))
