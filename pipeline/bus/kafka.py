"""The bus on Apache Kafka. kafka-python is imported in this module and its kafka_*.py parts, and nowhere else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from pipeline.bus.kafka_options import NEEDS, Timing, client_options, require_packages
from pipeline.errors import WindvaneError

try:
    from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition, errors
    from kafka.admin import OffsetSpec
except ImportError as e:
    raise WindvaneError(NEEDS.format(package="kafka-python")) from e

from pipeline.bus import kafka_topics as topics
from pipeline.bus.base import MESSAGE_LIMIT, Message
from pipeline.bus.kafka_clients import Admin, make, speaking
from pipeline.bus.kafka_consumer import GroupConsumer, Seat, as_message
from pipeline.bus.kafka_producer import Publisher
from pipeline.settings import KafkaSettings

_READ_CHUNK = 500  # messages a `read` takes at once


class Span(NamedTuple):
    """A partition as a group sees it: the first offset that is there, where the group goes on, the next to come."""

    first: int
    committed: int
    end: int

    @property
    def lag(self) -> int:
        return self.end - self.committed


class KafkaBus:
    """See bus.base.Bus. Thread-safe, but for its consumers. Connects when first used; what cannot be reached is
    errors.Retry, at every verb, until it can.

    Topics and groups carry the prefix of the settings on the server and not here. A topic is made when first
    published to or consumed from; nothing relies on the broker making topics by itself.
    """

    def __init__(self, settings: KafkaSettings, timing: Timing = Timing()) -> None:
        require_packages()
        self._settings = settings
        self._timing = timing
        self._options = client_options(settings)
        self._admin = Admin(self._options, timing)
        self._publisher = Publisher(self._options, timing)
        self._consumers: list[GroupConsumer] = []
        self._made: set[str] = set()  # topics known to exist

    def ensure_topics(self) -> list[str]:
        """Make every topic of the graph that is not there; a sentence for each that is otherwise than the settings
        say. To be called when a worker starts."""
        plans = topics.plan(self._settings)
        remarks = self._admin.ask("making topics", lambda admin: topics.ensure(admin, self._settings, plans))
        self._made.update(p.topic for p in plans)
        return remarks

    def publish(self, topic: str, entries: Sequence[tuple[str, bytes]]) -> None:
        if not entries:
            return
        self._ensure(topic)
        try:
            self._publisher.publish(self._name(topic), entries)
        except Exception:
            self._made.discard(topic)  # it may have been deleted
            raise

    def consumer(self, group: str, topic: str, *, sole: bool = False) -> GroupConsumer:
        seat = Seat(group, topic, sole, self._settings.prefix)
        consumer = GroupConsumer(self._options, seat, self._timing, self._ensure)
        self._consumers.append(consumer)
        return consumer

    def read(self, topic: str, start: int = 0, partition: int = 0) -> Iterator[Message]:
        """Ends at what was the end when it began."""
        tp = TopicPartition(self._name(topic), partition)
        end = self.end(topic, partition)
        if start >= end:
            return
        with self._speaking(f"reading {topic}"), self._reader() as reader:
            reader.assign([tp])
            reader.seek(tp, start)
            while (reader.position(tp) or 0) < end:  # the position: the last offsets may hold no message
                records = reader.poll(timeout_ms=int(self._timing.request_s * 1000), max_records=_READ_CHUNK)
                if not records and (reader.position(tp) or 0) < end:
                    raise TimeoutError(f"no answer at offset {reader.position(tp)}")
                for record in records.get(tp, ()):
                    if record.offset >= end:
                        return
                    yield as_message(topic, record)

    def partitions(self, topic: str) -> int:
        return max(1, len(self._partitions(topic)))

    def committed(self, group: str, topic: str, partition: int = 0) -> int:
        """One small request; three for a group that never committed. `spans` asks for all partitions at once."""
        tp = TopicPartition(self._name(topic), partition)
        at = self._committed(group, [tp]).get(partition, -1)
        return at if at >= 0 else self._offsets([tp], OffsetSpec.EARLIEST).get(partition, 0)

    def end(self, topic: str, partition: int = 0) -> int:
        tp = TopicPartition(self._name(topic), partition)
        return self._offsets([tp], OffsetSpec.LATEST).get(partition, 0)

    def lag(self, group: str, topic: str) -> int:
        return sum(span.lag for span in self.spans(group, topic).values())

    def spans(self, group: str, topic: str) -> dict[int, Span]:
        """Every partition of the topic as the group sees it; {} for a topic that is not there. Four small requests."""
        tps = self._partitions(topic)
        if not tps:
            return {}
        committed = self._committed(group, tps)
        first, end = self._offsets(tps, OffsetSpec.EARLIEST), self._offsets(tps, OffsetSpec.LATEST)
        return {p: Span(first[p], min(max(committed.get(p, -1), first[p]), end[p]), end[p]) for p in sorted(end)}

    def messages(self, topic: str) -> int:
        """How many messages the topic holds now; on a compacted one, at most so many."""
        tps = self._partitions(topic)
        if not tps:
            return 0
        first, end = self._offsets(tps, OffsetSpec.EARLIEST), self._offsets(tps, OffsetSpec.LATEST)
        return sum(end.values()) - sum(first.values())

    def states(self, names: Sequence[str]) -> list[topics.TopicState]:
        """Those of the topics that exist, as they are on the server."""
        return self._admin.ask("the topics", lambda admin: topics.states(admin, self._settings, names))

    def version(self) -> str:
        """What answers at kafka.servers, in words; Retry when nothing does."""

        def question(admin: KafkaAdminClient) -> str:
            brokers = admin.describe_cluster()["brokers"]
            version = admin.get_broker_version_data(brokers[0]["broker_id"]).broker_version
            return f"Kafka {'.'.join(map(str, version))}, brokers: {len(brokers)}"

        return self._admin.ask("the cluster", question)

    def close(self) -> None:
        for consumer in self._consumers:
            consumer.close()
        self._publisher.close()
        self._admin.close()

    def _name(self, topic: str) -> str:
        return self._settings.prefix + topic

    def _ensure(self, topic: str) -> None:
        if topic in self._made:
            return
        plan = topics.plan_of(topic, self._settings)
        self._admin.ask(f"making {topic}", lambda admin: topics.ensure(admin, self._settings, [plan]))
        self._made.add(topic)

    def _partitions(self, topic: str) -> list[TopicPartition]:
        """Asked anew each time: an operator may add partitions."""
        name = self._name(topic)
        found = self._admin.ask(f"partitions of {topic}", lambda admin: admin.describe_topics([name]))
        return sorted(
            TopicPartition(name, p["partition_index"]) for t in found if t["error_code"] == 0 for p in t["partitions"]
        )

    def _committed(self, group: str, tps: Sequence[TopicPartition]) -> dict[int, int]:
        """-1, or nothing: never."""
        name = self._settings.prefix + group
        found = self._admin.ask(f"offsets of group {group}", lambda admin: admin.list_group_offsets({name: list(tps)}))
        return {tp.partition: at.offset for tp, at in found.get(name, {}).items()}

    def _offsets(self, tps: Sequence[TopicPartition], spec: OffsetSpec) -> dict[int, int]:
        """{} when a topic or partition is not there."""

        def question(admin: KafkaAdminClient) -> dict[int, int]:
            try:
                found = admin.list_partition_offsets(dict.fromkeys(tps, spec))
            except errors.UnknownTopicOrPartitionError:
                return {}
            return {tp.partition: at.offset for tp, at in found.items()}

        return self._admin.ask("offsets", question)

    @contextmanager
    def _reader(self) -> Iterator[KafkaConsumer]:
        reader = make(
            KafkaConsumer,
            **self._options,
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # from the first that is still there
            request_timeout_ms=int(self._timing.request_s * 1000),
            bootstrap_timeout_ms=int(self._timing.request_s * 1000),
            max_partition_fetch_bytes=MESSAGE_LIMIT,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )
        try:
            yield reader
        finally:
            reader.close(autocommit=False, timeout_ms=2000)

    def _speaking(self, doing: str):  # type: ignore[no-untyped-def]
        return speaking(doing, self._admin.servers)
