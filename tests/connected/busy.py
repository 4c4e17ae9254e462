"""A proxy before Elasticsearch that says "too busy" (429) to some bulk requests, and to some items of others.

    with Busy(address) as proxy:
        proxy.address

A refused request or item never reaches the server. Which ones is drawn from `seed`.
"""

import http.client
import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_NOT_HANDED_ON = {"host", "content-length", "connection", "transfer-encoding", "accept-encoding"}


class Busy:
    """See the module. `requests` and `items`: the shares that are refused; they may be changed while it runs."""

    def __init__(self, upstream: str, requests: float = 0.2, items: float = 0.02, seed: int = 1) -> None:
        self.requests, self.items = requests, items
        self.refused_requests = self.refused_items = 0
        self.upstream = urlsplit(upstream)
        self.rng = random.Random(seed)
        busy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                try:
                    status, headers, answer = busy.answer(self.command, self.path, dict(self.headers), body)
                except (OSError, http.client.HTTPException):
                    self.close_connection = True  # as the server itself: nothing there
                    return
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in _NOT_HANDED_ON:
                        self.send_header(name, value)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that was killed
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Busy":
        threading.Thread(target=self._server.serve_forever, name="busy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """(status, headers, body)."""
        if not urlsplit(path).path.endswith("/_bulk"):
            return self._forward(method, path, headers, body)
        if self.rng.random() < self.requests:
            self.refused_requests += 1
            return 429, _JSON, b'{"error":{"type":"es_rejected_execution_exception","reason":"busy"},"status":429}'
        actions = split_actions(body)
        refused = {n for n in range(len(actions)) if self.rng.random() < self.items}
        if not refused:
            return self._forward(method, path, headers, body)
        self.refused_items += len(refused)
        left = b"".join(action for n, action in enumerate(actions) if n not in refused)
        if not left:
            return 200, _JSON, json.dumps({"errors": True, "items": [_REFUSED] * len(actions)}).encode()
        status, given, answer = self._forward(method, path, headers, left)
        if status != 200:
            return status, given, answer
        whole = json.loads(answer)
        done = iter(whole["items"])
        whole["items"] = [_REFUSED if n in refused else next(done) for n in range(len(actions))]
        whole["errors"] = True
        return 200, given, json.dumps(whole).encode()

    def _forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.upstream.hostname or "", self.upstream.port, timeout=60)
        try:
            kept = {n: v for n, v in headers.items() if n.lower() not in _NOT_HANDED_ON}
            connection.request(method, path, body or None, kept)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()


_JSON = {"content-type": "application/vnd.elasticsearch+json;compatible-with=8", "x-elastic-product": "Elasticsearch"}
_REFUSED = {
    "index": {"status": 429, "error": {"type": "es_rejected_execution_exception", "reason": "rejected execution"}}
}


def split_actions(body: bytes) -> list[bytes]:
    """Each action of a bulk body with its document, if it has one."""
    out = []
    lines = iter(body.splitlines(keepends=True))
    for line in lines:
        if line.strip():
            out.append(line if b'"delete"' in line[:12] else line + next(lines))
    return out
