"""Stages `prepare` and `detect` as Faust workers. The only module that imports faust.

Of Faust only what was found to lose nothing (take() acknowledges in `finally`, also a batch whose body raised;
concurrency above 1 and exactly_once commit past holes; tables rebuild windows wrongly): one agent with concurrency 1
that reads `stream.noack().events()` and hands each event to the stage's own thread. The thread runs the same
StageLoop as everywhere, and acknowledges, in order, after the results are durable. An unknown failure ends the
process: what was not acknowledged comes again, to whoever takes over.
"""

import asyncio
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import faust
import structlog

from pipeline.bus.base import Message
from pipeline.bus.kafka_options import tls_context
from pipeline.errors import WindvaneError
from pipeline.graph import Node
from pipeline.settings import KafkaSettings

log = structlog.get_logger(__name__)

MOST_WAITING = 4_096  # events read ahead of the stage
COMMIT_S = 0.5  # how often Faust commits what was acknowledged
SESSION_S = 10.0  # a killed worker is missed after this; as on the Kafka bus (Timing), instead of Faust's 60
STOP_S = 15.0  # how long Faust may take to leave the group
FAILED = 70  # exit status (EX_SOFTWARE) after an unknown failure


class FaustConsumer:
    """bus.base.Consumer over the events of one agent: filled on the event loop, emptied by the stage's thread."""

    def __init__(self, topic: str) -> None:
        self.generation = 0
        self._topic = topic
        self._lock = threading.Lock()
        self._queued: deque[tuple[Message, Any]] = deque()
        self._polled: deque[tuple[Message, Any]] = deque()
        self._assigned: frozenset[int] = frozenset()
        self._loop: asyncio.AbstractEventLoop | None = None

    # on the event loop

    def full(self) -> bool:
        return len(self._queued) >= MOST_WAITING

    def put(self, event: Any) -> None:
        """An event that came."""
        self._loop = asyncio.get_running_loop()
        m = event.message
        key = m.key.decode("utf-8", "replace") if isinstance(m.key, bytes) else (m.key or "")
        with self._lock:
            self._queued.append((Message(self._topic, m.partition, m.offset, key, m.value or b""), event))

    def assigned(self, partitions: frozenset[int]) -> None:
        """A rebalance ended: what was read before it comes again, here or elsewhere."""
        with self._lock:
            self._queued.clear()
            self._polled.clear()
            self._assigned = partitions
            self.generation += 1

    # on the stage's thread

    def owns(self) -> bool:
        """Whether this worker reads any partition now; else it stands by."""
        return bool(self._assigned)

    def poll(self, limit: int, only: Collection[int] | None = None) -> list[Message]:
        with self._lock:
            taken: list[tuple[Message, Any]] = []
            passed: list[tuple[Message, Any]] = []
            while self._queued and len(taken) < limit:
                message, event = self._queued.popleft()
                (taken if only is None or message.partition in only else passed).append((message, event))
            self._queued.extendleft(reversed(passed))
            self._polled.extend(taken)
        return [message for message, _ in taken]

    def commit(self, messages: Sequence[Message]) -> None:
        """Acknowledge these and all before them in their partitions; those of lost partitions are another's now."""
        upto: dict[int, int] = {}
        for m in messages:
            upto[m.partition] = max(m.offset, upto.get(m.partition, -1))
        with self._lock:
            done = [e for m, e in self._polled if m.offset <= upto.get(m.partition, -1)]
            self._polled = deque((m, e) for m, e in self._polled if m.offset > upto.get(m.partition, -1))
        if done and self._loop is not None:
            self._loop.call_soon_threadsafe(_acknowledge, done)

    def rewind(self) -> None:
        with self._lock:
            self._queued.extendleft(reversed(self._polled))
            self._polled.clear()

    def wait(self, seconds: float) -> None:
        """Faust keeps the membership on its own thread."""
        time.sleep(seconds)

    def close(self) -> None:
        """The app leaves the group when it stops."""


def _acknowledge(events: list[Any]) -> None:
    for event in events:
        event.ack()


