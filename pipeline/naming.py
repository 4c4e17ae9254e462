"""What a key is called, in the reader's language: "entity:3333.HK" is China Evergrande, 中国恒大."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from models.taxonomy import TOPICS
from pipeline.control.base import Watch
from pipeline.keys import split_key


class Named(Protocol):
    """An entity as the alias table describes it."""

    @property
    def name_en(self) -> str: ...
    @property
    def name_zh(self) -> str: ...


class Names(Protocol):
    """How a key is called in a language ("en" or "zh")."""

    def __call__(self, key: str, language: str) -> str: ...


class KeyNames:
    """Names from the alias table, the taxonomy and the users' watches; what has none is called by its id. `watches` is
    asked each time: people add them while it runs."""

    def __init__(
        self,
        entities: Mapping[str, Named] = MappingProxyType({}),
        watches: Callable[[], Sequence[Watch]] = tuple,
    ) -> None:
        self._entities = entities
        self._watches = watches
        self._topics = {t.id: (t.en, t.zh) for t in TOPICS}

    def __call__(self, key: str, language: str) -> str:
        kind, value = split_key(key)
        zh = language == "zh"
        match kind:
            case "entity":
                return self._entity(value, zh)
            case "topic":
                return self._topic(value, zh)
            case "entity_topic":
                entity, _, topic = value.partition("|")
                return f"{self._entity(entity, zh)} / {self._topic(topic, zh)}"
            case "watch":
                return next((w.name for w in self._watches() if w.id == value), value)
        return value

    def _entity(self, entity: str, zh: bool) -> str:
        named = self._entities.get(entity)
        if named is None:
            return entity
        own, other = (named.name_zh, named.name_en) if zh else (named.name_en, named.name_zh)
        return own or other or entity

    def _topic(self, topic: str, zh: bool) -> str:
        return self._topics[topic][zh] if topic in self._topics else topic
