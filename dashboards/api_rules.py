"""The JSON API of the alert rules: read, replace, preview, history. JSON only (security.py)."""

import threading
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipeline.detect.rules import Rule, mistakes, parse_rules
from pipeline.errors import WindvaneError
from pipeline.previewing import TooMuch
from pipeline.rulebook import RuleBook

Json = dict[str, Any]


class Rules(BaseModel):
    """All rules as they shall be. `after`: the number of the change that was looked at (GET gives it)."""

    model_config = ConfigDict(extra="forbid")
    rules: list[Json] = Field(min_length=1, max_length=500)
    by: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)] = "web"
    after: int | None = None


class Asked(BaseModel):
    """A rule to try: the id of one in force, or a rule as PUT takes it."""

    model_config = ConfigDict(extra="forbid")
    rule: Annotated[str, StringConstraints(min_length=1, max_length=200)] | Json
    days: int = Field(default=28, ge=1, le=90)


Preview = Callable[[Rule, int], Mapping[str, Any]]


def rule_routes(book: RuleBook, preview: Preview | None = None) -> APIRouter:
    """422 names every mistake; 409 when somebody else has changed the rules meanwhile."""
    api = APIRouter(prefix="/api/rules")
    if preview is not None:
        _preview_route(api, book, preview)

    def answer() -> Json:
        history = book.history()
        last = history[-1] if history else None
        return {
            "rules": msgspec.to_builtins(book.rules),
            "change": last.number if last else 0,
            "by": last.by if last else None,
            "at": last.at if last else None,
        }

    @api.get("")
    def rules() -> Json:
        return answer()

    @api.put("")
    def put(body: Rules) -> Json:
        found = mistakes(body.rules)
        if found:
            raise HTTPException(422, " ".join(found))
        try:
            book.put(body.rules, body.by, body.after)
        except WindvaneError as e:
            raise HTTPException(409, str(e)) from e
        return answer()

    @api.get("/history")
    def history() -> Json:
        return {"items": msgspec.to_builtins(book.history()[::-1])}

    return api


def _preview_route(api: APIRouter, book: RuleBook, preview: Preview) -> None:
    turn = threading.Lock()  # it takes seconds of a core: one at a time

    def chosen(asked: str | Json) -> Rule:
        if isinstance(asked, str):
            found = next((r for r in book.rules if r.id == asked), None)
            if found is None:
                known = ", ".join(r.id for r in book.rules)
                raise HTTPException(404, f"There is no rule {asked!r} in force. There are: {known}.")
            return found
        if wrong := mistakes([asked]):
            raise HTTPException(422, " ".join(wrong))
        return parse_rules([asked])[0]

    @api.post("/preview")
    def try_it(body: Asked) -> Json:  # not async: it runs in a thread, and the live streams go on
        rule = chosen(body.rule)
        if not turn.acquire(blocking=False):
            raise HTTPException(503, "Another preview is being worked out. Try again in a moment.")
        try:
            return msgspec.to_builtins(preview(rule, body.days), enc_hook=str)  # type: ignore[no-any-return]
        except TooMuch as e:
            raise HTTPException(422, f"days: {e}") from e
        finally:
            turn.release()
