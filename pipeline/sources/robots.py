"""robots.txt after RFC 9309: 4xx allows, 5xx and silence forbid, an answer holds for at most a day."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import aiohttp
from protego import Protego
from yarl import URL

from pipeline.sources.http import Client, Refused

TOKEN = "Windvane"  # the name we look for in robots.txt
HELD_S = 86_400.0
HELD_UNREACHABLE_S = 1_800.0
_READ = 512_000  # bytes of a robots.txt that count


class Rules(NamedTuple):
    """What a host allows. `parsed` None: all of it or nothing."""

    allows_rest: bool
    until: float
    parsed: Protego | None = None
    trouble: str = ""  # why nothing is allowed, when the host forbade nothing

    def allows(self, url: str) -> bool:
        return self.parsed.can_fetch(url, TOKEN) if self.parsed else self.allows_rest

    def delay(self) -> float:
        """Seconds between requests that the host asks for."""
        return float(self.parsed.crawl_delay(TOKEN) or 0.0) if self.parsed else 0.0


class Robots:
    """The rules of each host, fetched once and held. `seconds` is a monotonic clock."""

    def __init__(self, client: Client, seconds: Callable[[], float]) -> None:
        self._client = client
        self._seconds = seconds
        self._held: dict[str, Rules] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def rules(self, url: str) -> Rules:
        """The rules that hold for a URL's host now."""
        origin = str(URL(url).origin())
        async with self._locks.setdefault(origin, asyncio.Lock()):
            held = self._held.get(origin)
            if held is None or held.until <= self._seconds():
                held = self._held[origin] = await self._fetch(origin)
            return held

    async def _fetch(self, origin: str) -> Rules:
        now = self._seconds()
        try:
            answer = await self._client.get(f"{origin}/robots.txt")
        except (aiohttp.ClientError, TimeoutError, Refused) as e:
            return Rules(False, now + HELD_UNREACHABLE_S, trouble=str(e) or "no answer in time")
        if 200 <= answer.status < 300:
            text = answer.body[:_READ].decode("utf-8", "replace")
            return Rules(True, now + HELD_S, Protego.parse(text))
        if 400 <= answer.status < 500:
            return Rules(True, now + HELD_S)
        return Rules(False, now + HELD_UNREACHABLE_S, trouble=f"it answered {answer.status}")
