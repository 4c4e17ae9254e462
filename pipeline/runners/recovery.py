"""What a stage with state is put back from when its worker starts, or takes a partition over."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec
import structlog

from pipeline.bus.base import Bus
from pipeline.control.base import ControlStore
from pipeline.errors import SnapshotError
from pipeline.graph import Node
from pipeline.records import RECORD_OF_TOPIC, DecodeError, Decoder, Post
from pipeline.stage import Stage, run_batch

log = structlog.get_logger(__name__)

SNAPSHOT_EVERY = 20_000  # messages between two snapshots: a restart replays at most this many through the stage


class Recovery(Protocol):
    """How one stage's state survives. Both verbs speak of partition 0: a stage with state reads a topic of one."""

    def restore(self, committed: int) -> None:
        """The state as it was when every message before offset `committed` was done."""

    def done(self, messages: int, offset: int) -> None:
        """So many more messages are done and committed, the next one being `offset`."""

    def save(self, offset: int) -> None:
        """The state now belongs to `offset`, for a reason that is not in the topic (the detector's clock moved)."""


class Snapshot(msgspec.Struct, frozen=True):
    """A stage's state after the message before `offset`."""

    offset: int
    state: bytes


class WithSnapshot(Stage, Protocol):
    """A stage that can be put back exactly as it was."""

    def snapshot(self) -> bytes: ...

    def restore(self, state: bytes) -> None: ...


def snapshot_offset(control: ControlStore, node: Node) -> int:
    """From where on the log is read when the stage is put back; 0 when it has no snapshot."""
    saved = control.checkpoint(_name(node))
    return msgspec.msgpack.decode(saved, type=Snapshot).offset if saved is not None else 0


def _name(node: Node) -> str:
    return f"state:{node.name}"


class SnapshotRecovery:
    """The newest snapshot in the control store, then every later message once more through the stage; what comes out
    was written already and is dropped. A snapshot that another version of Windvane wrote is passed over: all that the
    log still holds goes through the stage instead."""

    def __init__(self, node: Node, stage: WithSnapshot, bus: Bus, control: ControlStore) -> None:
        self._node = node
        self._stage = stage
        self._bus = bus
        self._control = control
        self._decode = Decoder(RECORD_OF_TOPIC[node.reads])
        self._empty = stage.snapshot()
        self._since = 0

    def restore(self, committed: int) -> None:
        at = self._snapshot()
        batch: list[Any] = []
        for message in self._bus.read(self._node.reads, start=at):
            if message.offset >= committed:
                break
            try:
                batch.append(self._decode(message.value))
            except DecodeError:
                continue  # it is in the dead letters
            if len(batch) >= self._node.batch:
                run_batch(self._stage, batch)
                batch = []
        run_batch(self._stage, batch)

    def _snapshot(self) -> int:
        """The newest snapshot restored: the offset it belongs to. 0 and the empty state when there is none to use."""
        saved = self._control.checkpoint(_name(self._node))
        if saved is not None:
            snapshot = msgspec.msgpack.decode(saved, type=Snapshot)
            try:
                self._stage.restore(snapshot.state)
                return snapshot.offset
            except SnapshotError as e:
                log.warning("state rebuilt from the log", stage=self._node.name, reason=str(e))
        self._stage.restore(self._empty)
        return 0

    def done(self, messages: int, offset: int) -> None:
        self._since += messages
        if self._since >= SNAPSHOT_EVERY:
            self.save(offset)

    def save(self, offset: int) -> None:
        snapshot = Snapshot(offset=offset, state=self._stage.snapshot())
        self._control.put_checkpoint(_name(self._node), msgspec.msgpack.encode(snapshot))
        self._since = 0


class StoryRecovery:
    """Stories from the log itself: the order of arrival from `prepared`, each text's story from `posts`."""

    def __init__(self, rebuild: Callable[[Iterator[Post]], None], bus: Bus, window: int) -> None:
        self._rebuild = rebuild
        self._bus = bus
        self._window = window

    def restore(self, committed: int) -> None:
        stories: dict[str, str] = {}
        for partition in range(self._bus.partitions("posts")):
            # of a partition no more than the window can be in it, and those done twice take two places
            for post in self._posts("posts", self._bus.end("posts", partition) - 2 * self._window, partition):
                stories[post.post_id] = post.story_id
        arrived = self._posts("prepared", committed - self._window, 0, committed)
        self._rebuild(
            msgspec.structs.replace(post, story_id=stories[post.post_id]) for post in arrived if post.post_id in stories
        )

    def _posts(self, topic: str, start: int, partition: int, end: int | None = None) -> Iterator[Post]:
        decode = Decoder(Post)
        for message in self._bus.read(topic, start=max(0, start), partition=partition):
            if end is not None and message.offset >= end:
                return
            try:
                yield decode(message.value)
            except DecodeError:
                continue  # it is in the dead letters

    def done(self, messages: int, offset: int) -> None:
        """The log is the state."""

    def save(self, offset: int) -> None:
        """The log is the state."""
