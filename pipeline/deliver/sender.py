"""The one way out over HTTP for messages: guarded against addresses on private networks, redirects not followed, time
and size capped, and no secret in what it says afterwards."""

from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver

from pipeline.clock import Clock, system_clock
from pipeline.deliver.base import Outcome
from pipeline.deliver.outcomes import Reader
from pipeline.deliver.secrets import scrubbed
from pipeline.sources.http import Answer, Caps, Client, Refused, open_session

AGENT = "Windvane-Webhook/1"
CAPS = Caps(seconds=10.0, bytes=65_536, redirects=0)


class Request(NamedTuple):
    """One POST. `hidden`: what must not be seen in a reason."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    hidden: tuple[str, ...] = ()


class Sent(NamedTuple):
    """How a send ended, with what the other side said: its status (None: it said nothing) and body, scrubbed."""

    outcome: Outcome
    status: int | None = None
    said: str = ""


class HttpSender:
    """Posts requests. `allow_private` lets addresses be on this machine or network."""

    def __init__(
        self,
        allow_private: bool = False,
        clock: Clock = system_clock,
        caps: Caps = CAPS,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._allow_private = allow_private
        self.clock = clock
        self._caps = caps
        self._resolver = resolver

    async def post(self, request: Request, read: Reader) -> Sent:
        """Send, and read the answer. Never raises: what goes wrong is the outcome."""
        try:
            answer = await self._once(request)
        except Refused as e:
            return Sent(_clean(Outcome("permanent", str(e)), request))
        except TimeoutError:
            return Sent(Outcome("transient", f"No answer within {self._caps.seconds:g} s; it may have arrived."))
        except aiohttp.ClientError as e:
            return Sent(_clean(Outcome("transient", f"The connection failed: {e or type(e).__name__}."), request))
        except Exception as e:  # whatever it says may hold the address; the dispatcher would log it as it is
            return Sent(_clean(Outcome("transient", f"Sending failed: {type(e).__name__}: {e}"), request))
        said = scrubbed(answer.body[:2000].decode(errors="replace"), *request.hidden)
        return Sent(_clean(read(answer, self.clock()), request), answer.status, said)

    async def _once(self, request: Request) -> Answer:
        async with open_session(AGENT, self._caps, self._allow_private, self._resolver) as session:
            client = Client(session, self._caps, self._allow_private)
            return await client.post(request.url, request.body, request.headers)


def _clean(outcome: Outcome, request: Request) -> Outcome:
    return outcome._replace(reason=scrubbed(outcome.reason, *request.hidden))