def build_app(settings: KafkaSettings, node: Node, consumer: FaustConsumer, folder: Path) -> faust.App:
    """The app of one stage; its id, and so its consumer group, is the node's with the prefix. Faust keeps files that we
    do not need in `folder`."""
    assert settings.servers is not None
    app = faust.App(
        settings.prefix + node.group,
        broker=[f"kafka://{server.strip()}" for server in settings.servers.split(",")],
        broker_credentials=credentials(settings),
        broker_commit_interval=COMMIT_S,
        broker_session_timeout=SESSION_S,
        consumer_auto_offset_reset="earliest",
        processing_guarantee="at_least_once",
        store="memory://",
        datadir=str(folder),
        topic_allow_declare=False,  # topics are made by `ensure_topics`, with their partitions
        topic_disable_leader=True,
        web_enabled=False,
    )
    topic = app.topic(settings.prefix + node.reads, key_type=bytes, value_type=bytes, key_serializer="raw",
                      value_serializer="raw", acks=True)  # fmt: skip

    @app.agent(topic, concurrency=1, name=f"windvane.{node.name}")
    async def hand_over(stream: Any) -> None:
        async for event in stream.noack().events():
            while consumer.full():
                await asyncio.sleep(0.01)
            consumer.put(event)

    @app.on_partitions_assigned.connect(weak=False)
    async def on_assigned(_: Any, assigned: Any, **__: Any) -> None:
        mine = {tp.partition for tp in assigned if tp.topic == settings.prefix + node.reads}
        log.info("partitions assigned", stage=node.name, partitions=sorted(mine))
        consumer.assigned(frozenset(mine))

    @app.on_partitions_revoked.connect(weak=False)
    async def on_revoked(_: Any, revoked: Any, **__: Any) -> None:
        consumer.assigned(frozenset())

    return app


def credentials(settings: KafkaSettings) -> Any:
    """Faust's credentials of the settings, None for plain text. WindvaneError for what Faust cannot do."""
    if settings.security == "PLAINTEXT":
        return None
    context = tls_context(settings)
    if settings.security == "SSL":
        return faust.SSLCredentials(context=context)
    if not settings.username or settings.password is None:
        raise WindvaneError(
            f"kafka.security is {settings.security}: expected kafka.username and kafka.password, found none. Set both."
        )
    return faust.SASLCredentials(
        username=settings.username, password=settings.password.get_secret_value(), ssl_context=context,
        mechanism=settings.sasl_mechanism,
    )  # fmt: skip


def run_app(app: faust.App, work: Callable[[threading.Event], None]) -> None:
    """Until SIGTERM or SIGINT: the app on this thread's event loop, `work` (a loop's `run`) on a thread beside it.

    When `work` ends in an exception the process exits at once with status 70, so that nothing more is acknowledged.
    """
    stop = threading.Event()

    def guarded() -> None:
        try:
            work(stop)
        except BaseException as e:
            log.error("stage died", error=f"{type(e).__name__}: {e}", exc_info=True)
            os._exit(FAILED)

    async def main() -> None:
        asked = asyncio.Event()
        for s in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(s, asked.set)
        app.finalize()
        waited = asyncio.create_task(asked.wait())
        started = asyncio.create_task(app.start())
        await asyncio.wait([started, waited], return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            log.warning("asked to stop before Faust had started; nothing was begun")
            os._exit(0)
        await started
        thread = threading.Thread(target=guarded, name="stage", daemon=True)
        thread.start()
        ended = asyncio.create_task(app.wait_until_stopped())
        await asyncio.wait([ended, waited], return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await asyncio.to_thread(thread.join, 60)
        if ended.done() and not asked.is_set():
            log.error("the Faust app stopped by itself")
            os._exit(FAILED)
        await asyncio.sleep(2 * COMMIT_S)  # what was acknowledged last is committed
        stopped = asyncio.create_task(app.stop())
        if not (await asyncio.wait([stopped], timeout=STOP_S))[0]:
            log.warning("Faust does not stop, as when Kafka is away; all that was done is committed or comes again")
            os._exit(0)
        ended.cancel()

    asyncio.run(main())
