"""One member of a consumer group on Kafka. Offsets are committed by us, never by the client."""

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition, errors

from pipeline.bus.base import MESSAGE_LIMIT, Message
from pipeline.bus.kafka_assignor import KeepingAssignor
from pipeline.bus.kafka_clients import make, speaking
from pipeline.bus.kafka_options import Timing
from pipeline.bus.kafka_progress import Progress

log = structlog.get_logger(__name__)

_WAIT_STEP_S = 1.0  # after so long a waiting member looks whether a failed poll can be tried again
_NOT_A_MEMBER = (
    errors.CommitFailedError,
    errors.RebalanceInProgressError,
    errors.IllegalGenerationError,
    errors.UnknownMemberIdError,
)


class Seat(NamedTuple):
    """Where a consumer sits: names as Windvane says them, and the prefix the server knows them by."""

    group: str
    topic: str
    sole: bool
    prefix: str


class GroupConsumer:
    """See bus.base.Consumer. One thread at a time. Joins the group with its first poll, so that a worker starts while
    the broker is down; a client that broke down is replaced at the next poll."""

    def __init__(self, options: dict[str, Any], seat: Seat, timing: Timing, ensure: Callable[[str], None]) -> None:
        """`ensure` makes a topic that is not there: the group would otherwise hear of it a metadata refresh late."""
        self._options = options
        self._seat = seat
        self._timing = timing
        self._ensure = ensure
        self._name = seat.prefix + seat.topic
        self._progress = Progress()
        self._client: KafkaConsumer | None = None
        self._waiting = False
        self._closed = False

    @property
    def generation(self) -> int:  # type: ignore[override]
        return self._progress.generation

    def poll(self, limit: int, only: Collection[int] | None = None) -> list[Message]:
        """Waits up to Timing.poll_s for a message, longer while the group shares out partitions. An outage is [] at
        first, while the client tries by itself, and Retry when it cannot even start."""
        self._check_open()
        with self._speaking("reading"):
            client = self._connected()
            try:
                client.resume(*client.paused())
                if not client._fetcher._next_partition_records:  # kafka-python 3.0 puts a drained batch here, and then
                    client._fetcher._next_partition_records = None  # never gives back what a resumed partition held
                if only is not None:  # what the client has of the others it keeps
                    client.pause(*(tp for tp in client.assignment() if tp.partition not in only))
                self._flush(client)
                return self._take(self._fetch(client, limit))
            except (errors.KafkaError, RuntimeError) as e:
                if not getattr(e, "retriable", False):
                    self._give_up(e)
                raise

    def commit(self, messages: Sequence[Message]) -> None:
        """Messages of a partition that went to another member are its to commit: nothing happens for them here."""
        self._check_open()
        if strangers := {m.topic for m in messages} - {self._seat.topic}:
            raise ValueError(
                f"A consumer of {self._seat.topic} was asked to commit messages of {', '.join(strangers)}."
            )
        self._progress.done(messages)
        if self._client is not None:
            with self._speaking("committing"):
                self._flush(self._client)

    def rewind(self) -> None:
        for partition, offset in self._progress.rewind().items():
            if self._client is not None and self._progress.joined:
                self._client.seek(TopicPartition(self._name, partition), offset)

    def wait(self, seconds: float) -> None:
        """Back-pressure: every partition is paused and the membership looked after, for as long as it takes."""
        deadline = time.monotonic() + seconds
        client = self._client
        if client is None or self._closed:
            time.sleep(seconds)
            return
        self._waiting = True
        try:
            client.pause(*client.assignment())
            while (left := deadline - time.monotonic()) > 0:
                self._stay(client, min(left, _WAIT_STEP_S))
            if not self._progress.joined:  # see _fetch: better a longer wait than a join thrown away
                self._stay(client, self._timing.join_s)
        finally:
            self._waiting = False
            client.resume(*client.paused())

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._client is not None:
            with contextlib.suppress(errors.KafkaError, RuntimeError):
                self._flush(self._client)
            self._give_up(None)

    def _fetch(self, client: KafkaConsumer, limit: int) -> dict[TopicPartition, list[Any]]:
        """While the group shares out partitions: one long poll. kafka-python 3.0 throws a join away that ends between
        two polls, and joins once more, for which every other member has to join again too."""
        records = self._poll(client, self._timing.poll_s, limit) if self._progress.joined else {}
        if not records and not self._progress.joined:
            records = self._poll(client, self._timing.join_s, limit)
        return records

    def _poll(self, client: KafkaConsumer, seconds: float, limit: int) -> dict[TopicPartition, list[Any]]:
        for partition in self._progress.astray:
            tp = TopicPartition(self._name, partition)
            offset = client.committed(tp, timeout_ms=int(self._timing.request_s * 1000))
            client.seek_to_beginning(tp) if offset is None else client.seek(tp, offset)
        self._progress.settled()
        records = client.poll(timeout_ms=int(seconds * 1000), max_records=limit)
        if self._progress.astray:  # known since this very poll: nothing it brought is to be trusted
            return self._put_back(client, records)
        return records

    def _put_back(self, client: KafkaConsumer, records: dict[TopicPartition, list[Any]]) -> dict[Any, Any]:
        for tp, found in records.items():
            client.seek(tp, found[0].offset)
        return {}

    def _take(self, records: dict[TopicPartition, list[Any]]) -> list[Message]:
        messages: list[Message] = []
        for tp, found in records.items():
            if gone := self._progress.polled(tp.partition, found[0].offset, found[-1].offset):
                log.warning("messages gone before they were read", topic=tp.topic, partition=tp.partition, offsets=gone)
            messages += [as_message(self._seat.topic, record) for record in found]
        return messages

    def _flush(self, client: KafkaConsumer) -> None:
        """Tell the server what is done. In a rebalance, or out of the group, it hears of it after the next join, if
        the partition is still ours then."""
        offsets = self._progress.to_commit()
        if not offsets or not self._progress.joined:
            return
        try:
            client.commit(
                {TopicPartition(self._name, p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()},
                timeout_ms=int(self._timing.request_s * 1000),
            )
        except _NOT_A_MEMBER as e:
            log.info("commit left to the next owner", group=self._seat.group, topic=self._seat.topic, why=str(e))
            return
        self._progress.committed(offsets)

    def _stay(self, client: KafkaConsumer, seconds: float) -> None:
        try:
            records = self._poll(client, seconds, 1)
        except (errors.KafkaError, RuntimeError) as e:
            log.info("waiting out of reach of the broker", group=self._seat.group, why=str(e))
            time.sleep(seconds)
            return
        self._put_back(client, records)  # of a partition that arrived in this very poll, before it was paused

    def _connected(self) -> KafkaConsumer:
        if self._client is None:
            self._ensure(self._seat.topic)
            timing, ms = self._timing, 1000
            self._client = make(
                self._subscribed,
                **self._options,
                group_id=self._seat.prefix + self._seat.group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                partition_assignment_strategy=[KeepingAssignor(sole=self._seat.sole)],
                session_timeout_ms=int(timing.session_s * ms),
                heartbeat_interval_ms=int(timing.heartbeat_s * ms),
                max_poll_interval_ms=int(timing.max_poll_s * ms),
                request_timeout_ms=int(timing.request_s * ms),
                bootstrap_timeout_ms=int(timing.request_s * ms),
                fetch_max_wait_ms=int(timing.fetch_s * ms),
                max_partition_fetch_bytes=MESSAGE_LIMIT,
                allow_auto_create_topics=False,
                metrics_enabled=False,
            )
        return self._client

    def _subscribed(self, **options: Any) -> KafkaConsumer:
        client = KafkaConsumer(**options)
        client.subscribe([self._name], listener=_Listener(client, self._progress, lambda: self._waiting))
        # kafka-python 3.0 forgets to ask for the topic when an earlier question for metadata is under way: the group's
        # leader would share out nothing for a minute (metadata_max_age_ms). This asks until it is known.
        client.partitions_for_topic(self._name)
        return client

    def _give_up(self, why: Exception | None) -> None:
        """Leave the group and forget what was under way; the next poll joins anew."""
        client, self._client = self._client, None
        self._progress.lost()
        if why is not None:
            log.warning("consumer replaced", group=self._seat.group, topic=self._seat.topic, why=str(why))
        if client is not None:
            with contextlib.suppress(errors.KafkaError, RuntimeError, OSError):
                client.close(autocommit=False, timeout_ms=2000)

    def _speaking(self, doing: str) -> contextlib.AbstractContextManager[None]:
        return speaking(f"{doing} {self._seat.topic}", self._options["bootstrap_servers"])

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(
                f"The consumer of group {self._seat.group} on {self._seat.topic} is closed. Ask the bus for a new one."
            )


class _Listener(ConsumerRebalanceListener):
    """Called on the client's own thread while the consumer's thread stands in poll (or close): never both at once."""

    def __init__(self, client: KafkaConsumer, progress: Progress, waiting: Callable[[], bool]) -> None:
        self._client = client
        self._progress = progress
        self._waiting = waiting

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._progress.revoked()

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self._progress.lost()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        partitions = {tp.partition: tp for tp in assigned}
        member = self._client.group_metadata()
        kept = self._progress.assigned(frozenset(partitions), member.member_id, member.generation_id)
        for partition, offset in kept.items():
            self._client.seek(partitions[partition], offset)
        if self._waiting():
            self._client.pause(*partitions.values())
        log.info("partitions assigned", partitions=sorted(partitions), kept=sorted(kept))


def as_message(topic: str, record: Any) -> Message:
    """A client's record as ours. A message without key or value, by another program's hand, has an empty one."""
    key = record.key.decode("utf-8", "replace") if record.key else ""
    return Message(topic, record.partition, record.offset, key, record.value or b"")
