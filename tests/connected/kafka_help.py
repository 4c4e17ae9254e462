"""A Kafka as nobody has used it, and short times, for the tests of the Kafka bus."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from pipeline.bus.base import Bus, Consumer, Message
from pipeline.bus.kafka import KafkaBus
from pipeline.bus.kafka_options import Timing
from pipeline.errors import Retry
from pipeline.settings import KafkaSettings

QUICK = Timing(poll_s=0.3, fetch_s=0.1, join_s=2, session_s=6, heartbeat_s=0.5, request_s=5, deliver_s=20)


def settings_for(address: str, **more: Any) -> KafkaSettings:
    """No topics, no groups: a prefix of its own."""
    return KafkaSettings.model_validate({"servers": address, "prefix": f"test-{uuid.uuid4().hex[:12]}.", **more})


@contextmanager
def bus_on(address: str, timing: Timing = QUICK, **more: Any) -> Iterator[KafkaBus]:
    bus = KafkaBus(settings_for(address, **more), timing)
    try:
        yield bus
    finally:
        bus.close()


def publish(bus: Bus, first: int, n: int, keys: int = 20) -> None:
    """Messages "first", "first+1", …, over `keys` keys."""
    bus.publish("t", [(f"key {i % keys}", b"%d" % i) for i in range(first, first + n)])


def numbers(messages: list[Message]) -> list[int]:
    return [int(m.value) for m in messages]


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true answer; an assertion after `seconds`. Outages count as "not yet"."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if answer := condition():
                return answer
        except Retry:
            time.sleep(0.1)
        assert time.monotonic() < deadline, f"still not so after {seconds} s"


@contextmanager
def polling(*consumers: Consumer) -> Iterator[None]:
    """Each polls in a thread of its own, as in life, and takes nothing: it rewinds at once."""
    over = threading.Event()

    def poll(consumer: Consumer) -> None:
        while not over.is_set():
            consumer.poll(1)
            consumer.rewind()

    with ThreadPoolExecutor(len(consumers)) as threads:
        running = [threads.submit(poll, consumer) for consumer in consumers]
        try:
            yield
        finally:
            over.set()
        for done in running:
            done.result()


def shared_out(*consumers: Consumer) -> None:
    """Poll until the members have settled: all have joined, and no generation moves for two seconds."""
    with polling(*consumers):
        last, since = None, time.monotonic()
        deadline = since + 90
        while time.monotonic() - since < 2:
            now = [consumer.generation for consumer in consumers]
            if now != last or min(now) == 0:
                last, since = now, time.monotonic()
            assert time.monotonic() < deadline, f"the group does not settle: generations {now}"
            time.sleep(0.1)
