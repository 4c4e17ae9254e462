"""A rule is data: YAML or the API in, a checked `Rule` out. An error names the rule and the field."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from pipeline.detect.config import HOUR_S, WINDOWS_H
from pipeline.errors import WindvaneError
from pipeline.keys import split_key

KINDS = (
    "negative_spike", "negative_volume", "negative_share", "volume_surge", "silence", "message", "static",
)  # fmt: skip
BUILT = ("negative_spike",)
KEY_KINDS = ("entity", "topic", "entity_topic", "watch")
Sensitivity = Literal["low", "normal", "high"]
SCORES: Mapping[str, float] = {"low": 4.0, "normal": 3.0, "high": 2.0}  # -log10 p asked of both tests


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which keys a rule watches. Empty: all. `entities` and `topics` also bind entity x topic keys."""

    kinds: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    watches: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()  # whole keys, e.g. "topic:sports"

    def holds(self, key: str) -> bool:
        kind, value = split_key(key)
        if key in self.exclude or (self.kinds and kind not in self.kinds):
            return False
        if not (self.entities or self.topics or self.watches):
            return True
        if kind == "entity_topic":
            entity, _, topic = value.partition("|")
            return (not self.entities or entity in self.entities) and (not self.topics or topic in self.topics)
        named = {"entity": self.entities, "topic": self.topics, "watch": self.watches}.get(kind, ())
        return value in named


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One alert rule. Changing anything but `version` needs a higher `version`: alerts name it."""

    id: str = "negative_spike"
    kind: str = "negative_spike"
    version: int = 1
    sensitivity: Sensitivity = "normal"
    windows_h: tuple[int, ...] = WINDOWS_H
    floor: int = 5  # fewest negatives that may fire
    cooldown_h: float = 12.0  # after a resolve, the same severity stays silent this long
    scope: Scope = Scope()

    @property
    def score(self) -> float:
        """-log10 p that each test must reach."""
        return SCORES[self.sensitivity]

    @property
    def cooldown_s(self) -> int:
        return int(self.cooldown_h * HOUR_S)


DEFAULT_RULES: tuple[Rule, ...] = (Rule(),)


def check(rule: Rule) -> Rule:
    """The rule itself, or a WindvaneError that names the field."""

    def fail(field: str, expected: str, found: object) -> WindvaneError:
        return WindvaneError(
            f"Rule {rule.id!r}: {field} must be {expected}; found {found!r}. Correct it in the rules file."
        )

    if not rule.id or any(c.isspace() for c in rule.id):
        raise fail("id", "a name without spaces", rule.id)
    if rule.kind not in KINDS:
        raise fail("kind", f"one of {', '.join(KINDS)}", rule.kind)
    if rule.kind not in BUILT:
        raise WindvaneError(
            f"Rule {rule.id!r}: kind {rule.kind!r} is planned but not built yet. Use kind negative_spike."
        )
    if rule.version < 1:
        raise fail("version", "1 or more", rule.version)
    if not rule.windows_h or any(w not in WINDOWS_H for w in rule.windows_h):
        raise fail("windows_h", f"some of {list(WINDOWS_H)} (hours)", list(rule.windows_h))
    if rule.floor < 1:
        raise fail("floor", "1 or more negatives", rule.floor)
    if rule.cooldown_h < 0:
        raise fail("cooldown_h", "0 or more hours", rule.cooldown_h)
    unknown = [k for k in rule.scope.kinds if k not in KEY_KINDS]
    if unknown:
        raise fail("scope.kinds", f"some of {', '.join(KEY_KINDS)}", unknown[0])
    return rule


def parse_rules(data: Any, origin: str = "rules") -> tuple[Rule, ...]:
    """Rules of a decoded YAML or JSON document: a list, or {"rules": [...]}. Ids must differ."""
    entries = data.get("rules") if isinstance(data, Mapping) else data
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        raise WindvaneError(f"{origin}: expected a list of rules under 'rules:'; found {type(entries).__name__}.")
    rules: list[Rule] = []
    for at, entry in enumerate(entries, start=1):
        name = entry.get("id", f"number {at}") if isinstance(entry, Mapping) else f"number {at}"
        try:
            rules.append(check(msgspec.convert(entry, Rule, strict=False)))
        except msgspec.ValidationError as e:
            raise WindvaneError(f"{origin}: rule {name!r}: {e}. Correct that field.") from e
    ids = [r.id for r in rules]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise WindvaneError(f"{origin}: rule ids must differ; found {twice[0]!r} twice. Rename one of them.")
    return tuple(rules)


def load_rules(path: Path | None) -> tuple[Rule, ...]:
    """Rules of a YAML file; None gives the built-in negative_spike."""
    if path is None:
        return DEFAULT_RULES
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise WindvaneError(f"Rules file {path}: cannot be read ({e.strerror}). Check the path in `rules`.") from e
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise WindvaneError(f"Rules file {path}: not valid YAML ({e}). Correct it and start again.") from e
    return parse_rules(data, str(path))
