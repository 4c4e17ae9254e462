"""Clients of kafka-python: made so that a failed start leaves nothing behind, asked so that failures are sentences."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from kafka import KafkaAdminClient, errors
from kafka.net.compat import KafkaNetClient

from pipeline.bus.kafka_options import Timing
from pipeline.errors import Retry, WindvaneError

T = TypeVar("T")

_REFUSED = (errors.SaslAuthenticationFailedError, errors.AuthorizationError, errors.UnsupportedSaslMechanismError)
_OURS = (
    errors.InvalidGroupIdError,
    errors.InvalidTopicError,
    errors.InvalidReplicationFactorError,
    errors.InvalidSessionTimeoutError,
    errors.InvalidConfigurationError,
    errors.KafkaConfigurationError,
    errors.UnsupportedVersionError,
)  # no waiting mends these


@contextmanager
def speaking(doing: str, servers: list[str]) -> Iterator[None]:
    """Kafka's failures as ours: what waiting may mend is errors.Retry, what a person must mend a WindvaneError."""
    try:
        yield
    except _REFUSED as e:
        raise WindvaneError(
            f"Kafka at {', '.join(servers)} refused {doing}: {_words(e)}. Check kafka.security, kafka.sasl_mechanism, "
            "kafka.username and kafka.password, and what that user may do."
        ) from e
    except errors.InconsistentGroupProtocolError as e:
        raise WindvaneError(
            f"Kafka at {', '.join(servers)} keeps this member out of its group ({doing}): the members there share out "
            "partitions in another way. Run one version of Windvane in all workers, or stop what else uses the group."
        ) from e
    except _OURS as e:
        raise WindvaneError(f"Kafka at {', '.join(servers)} cannot do this ({doing}): {_words(e)}.") from e
    except (errors.KafkaError, OSError, RuntimeError) as e:  # RuntimeError: a client that broke down
        raise Retry(
            f"Kafka at {', '.join(servers)} did not answer ({doing}): {_words(e)}. "
            "Check that it runs and that kafka.servers and kafka.security are right."
        ) from e


def _words(e: BaseException) -> str:
    text = str(e).strip()
    kind = type(e).__name__
    return text.rstrip(".") if text.startswith(kind) else f"{kind}: {text}".rstrip(". :")


def make(client: Callable[..., T], **options: Any) -> T:
    """A client of kafka-python. When it cannot start (no broker), its thread and its sockets are gone on return:
    its constructor leaves them running, and a worker waits out an outage with a try every second."""
    made: list[KafkaNetClient] = []

    def network(**configs: Any) -> KafkaNetClient:
        made.append(KafkaNetClient(**configs))
        return made[-1]

    try:
        return client(kafka_client=network, **options)
    except BaseException:
        for half in made:
            half.close()
        raise


class Admin:
    """One admin client for a whole bus, made when first asked. Thread-safe."""

    def __init__(self, options: dict[str, Any], timing: Timing) -> None:
        self._options = options
        self._timing = timing
        self._lock = threading.Lock()
        self._client: KafkaAdminClient | None = None

    @property
    def servers(self) -> list[str]:
        return self._options["bootstrap_servers"]

    def ask(self, doing: str, question: Callable[[KafkaAdminClient], T]) -> T:
        """The answer. What may pass (a coordinator being elected) is asked again for `request_s`, then it is Retry."""
        deadline = time.monotonic() + self._timing.request_s
        with speaking(doing, self.servers):
            while True:
                client = self._connected()
                try:
                    return question(client)
                except errors.KafkaError as e:
                    if not _passing(e) or time.monotonic() > deadline:
                        self._drop(client)  # the next question starts afresh
                        raise
                    time.sleep(0.1)

    def close(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> KafkaAdminClient:
        with self._lock:
            if self._client is None:
                self._client = make(
                    KafkaAdminClient,
                    **self._options,
                    request_timeout_ms=int(self._timing.request_s * 1000),
                    bootstrap_timeout_ms=int(self._timing.request_s * 1000),
                )
            return self._client

    def _drop(self, client: KafkaAdminClient) -> None:
        with self._lock:
            if self._client is client:
                self._client = None
        client.close()


def _passing(e: errors.KafkaError) -> bool:
    """An answer of a living broker that says "not yet"."""
    return isinstance(
        e,
        errors.CoordinatorNotAvailableError
        | errors.CoordinatorLoadInProgressError
        | errors.LeaderNotAvailableError
        | errors.NotLeaderForPartitionError
        | errors.NodeNotReadyError,
    )
