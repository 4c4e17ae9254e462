"""A dispatcher in a process of its own that is killed (-9) at a named step, and a server that counts what it accepted.

Steps, in the order of dispatcher.py: "leased" (before anything else), "checked" (before the send), "sent" (the server
has accepted it, its answer is not read), "answered" (before the outcome is stored), "stored".
"""

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec

from pipeline.clock import Clock
from pipeline.control.base import ControlStore
from pipeline.control.sql import SqlControlStore
from pipeline.database import Database
from pipeline.deliver.channels.base import Outlet
from pipeline.deliver.dispatcher import Dispatcher
from pipeline.deliver.sender import HttpSender
from pipeline.deliver.webhook import WebhookChannel

START = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
STEPS = ("leased", "checked", "sent", "answered", "stored")
FORK = get_context("forkserver")
FORK.set_forkserver_preload([__name__])


def link(alert: Any) -> str:
    return f"http://page/alerts/{alert.alert_id}"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def open_control(where: str, clock: Clock) -> ControlStore:
    """A file's, or a PostgreSQL server's."""
    if where.startswith("postgresql"):
        from pydantic import SecretStr

        from pipeline.control.postgres import open_postgres_control
        from pipeline.settings import PostgresSettings

        return open_postgres_control(PostgresSettings(url=SecretStr(where)), clock)
    return SqlControlStore(Database(Path(where)), clock)


class KilledStore:
    """The store; the process dies at the `left`-th time that it comes to `step`."""

    def __init__(self, control: ControlStore, step: str, left: int) -> None:
        self._control = control
        self._step = step
        self._left = left

    def __getattr__(self, name: str) -> Any:
        return getattr(self._control, name)

    def at(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                die()

    def lease_deliveries(self, *args: Any) -> Any:
        leased = self._control.lease_deliveries(*args)
        if leased:
            self.at("leased")
        return leased

    def lease_digest(self, *args: Any) -> Any:
        leased = self._control.lease_digest(*args)
        if leased:
            self.at("leased")
        return leased

    def finish_deliveries(self, endings: Any) -> int:
        if any(e.sent for e in endings):
            self.at("answered")
        n = self._control.finish_deliveries(endings)
        if any(e.sent for e in endings):
            self.at("stored")
        return n


class KilledChannel:
    """The webhook; the process dies before the send."""

    def __init__(self, channel: WebhookChannel, store: KilledStore) -> None:
        self._channel = channel
        self._store = store

    async def send(self, message: Any) -> Any:
        self._store.at("checked")
        return await self._channel.send(message)

    async def send_card(self, card: Any, target: str, delivery_id: str) -> Any:
        self._store.at("checked")
        return await self._channel.send_card(card, target, delivery_id)


def work(where: str, offset_s: float, step: str = "", left: int = 1, limit: int = 4) -> None:
    """Rounds until nothing is due, on a clock that stands `offset_s` after START. "sent" is the server's to do: the
    name of the step goes with the request's agent."""

    def clock() -> datetime:
        return START + timedelta(seconds=offset_s)

    store = KilledStore(open_control(where, clock), step, left)
    channel = KilledChannel(WebhookChannel(Outlet(HttpSender(allow_private=True, clock=clock))), store)
    dispatcher = Dispatcher(store, {"webhook": channel}, clock, random.Random(1), link)  # type: ignore[arg-type]
    while dispatcher.run_once(limit):
        pass


def run(
    where: str, offset_s: float, step: str = "", left: int = 1, server: "Receiver | None" = None, limit: int = 4
) -> int:
    """`work` in a process of its own; its exit code (-9: killed)."""
    process = FORK.Process(target=work, args=(where, offset_s, step, left, limit))
    if step == "sent" and server is not None:
        server.kill_after(left)
    process.start()
    if server is not None:
        server.victim = process.pid
    process.join(60)
    if process.is_alive():
        process.kill()
        raise AssertionError("the dispatcher did not come to an end")
    return process.exitcode or 0


class Receiver:
    """Accepts every webhook and counts its id; `alerts` has what came under it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.accepted: Counter[str] = Counter()
        self.alerts: dict[str, set[str]] = {}
        self.victim: int | None = None
        self._lock = threading.Lock()
        self._kill_after = 0

    def kill_after(self, n: int) -> None:
        """Kill the sender once its n-th message is accepted, before it hears of it."""
        self._kill_after = n

    def accept(self, delivery_id: str, body: bytes) -> None:
        with self._lock:
            self.accepted[delivery_id] += 1
            self.alerts.setdefault(delivery_id, set()).update(alerts_of(body))
            if self._kill_after:
                self._kill_after -= 1
                if self._kill_after == 0 and self.victim is not None:
                    os.kill(self.victim, signal.SIGKILL)

    @property
    def told(self) -> Counter[str]:
        """How often each alert was told, by accepted messages."""
        return Counter(a for id_, n in self.accepted.items() for a in self.alerts[id_] for _ in range(n))


def alerts_of(body: bytes) -> set[str]:
    """The alerts that a body tells: of a message its own, of a digest those that its lines link to."""
    told = msgspec.json.decode(body)
    if told["type"].startswith("alert."):
        return {told["data"]["alert_id"]}
    return {line["url"].rpartition("/")[2] for line in told["data"]["lines"]}


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A server on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.accept(self.headers["webhook-id"], body)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Receiver(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
