"""The JSON API of the alert rules: read, replace, history. JSON only (security.py)."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipeline.detect.rules import mistakes
from pipeline.errors import WindvaneError
from pipeline.rulebook import RuleBook

Json = dict[str, Any]


class Rules(BaseModel):
    """All rules as they shall be. `after`: the number of the change that was looked at (GET gives it)."""

    model_config = ConfigDict(extra="forbid")
    rules: list[Json] = Field(min_length=1, max_length=500)
    by: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)] = "web"
    after: int | None = None


def rule_routes(book: RuleBook) -> APIRouter:
    """422 names every mistake; 409 when somebody else has changed the rules meanwhile."""
    api = APIRouter(prefix="/api/rules")

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
