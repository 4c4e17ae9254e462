"""The JSON API behind the test button: one labelled message to an address, and what the provider answered."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, StringConstraints

from dashboards.deps import WebDeps
from pipeline.control.base import ChannelName, Subscription
from pipeline.deliver.target import check_target
from pipeline.deliver.trial import trial
from pipeline.errors import WindvaneError


class Trial(BaseModel):
    """Where to send a test message. `target` is as a subscription's: https://…#secret=…, or an e-mail address."""

    model_config = ConfigDict(extra="forbid")
    channel: ChannelName
    target: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = ""
    language: Literal["en", "zh"] = "en"


def deliver_routes(deps: WebDeps) -> APIRouter:
    """POST /api/deliver/test."""
    api = APIRouter(prefix="/api/deliver")

    @api.post("/test")
    def test(body: Trial) -> dict[str, Any]:
        """{"outcome", "reason", "status", "said"}: our reading, and the provider's words. Not audited: nothing is
        kept. 422 for what cannot be an address of the channel."""
        try:
            check_target(body.channel, body.target)
        except WindvaneError as e:
            raise HTTPException(422, f"target: {e}") from e
        asked = Subscription(id="test", channel=body.channel, target=body.target, language=body.language)
        return trial(asked, deps.outgoing, deps.page, deps.clock())

    return api
