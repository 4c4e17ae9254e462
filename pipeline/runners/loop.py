"""One stage on one consumer. The commit order, the same everywhere:

1. poll a batch
2. process it (decode, run_batch; poison becomes dead letters)
3. write the results (publish, or write to the store)
4. commit the input offset

In the embedded runner 3 and 4 are one transaction (`unit_of_work`). A crash between any two: the batch is processed
again and overwrites itself. If 3 or 4 fails without a crash, the *same results* are written again: a stage with state
must not see a batch twice.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from threading import Event
from typing import Any, NamedTuple

import msgspec
import structlog

from pipeline.bus.base import Bus, Consumer, Message
from pipeline.clock import Clock
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
from pipeline.runners.letters import Entry, letter_entry, letter_of, payload_text, refusal
from pipeline.runners.recovery import Recovery
from pipeline.stage import Stage, run_batch

log = structlog.get_logger(__name__)


class Surroundings(NamedTuple):
    """What every loop shares. `unit_of_work` makes results and offset one transaction where they can be."""

    bus: Bus
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


class StageLoop:
    """Runs one stage until told to stop. `sink=True`: its effect is a write, so it runs inside the transaction.
    `recovery`: how the state of a stage that has one survives."""

    def __init__(
        self,
        node: Node,
        stage: Stage,
        around: Surroundings,
        *,
        sink: bool = False,
        recovery: Recovery | None = None,
        consumer: Consumer | None = None,
    ) -> None:
        self.node = node
        self.stage = stage
        self.waiting = ""  # why nothing moves, while an outage lasts
        self._around = around
        self._sink = sink
        self._recovery = recovery
        self._decode = Decoder(RECORD_OF_TOPIC[node.reads])
        self._consumer = consumer or around.bus.consumer(node.group, node.reads, sole=node.sole)
        self._stop = Event()  # replaced by the one that `run` is given
        self._generation: int | None = None  # of the consumer, when the state was last put back

    def recover(self) -> None:
        """Put a stage with state back as it was at the committed offset; its outputs were written already."""
        generation = self._consumer.generation
        if self._recovery is not None:
            self._recovery.restore(self._around.bus.committed(self.node.group, self.node.reads))
        self._generation = generation  # only now: an outage before this, and the next step tries again

    def step(self) -> int:
        """One batch, from poll to commit; returns how many messages it took. Raises Retry with nothing done."""
        messages = self._consumer.poll(self.node.batch)  # 1 poll
        if self._generation != self._consumer.generation and self._recovery is not None:
            self._consumer.rewind()  # the partition is new here: first the state that belongs to it
            self.recover()
            return 0
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

    def emit(self, records: Sequence[Record], changed: bool = False) -> None:
        """Publish results that no message caused (a detector's clock moved on), with the state that goes with them.
        `changed`: the state is another even where there are none."""
        if not records and not changed:
            return
        results = self._entries(records, [])
        offset = self._around.bus.committed(self.node.group, self.node.reads)
        while True:
            try:
                with self._around.unit_of_work():
                    self._publish(results)
                    if self._recovery is not None:
                        self._recovery.save(offset)
                return
            except Retry as e:
                self.wait(e)

    def _process(self, messages: Sequence[Message]) -> dict[str, list[Entry]]:
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
        poison = {i for i, _ in result.rejected}
        made_of = [message for i, message in enumerate(origin) if i not in poison]
        rejected.extend((origin[i], reason) for i, reason in result.rejected)
        outputs = self._with_origin(result.outputs, records, origin)
        letters = [self._dead_letter(m, reason) for m, reason in rejected]
        return self._entries([*outputs, *letters], made_of if len(made_of) == len(outputs) else [])

    def _entries(self, records: Sequence[Record], made_of: Sequence[Message]) -> dict[str, list[Entry]]:
        """Results by the topic they go to: dead letters beside the topic they were read from. `made_of`: the message
        that each of the first records was made of, [] when that cannot be told.

        In the place of a record that no bus takes goes a dead letter: of the message it was made of, which can be
        driven through again; else of the record itself.
        """
        out: dict[str, list[Entry]] = {}
        for i, record in enumerate(records):
            if isinstance(record, Rejected):
                out.setdefault(dlq(record.topic), []).append(letter_entry(record))
                continue
            topic = self.node.writes
            if topic is None:
                raise TypeError(f"stage {self.node.name} writes no topic but returned a {type(record).__name__}")
            key, value = key_of(record), encode(record)
            if why := refusal(topic, key, record, value):
                if i < len(made_of) and isinstance(record, Post | Opinion):  # one of one, in order
                    letter = self._dead_letter(made_of[i], why)
                else:
                    log.error("a result is too large", stage=self.node.name, reason=why)
                    letter = letter_of(self.node.name, topic, (key, value), why, self._around.clock())
                out.setdefault(dlq(letter.topic), []).append(letter_entry(letter))
            else:
                out.setdefault(topic, []).append((key, value))
        return out

    def _with_origin(
        self, outputs: Sequence[Record], records: Sequence[Record], origin: Sequence[Message]
    ) -> list[Record]:
        """The outputs; dead letters that the stage wrote itself, not knowing of messages, with the message's place."""
        if not any(isinstance(o, Rejected) for o in outputs):
            return list(outputs)
        messages = {encode(record).decode(): m for record, m in zip(records, origin, strict=True)}
        return [
            msgspec.structs.replace(o, partition=m.partition, offset=m.offset)
            if isinstance(o, Rejected) and (m := messages.get(o.payload))
            else o
            for o in outputs
        ]

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

    def _persist(self, results: dict[str, list[Entry]], messages: Sequence[Message]) -> None:
        while True:
            try:
                with self._around.unit_of_work():
                    self._write(results, messages)
                return
            except Retry as e:
                if self._stop.is_set():
                    raise  # nothing was committed: whoever takes over does the batch again
                self.wait(e)

    def _write(self, results: dict[str, list[Entry]], messages: Sequence[Message]) -> None:
        self._publish(results)  # 3 write results
        self._consumer.commit(messages)  # 4 commit the input offset
        if self._recovery is not None:
            self._recovery.done(len(messages), messages[-1].offset + 1)

    def _publish(self, results: dict[str, list[Entry]]) -> None:
        for topic, entries in results.items():
            self._around.bus.publish(topic, entries)

    def wait(self, e: Retry) -> None:
        """Wait an outage out, still a member of the group."""
        log.warning("waiting", stage=self.node.name, reason=e.reason, seconds=e.after)
        self.waiting = e.reason
        self._consumer.wait(e.after)
        self.waiting = ""

    def close(self) -> None:
        """Leave the group; what was not committed goes to another member."""
        self._consumer.close()

    def run(self, stop: Event, idle_s: float = 0.02) -> None:
        """Step until `stop`. An outage is waited out; anything else ends the loop and reaches the runner."""
        self._stop = stop
        while not stop.is_set():
            try:
                if self.step() == 0:
                    stop.wait(idle_s)
            except Retry as e:
                self.wait(e)
