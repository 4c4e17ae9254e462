"""Outgoing HTTP that a stranger's URL cannot turn against this network: for feeds and for webhooks.

A resolver drops every address that is not on the public internet, at the moment of connecting, so a name that is
re-bound between check and use gains nothing. Addresses written as numbers never reach a resolver: they are checked in
the URL. Redirects are followed by hand, each hop checked; time and size are capped after unpacking.
"""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

_NAT64 = ip_network("64:ff9b::/96")


class Refused(OSError):
    """The address may not be fetched; the message says why and what to do."""


class Caps(NamedTuple):
    """The most that one exchange may cost."""

    seconds: float = 20.0
    bytes: int = 10_000_000  # after unpacking
    redirects: int = 5


class Answer(NamedTuple):
    """What a server said. `url` is where the answer came from, after redirects."""

    status: int
    headers: Mapping[str, str]  # names are compared without case
    body: bytes
    url: str
    moved: bool = False  # every redirect on the way was permanent


def is_public(address: str) -> bool:
    """Whether the IP address is on the public internet, looked at through IPv4-in-IPv6 wrappings."""
    ip: IPv4Address | IPv6Address = ip_address(address.split("%", 1)[0])
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            ip = inner
    return ip.is_global and not ip.is_multicast


def check_url(url: str, allow_private: bool = False) -> URL:
    """The parsed URL; raises Refused unless it is http(s) to a host that is no private address."""
    try:
        parsed = URL(url)
    except ValueError as e:
        raise Refused(f"{url!r} is no URL ({e}). Expected https://….") from e
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise Refused(f"{url!r} is no web address. Expected http:// or https:// and a host.")
    if not allow_private:
        with suppress(ValueError):
            if not is_public(parsed.host):
                raise _private(parsed.host)
    return parsed


def _private(host: str) -> Refused:
    return Refused(
        f"{host} is an address on this machine or a private network, which is refused. Use a public address, or "
        "allow private addresses in the settings."
    )


class PublicResolver(AbstractResolver):
    """Resolves names, leaving out every address that is not public; raises Refused when none is left."""

    def __init__(self, inner: AbstractResolver) -> None:
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        public = [r for r in found if is_public(r["host"])]
        if not public:
            raise _private(host)
        return public

    async def close(self) -> None:
        await self._inner.close()


def open_session(
    agent: str, caps: Caps = Caps(), allow_private: bool = False, resolver: AbstractResolver | None = None
) -> aiohttp.ClientSession:
    """A session behind the guard; the caller closes it. No cookies, no proxies from the environment."""
    inner = resolver or aiohttp.ThreadedResolver()
    connector = aiohttp.TCPConnector(resolver=inner if allow_private else PublicResolver(inner), ttl_dns_cache=60)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": agent},
        timeout=aiohttp.ClientTimeout(total=caps.seconds),
    )


class Client:
    """GET and POST within the caps. Raises Refused, asyncio.TimeoutError or aiohttp.ClientError."""

    def __init__(self, session: aiohttp.ClientSession, caps: Caps = Caps(), allow_private: bool = False) -> None:
        self._session = session
        self._caps = caps
        self._allow_private = allow_private

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer at the end of the redirects. Raises Refused for more than the cap of redirects or bytes."""
        at, moved, hops = url, True, 0
        async with asyncio.timeout(self._caps.seconds):
            while True:
                answer = await self._once("GET", at, headers or {}, None)
                target = answer.headers.get("Location")
                if answer.status not in (301, 302, 303, 307, 308) or not target:
                    return answer._replace(moved=moved and hops > 0)
                hops += 1
                if hops > self._caps.redirects:
                    raise Refused(f"{url} redirects more than {self._caps.redirects} times. Check the address.")
                moved = moved and answer.status in (301, 308)
                at = str(URL(answer.url).join(URL(target)))

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One POST; a redirect is an answer like any other."""
        async with asyncio.timeout(self._caps.seconds):
            return await self._once("POST", url, headers, body)

    async def _once(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        target = check_url(url, self._allow_private)
        try:
            async with self._session.request(
                method, target, headers=headers, data=body, allow_redirects=False
            ) as response:
                parts: list[bytes] = []
                size = 0
                async for chunk in response.content.iter_chunked(65_536):
                    size += len(chunk)
                    if size > self._caps.bytes and method == "POST":
                        break  # it was accepted or not; the rest of what it says does not matter
                    if size > self._caps.bytes:
                        raise Refused(
                            f"{url} answers with more than {self._caps.bytes} bytes. Is it the right address?"
                        )
                    parts.append(chunk)
                return Answer(response.status, response.headers.copy(), b"".join(parts), str(response.url))
        except aiohttp.InvalidURL as e:  # such as 127.1, another spelling of an address
            raise Refused(f"{url!r} is no web address ({e}). Check it.") from e
        except aiohttp.ClientConnectorError as e:  # wraps what the resolver raised
            if isinstance(e.os_error, Refused):
                raise e.os_error from None
            raise


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that Retry-After asks for (a number or an HTTP date), or None."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds()) if value else None
    except (ValueError, TypeError):
        return None
