"""How fast the Kafka bus produces and consumes, as ratios within one run, and per core.

    WINDVANE_TEST_KAFKA=host:port python -m tests.benchmarks.kafka [--records 10000] [--json]

Synthetic opinions (zh and en by turns, about 1 KB of JSON). Produce: batches of 256, as a stage publishes them, against
one publish per record, each flushed and acknowledged. Consume: polls of 512, then decoding. "Per core" is per second of
this process's own CPU time, which a slow broker does not touch; the ratios are of the time on the clock.
"""

import argparse
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.bus.base import Message
from pipeline.bus.kafka import KafkaBus
from pipeline.bus.kafka_options import Timing, client_options
from pipeline.bus.kafka_producer import Publisher
from pipeline.records import Decoder, Opinion, encode
from pipeline.settings import KafkaSettings
from tests.benchmarks.store import opinions

BATCH = 256  # of a producing stage
POLL = 512  # of a consuming one
Entry = tuple[str, bytes]


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds on the clock, seconds of CPU, and what came out."""
    clock, cpu = time.perf_counter(), time.process_time()
    out = work()
    return time.perf_counter() - clock, time.process_time() - cpu, out


def produce(publish: Callable[[Sequence[Entry]], None], entries: Sequence[Entry], batch: int) -> None:
    for i in range(0, len(entries), batch):
        publish(entries[i : i + batch])


def consume(bus: KafkaBus, n: int) -> list[Message]:
    consumer = bus.consumer("bench", "t")
    messages: list[Message] = []
    while len(messages) < n:
        polled = consumer.poll(POLL)
        consumer.commit(polled)
        messages += polled
    consumer.close()
    return messages


def measure(servers: str, records: int) -> dict[str, float]:
    """All of it on topics of their own, which stay (the broker is a test's)."""
    settings = KafkaSettings(servers=servers, prefix=f"bench-{uuid.uuid4().hex[:8]}.", retention_days=1)
    entries = [(o.story_id, encode(o)) for o in opinions(records)]
    few = entries[: max(200, records // 20)]
    bus = KafkaBus(settings)
    try:
        bus.publish("t", entries[:1])  # the topic is made, the producer is connected
        bus.publish("single", entries[:1])
        single, _, _ = timed(lambda: produce(lambda e: bus.publish("single", e), few, 1))
        batched, batched_cpu, _ = timed(lambda: produce(lambda e: bus.publish("t", e), entries, BATCH))
        zipped, zipped_cpu = compressed(settings, entries)
        consumed, consumed_cpu, messages = timed(lambda: consume(bus, records + 1))
        decode = Decoder(Opinion)
        decoded, decoded_cpu, _ = timed(lambda: [decode(m.value) for m in messages])
    finally:
        bus.close()
    return {
        "records": records,
        "bytes_per_record": sum(len(value) for _, value in entries) / records,
        "produce_batched_per_s": records / batched,
        "produce_single_per_s": len(few) / single,
        "produce_batched_over_single": (records / batched) / (len(few) / single),
        "produce_per_core": records / batched_cpu,
        "produce_gzip_over_plain": batched / zipped,
        "produce_gzip_per_core": records / zipped_cpu,
        "consume_per_s": records / consumed,
        "consume_per_core": records / consumed_cpu,
        "decode_per_core": records / decoded_cpu,
        "consume_and_decode_per_s": records / (consumed + decoded),
        "consume_and_decode_per_core": records / (consumed_cpu + decoded_cpu),
    }


def compressed(settings: KafkaSettings, entries: Sequence[Entry]) -> tuple[float, float]:
    """The same in gzip, the only compression that Python brings along."""
    publisher = Publisher(client_options(settings) | {"compression_type": "gzip"}, Timing())
    bus = KafkaBus(settings)
    try:
        bus.publish("zipped", entries[:1])
        topic = settings.prefix + "zipped"
        publisher.publish(topic, entries[:1])
        clock, cpu, _ = timed(lambda: produce(lambda e: publisher.publish(topic, e), entries, BATCH))
    finally:
        publisher.close()
        bus.close()
    return clock, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    servers = os.environ.get("WINDVANE_TEST_KAFKA")
    if not servers:
        sys.exit(
            "Set WINDVANE_TEST_KAFKA=host:port: this measures against a running Kafka (`make servers` starts one)."
        )
    found = measure(servers, args.records)
    if args.json:
        print(json.dumps(found, indent=1))
        return
    for name, value in found.items():
        print(f"{name.replace('_', ' '):32} {value:12,.1f}")


if __name__ == "__main__":
    main()
