"""One stage on one consumer. The commit order, the same everywhere:

1. poll a batch
2. process it (decode, run_batch; poison becomes dead letters)
3. write the results (publish, or write to the store)
4. commit the input offset

In the embedded runner 3 and 4 are one transaction (`unit_of_work`). A crash between any two: the batch is processed
again and overwrites itself. If 3 or 4 fails without a crash, the *same results* are written again: a stage with state
must not see a batch twice.
"""

import base64
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from threading import Event
from typing import Any, NamedTuple, Protocol

import msgspec
import structlog

from pipeline.bus.base import Bus, Message
from pipeline.clock import Clock
from pipeline.control.base import ControlStore
from pipeline.errors import Retry
from pipeline.graph import Node, dlq
from pipeline.records import (
    RECORD_OF_TOPIC,
    Alert,
    DecodeError,
    Decoder,
    Opinion,
    Post,
    Raw,
    Record,
    Rejected,
    encode,
)
from pipeline.stage import Stage, run_batch

log = structlog.get_logger(__name__)

SNAPSHOT_EVERY = 20_000  # messages between two snapshots: a restart replays at most this many through the stage


class Snapshot(msgspec.Struct, frozen=True):
    """A stage's state after the message before `offset`."""

    offset: int
    state: bytes


class Snapshots(Protocol):
    """A stage that can be put back exactly as it was."""

    def snapshot(self) -> bytes: ...

    def restore(self, state: bytes) -> None: ...


class Surroundings(NamedTuple):
    """What every loop shares."""

    bus: Bus
    control: ControlStore
    unit_of_work: Callable[[], AbstractContextManager[Any]]
    clock: Clock


def key_of(record: Record) -> str:
    """The partition key: what the next stateful stage needs together."""
    match record:
        case Opinion() | Post():
            return record.story_id
        case Alert():
            return record.key
        case Raw():
            return record.source
        case Rejected():
            return record.key or ""
    return ""


def payload_text(value: bytes) -> str:
    """The bytes as text; what is not UTF-8 as "base64:…"."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(value).decode()


def by_topic(records: Sequence[Record], node: Node) -> dict[str, list[tuple[str, bytes]]]:
    """Results by the topic they go to: dead letters beside the topic they were read from."""
    out: dict[str, list[tuple[str, bytes]]] = {}
    for record in records:
        if isinstance(record, Rejected):
            topic = dlq(record.topic)
        elif node.writes is None:
            raise TypeError(f"stage {node.name} writes no topic but returned a {type(record).__name__}")
        else:
            topic = node.writes
        out.setdefault(topic, []).append((key_of(record), encode(record)))
    return out


class StageLoop:
    """Runs one stage until told to stop. `sink=True`: its effect is a write, so it runs inside the transaction."""

    def __init__(self, node: Node, stage: Stage, around: Surroundings, *, sink: bool = False) -> None:
        self.node = node
        self.stage = stage
        self._around = around
        self._sink = sink
        self._decode = Decoder(RECORD_OF_TOPIC[node.reads])
        self._consumer = around.bus.consumer(node.group, node.reads)
        self._state: Snapshots | None = stage if hasattr(stage, "snapshot") else None  # type: ignore[assignment]
        self._since_snapshot = 0

    def recover(self) -> None:
        """Put a stage with state back as it was at the committed offset; its outputs were written already."""
        if self._state is None:
            return
        bus, control = self._around.bus, self._around.control
        committed = bus.end(self.node.reads) - bus.lag(self.node.group, self.node.reads)
        at = 0
        saved = control.checkpoint(f"state:{self.node.name}")
        if saved is not None:
            snapshot = msgspec.msgpack.decode(saved, type=Snapshot)
            self._state.restore(snapshot.state)
            at = snapshot.offset
        batch: list[Any] = []
        for message in bus.read(self.node.reads, start=at):
            if message.offset >= committed:
                break
            try:
                batch.append(self._decode(message.value))
            except DecodeError:
                continue  # it is in the dead letters
            if len(batch) >= self.node.batch:
                run_batch(self.stage, batch)
                batch = []
        run_batch(self.stage, batch)

    def step(self) -> int:
        """One batch, from poll to commit; returns how many messages it took. Raises Retry with nothing done."""
        messages = self._consumer.poll(self.node.batch)  # 1 poll
        if not messages:
            return 0
        try:
            if self._sink:
                with self._around.unit_of_work():
                    self._write(self._process(messages), messages)
            else:
                results = self._process(messages)  # 2 process
                self._persist(results, messages)
        except Retry:
            self._consumer.rewind()
            raise
        return len(messages)

    def emit(self, records: Sequence[Record]) -> None:
        """Publish results that no message caused (a detector's clock moved on), with the state that goes with them."""
        if not records:
            return
        offset = self._around.bus.end(self.node.reads) - self._around.bus.lag(self.node.group, self.node.reads)
        while True:
            try:
                with self._around.unit_of_work():
                    self._publish(records)
                    self._save(offset)
                return
            except Retry as e:
                self._wait(e)

    def _process(self, messages: Sequence[Message]) -> list[Record]:
        records: list[Any] = []
        origin: list[Message] = []
        rejected: list[tuple[Message, str]] = []
        for message in messages:
            try:
                records.append(self._decode(message.value))
                origin.append(message)
            except DecodeError as e:
                rejected.append((message, str(e)))
        result = run_batch(self.stage, records)
        rejected.extend((origin[i], reason) for i, reason in result.rejected)
        return [*result.outputs, *(self._dead_letter(m, reason) for m, reason in rejected)]

    def _dead_letter(self, message: Message, reason: str) -> Rejected:
        log.warning("rejected", stage=self.node.name, topic=message.topic, offset=message.offset, reason=reason[:500])
        return Rejected(
            stage=self.node.name,
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            key=message.key,
            reason=reason,
            payload=payload_text(message.value),
            rejected_at=self._around.clock(),
        )

    def _persist(self, results: list[Record], messages: Sequence[Message]) -> None:
        while True:
            try:
                with self._around.unit_of_work():
                    self._write(results, messages)
                return
            except Retry as e:
                self._wait(e)

    def _write(self, results: list[Record], messages: Sequence[Message]) -> None:
        self._publish(results)  # 3 write results
        self._consumer.commit(messages)  # 4 commit the input offset
        self._since_snapshot += len(messages)
        if self._state is not None and self._since_snapshot >= SNAPSHOT_EVERY:
            self._save(messages[-1].offset + 1)

    def _publish(self, results: Sequence[Record]) -> None:
        for topic, entries in by_topic(results, self.node).items():
            self._around.bus.publish(topic, entries)

    def _save(self, offset: int) -> None:
        if self._state is None:
            return
        snapshot = Snapshot(offset=offset, state=self._state.snapshot())
        self._around.control.put_checkpoint(f"state:{self.node.name}", msgspec.msgpack.encode(snapshot))
        self._since_snapshot = 0

    def _wait(self, e: Retry) -> None:
        log.warning("waiting", stage=self.node.name, reason=e.reason, seconds=e.after)
        time.sleep(e.after)

    def run(self, stop: Event, idle_s: float = 0.02) -> None:
        """Step until `stop`. An outage is waited out; anything else ends the loop and reaches the runner."""
        while not stop.is_set():
            try:
                if self.step() == 0:
                    stop.wait(idle_s)
            except Retry as e:
                self._wait(e)
