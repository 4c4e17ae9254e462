"""What a worker tells about itself over HTTP: /health, and /metrics for Prometheus."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pipeline.errors import WindvaneError

STUCK_S = 300.0  # a step that takes longer than this is not at work any more


class Watched:
    """A loop whose steps are counted and timed: `verb` names its method that does one and says how much it did. Where
    the loop has an attribute `waiting`, it says why nothing moves."""

    def __init__(self, stage: str, loop: Any, verb: str = "step", ticks: Callable[[], float] = time.monotonic) -> None:
        self.stage = stage
        self.registry = CollectorRegistry()
        self._loop = loop
        self._ticks = ticks
        self._stepped = ticks()
        self._messages = Counter("windvane_messages", "Messages taken and done.", ["stage"], registry=self.registry)
        self._seconds = Histogram(
            "windvane_batch_seconds", "Seconds from poll to commit of a batch.", ["stage"], registry=self.registry,
            buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
        )  # fmt: skip
        waits = Gauge("windvane_waiting", "1 while an outage holds the stage up.", ["stage"], registry=self.registry)
        waits.labels(stage).set_function(lambda: float(bool(self._waiting)))
        self._inner: Callable[..., int] = getattr(loop, verb)
        setattr(loop, verb, self._step)  # the loop's own `run` calls it

    def _step(self, *given: Any) -> int:
        began = self._ticks()
        done = self._inner(*given)
        self._stepped = self._ticks()
        if done:
            self._messages.labels(self.stage).inc(done)
            self._seconds.labels(self.stage).observe(self._stepped - began)
        return done

    @property
    def _waiting(self) -> str:
        return getattr(self._loop, "waiting", "")

    def health(self) -> tuple[bool, dict[str, Any]]:
        """(well, details). Waiting out an outage is well: a restart would not help; `waiting` says why."""
        idle = self._ticks() - self._stepped
        return bool(self._waiting) or idle < STUCK_S, {
            "stage": self.stage, "waiting": self._waiting or None, "since_last_step_s": round(idle, 1)
        }  # fmt: skip


class HealthServer:
    """Serves one worker's state on a port of every interface (containers ask from outside); 0 takes a free one."""

    def __init__(self, port: int, watched: Watched) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest(watched.registry))
                elif self.path == "/health":
                    well, details = watched.health()
                    body = json.dumps(details | {"status": "ok" if well else "stuck"}).encode()
                    self._answer(200 if well else 503, "application/json", body)
                else:
                    self._answer(404, "text/plain", b"Here are /health and /metrics.\n")

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Requests of a probe every few seconds are no news."""

        try:
            self._server = ThreadingHTTPServer(("", port), Handler)
        except OSError as e:
            raise WindvaneError(
                f"expected port {port} to be free for --metrics-port, found: {e.strerror}. Choose another, or 0."
            ) from e
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
