"""What every request and answer goes through: the Host check, the same-origin check of changes, the headers."""

from typing import Any
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SIGNED = "/act/"  # addresses whose requests carry their own signature (page_act.py)
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})

_HEADERS = {
    # No inline script or style, nothing from elsewhere, no frames: a hostile text has nothing to work with.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def host_name(host: str) -> str:
    """The name of a Host header without its port, lower case: "[::1]:8710" gives "[::1]"."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


class Guard:
    """ASGI middleware. `hosts` None lets every Host header in (a server that is meant to be reached by any name)."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        # Against DNS rebinding: a foreign page that points its own name at this machine still sends its own name.
        if self.hosts is not None and host_name(host) not in self.hosts:
            return _error(
                421, f"This page answers to {', '.join(sorted(self.hosts))} only, not to {host or 'no name'}."
            )
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        # Against forged requests: a foreign form cannot send JSON, and a foreign script shows its origin. Links from
        # messages act through a plain form (no JavaScript): there the signature stands for the content type.
        signed = scope["path"].startswith(SIGNED)
        if not signed and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _error(415, "Changes are sent as JSON: set Content-Type: application/json.")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return _error(
                403, f"Changes must come from this page itself, not from {origin}. Open the page and try there."
            )
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _error(403, "Changes must come from this page itself. Open the page and try there.")
        return None


def _error(status: int, sentence: str) -> JSONResponse:
    body: dict[str, Any] = {"error": sentence}
    return JSONResponse(body, status_code=status)
