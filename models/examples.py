"""The records of training data: a text with what its set says about it, and a set as a place with a reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from models.taxonomy import SENTIMENTS, TOPIC_IDS, Target


@dataclass(frozen=True)
class Mention:
    """An entity in the text: character offsets [start, end) and its sentiment, an index into SENTIMENTS.

    `not_negative` marks a mention known only not to be negative (its `sentiment` is then ignored).
    """

    start: int
    end: int
    sentiment: int = -1
    not_negative: bool = False

    def moved(self, start: int) -> Mention:
        """The same mention at another place."""
        return replace(self, start=start, end=start + self.end - self.start)


@dataclass(frozen=True)
class Example:
    """One training text with whatever its set says about it. A field left at its default is not trained on."""

    id: str
    text: str
    set: str
    language: str
    sentiment: int | None = None  # index into SENTIMENTS
    not_negative: bool = False  # finnsp: known not to be negative, nothing more
    topics: tuple[Target, ...] | None = None  # one per taxonomy label
    topics_weight: float = 1.0
    own: tuple[str, ...] = ()  # labels of the set's own head
    mentions: tuple[Mention, ...] = ()
    no_neutral: bool = False  # its set has two classes: "positive" there does not mean "not neutral"

    def changed(self, text: str, mentions: tuple[Mention, ...]) -> Example:
        """The same answers about another form of the text."""
        return replace(self, text=text, mentions=mentions)


@dataclass(frozen=True)
class DataSet:
    """Where a set lies under the data folder, how one row is read, and the task its scores are about.

    `read` raises ValueError, KeyError or TypeError on a row that is none of the set's, and gives None for one that is
    left out on purpose.
    """

    name: str
    path: str  # under the data folder, or as models/readers.py names sources
    task: str
    read: Callable[[dict[str, Any]], Example | None]
    classes: tuple[str, ...] = ()  # answers (see `answers`) that every part of the set should have
    permissive: bool = False  # its licence allows any use
    drop_repeats: bool = False  # a text that comes again with the same answer is left out
    columns: tuple[str, ...] = ("text", "label")  # what a table must have, the text's first
    facts: Mapping[str, str] = field(default_factory=dict)  # title, origin, licence: for the model card


def answers(example: Example) -> tuple[str, ...]:
    """What a text's set says about it as a whole, in words: its own labels, else in the product's. () when nothing."""
    if example.own:
        return example.own
    if example.sentiment is not None:
        return (SENTIMENTS[example.sentiment],)
    if example.not_negative:
        return ("not negative",)
    held = zip(TOPIC_IDS, example.topics or (), strict=False)
    return tuple(topic for topic, target in held if target == 1.0)


def find_mentions(text: str, sentiments: Mapping[str, int]) -> Iterator[Mention]:
    """Each entity's first occurrence (-1: known only not to be negative); one inside a longer entity is left out."""
    taken: list[tuple[int, int]] = []
    for name, sentiment in sorted(sentiments.items(), key=lambda item: -len(item[0])):
        start = text.lower().find(name.lower()) if name else -1
        if start < 0 or any(start < b and a < start + len(name) for a, b in taken):
            continue
        taken.append((start, start + len(name)))
        yield Mention(start, start + len(name), sentiment, not_negative=sentiment < 0)
