"""Publishing to Kafka: idempotent, acknowledged by all in-sync replicas, every outcome checked."""

import contextlib
import threading
from collections.abc import Sequence
from typing import Any

import structlog
from kafka import KafkaProducer, errors

from pipeline.bus.base import MESSAGE_LIMIT, check_sizes
from pipeline.bus.kafka_clients import make, speaking
from pipeline.bus.kafka_options import Timing

log = structlog.get_logger(__name__)


class Publisher:
    """One producer for a whole bus, made when first used. Thread-safe."""

    def __init__(self, options: dict[str, Any], timing: Timing) -> None:
        self._options = options
        self._timing = timing
        self._lock = threading.Lock()
        self._producer: KafkaProducer | None = None

    def publish(self, topic: str, entries: Sequence[tuple[str, bytes]]) -> None:
        """Append in order; returns once all are acknowledged. Retry when not all were: none of them will arrive
        later, and those that did arrive are there again after the caller's next try (at least once)."""
        check_sizes(topic, entries)
        encoded = [(key.encode(), value) for key, value in entries]
        with speaking(f"publishing to {topic}", self._options["bootstrap_servers"]):
            producer = self._connected()
            try:
                _send(producer, topic, encoded, self._timing.deliver_s + 5)
            except BaseException:
                self._drop(producer)
                raise

    def close(self) -> None:
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            _shut(producer)

    def _connected(self) -> KafkaProducer:
        with self._lock:
            if self._producer is None:
                self._producer = make(
                    KafkaProducer,
                    **self._options,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=5,  # a flush follows at once: this only keeps the first record from going alone
                    batch_size=256 << 10,
                    max_request_size=MESSAGE_LIMIT + 1024,
                    request_timeout_ms=int(self._timing.request_s * 1000),
                    delivery_timeout_ms=int(self._timing.deliver_s * 1000),
                    max_block_ms=int(self._timing.request_s * 1000),
                    bootstrap_timeout_ms=int(self._timing.request_s * 1000),
                    allow_auto_create_topics=False,
                    metrics_enabled=False,
                )
            return self._producer

    def _drop(self, producer: KafkaProducer) -> None:
        """After a failure: kafka-python advises a new producer, whose sequence numbers start afresh."""
        with self._lock:
            if self._producer is producer:
                self._producer = None
        _shut(producer)


def _send(producer: KafkaProducer, topic: str, entries: Sequence[tuple[bytes, bytes]], flush_s: float) -> None:
    """Keys → partitions by murmur2, as every Kafka client does it: the producer's default."""
    futures = [producer.send(topic, key=key, value=value) for key, value in entries]
    producer.flush(timeout=flush_s)
    for future in futures:
        future.get(timeout=0)


def _shut(producer: KafkaProducer) -> None:
    """Stop the sender thread; what is not acknowledged by now is never sent."""
    with contextlib.suppress(errors.KafkaError):
        producer.close(timeout=0)
        return
    # close() gives up when its own flush fails; the thread has to be told another way
    producer._sender.force_close()
    producer._sender.join(5)
    log.info("producer dropped", unsent=True)
