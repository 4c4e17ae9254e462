"""What a key is called, in the reader's language: "entity:3333.HK" is China Evergrande, 中国恒大."""

from collections.abc import Callable, Mapping, Sequence

from pipeline.control.base import Watch
from pipeline.keys import split_key
from pipeline.prepare.entities import EntityName


class KeyNames:
    """`topics`: label → (English, Chinese). `watches` is asked each time: people add them while it runs."""

    def __init__(
        self,
        entities: Mapping[str, EntityName],
        topics: Mapping[str, tuple[str, str]],
        watches: Callable[[], Sequence[Watch]] = tuple,
    ) -> None:
        self._entities = entities
        self._topics = topics
        self._watches = watches

    def __call__(self, key: str, language: str) -> str:
        """The name; the key's own value where it has none."""
        kind, value = split_key(key)
        zh = language == "zh"
        match kind:
            case "entity":
                return self._entity(value, zh)
            case "topic":
                return self._topic(value, zh)
            case "entity_topic":
                entity, _, topic = value.partition("|")
                return f"{self._entity(entity, zh)}{'：' if zh else ': '}{self._topic(topic, zh)}"
            case "watch":
                return next((w.name for w in self._watches() if w.id == value), value)
        return value

    def _entity(self, entity: str, zh: bool) -> str:
        name = self._entities.get(entity)
        if name is None:
            return entity
        return (name.name_zh or name.name_en) if zh else (name.name_en or name.name_zh)

    def _topic(self, topic: str, zh: bool) -> str:
        return self._topics[topic][zh] if topic in self._topics else topic
