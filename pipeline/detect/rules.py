"""A rule is data: YAML or the API in, a checked `Rule` out. An error names the rule and the field."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import yaml

from pipeline.detect.config import HOUR_S, WINDOWS_H
from pipeline.detect.kinds import KINDS, Defaults
from pipeline.errors import WindvaneError
from pipeline.keys import split_key
from pipeline.records import Language, Severity

KEY_KINDS = ("entity", "topic", "entity_topic", "watch", "sector", "source")
ON_REQUEST = ("sector", "source")  # counted only where a rule names them in scope.kinds
Sensitivity = Literal["low", "normal", "high"]
SENSITIVITIES: tuple[Sensitivity, ...] = get_args(Sensitivity)
TIERS = (1, 2, 3)
LONGEST_H = 24  # bins are looked back on for a day


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which keys a rule watches, and in which texts. Empty: all. `entities`, `topics` also bind entity x topic keys."""

    kinds: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    watches: tuple[str, ...] = ()
    sectors: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()  # whole keys, e.g. "topic:sports"
    sources: tuple[str, ...] = ()  # only texts of these sources count
    languages: tuple[Language, ...] = ()
    tiers: tuple[int, ...] = ()  # 1 is the most trusted; a source without a tier has 2

    def holds(self, key: str) -> bool:
        kind, value = split_key(key)
        if key in self.exclude or (self.kinds and kind not in self.kinds):
            return False
        if kind in ON_REQUEST and kind not in self.kinds:
            return False
        if kind == "source":
            return not self.sources or value in self.sources
        if not (self.entities or self.topics or self.watches or self.sectors):
            return True
        if kind == "entity_topic":
            entity, _, topic = value.partition("|")
            return (not self.entities or entity in self.entities) and (not self.topics or topic in self.topics)
        named = {"entity": self.entities, "topic": self.topics, "watch": self.watches, "sector": self.sectors}
        return value in named.get(kind, ())


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One alert rule. Changing anything but `version` needs a higher `version`: alerts name it. What is None has its
    kind's default (kinds.py)."""

    id: str = "negative_spike"
    kind: str = "negative_spike"
    version: int = 1
    sensitivity: Sensitivity = "normal"
    windows_h: tuple[int, ...] | None = None
    floor: int | None = None  # fewest negatives (negative_share, volume_surge: texts) that may fire; silence: expected
    cooldown_h: float = 12.0  # after a resolve, the same severity stays silent this long
    scope: Scope = Scope()
    severity: dict[Severity, Severity] = {}  # what is told instead of what was found, e.g. {"S3": "S2"}
    count: int | None = None  # static: so many negatives within the window ...
    share: float | None = None  # ... or such a share of negatives, among `floor` texts
    confidence: float | None = None  # message: how sure the classifier is that the text is negative; default .9

    @property
    def defaults(self) -> Defaults:
        return KINDS[self.kind]

    @property
    def windows(self) -> tuple[int, ...]:
        """Hours."""
        return self.defaults.windows_h if self.windows_h is None else self.windows_h

    @property
    def least(self) -> int:
        """The floor."""
        return self.defaults.floor if self.floor is None else self.floor

    @property
    def score(self) -> float:
        """-log10 p that each test of the kind must reach; 0 where nothing is tested."""
        scores = self.defaults.scores
        return scores[SENSITIVITIES.index(self.sensitivity)] if scores else 0.0

    @property
    def certain(self) -> float:
        """The confidence of a `message` rule."""
        return 0.9 if self.confidence is None else self.confidence

    @property
    def cooldown_s(self) -> int:
        return int(self.cooldown_h * HOUR_S)

    def told(self, severity: Severity) -> Severity:
        """The severity that people are told."""
        return self.severity.get(severity, severity)


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
    if rule.version < 1:
        raise fail("version", "1 or more", rule.version)
    if rule.floor is not None and rule.floor < 1:
        raise fail("floor", "1 or more", rule.floor)
    if rule.cooldown_h < 0:
        raise fail("cooldown_h", "0 or more hours", rule.cooldown_h)
    _check_windows(rule, fail)
    _check_scope(rule.scope, fail)
    _check_own(rule, fail)
    return rule


def _check_windows(rule: Rule, fail: Any) -> None:
    if rule.kind == "static":
        if len(rule.windows) != 1 or not 1 <= rule.windows[0] <= LONGEST_H:
            raise fail("windows_h", f"one number of hours from 1 to {LONGEST_H}", list(rule.windows))
    elif rule.kind == "message":
        if rule.windows_h is not None:
            raise fail("windows_h", "left out: a message is one text", list(rule.windows_h))
    elif not rule.windows or any(w not in WINDOWS_H for w in rule.windows):
        raise fail("windows_h", f"some of {list(WINDOWS_H)} (hours)", list(rule.windows))


def _check_scope(scope: Scope, fail: Any) -> None:
    unknown = [k for k in scope.kinds if k not in KEY_KINDS]
    if unknown:
        raise fail("scope.kinds", f"some of {', '.join(KEY_KINDS)}", unknown[0])
    strange = [t for t in scope.tiers if t not in TIERS]
    if strange:
        raise fail("scope.tiers", "some of 1, 2, 3 (1 is the most trusted)", strange[0])
    if scope.sectors and "sector" not in scope.kinds:
        raise fail("scope.kinds", "a list with 'sector' where scope.sectors is given", list(scope.kinds))


def _check_own(rule: Rule, fail: Any) -> None:
    """The fields that belong to one kind."""
    for field, kind in (("count", "static"), ("share", "static"), ("confidence", "message")):
        if getattr(rule, field) is not None and rule.kind != kind:
            raise fail(field, f"left out: it belongs to kind {kind}", getattr(rule, field))
    if rule.kind == "static" and (rule.count is None) == (rule.share is None):
        raise fail("count", "given, or share instead: one of the two", rule.count)
    if rule.count is not None and rule.count < 1:
        raise fail("count", "1 or more negatives", rule.count)
    if rule.share is not None and not 0 < rule.share <= 1:
        raise fail("share", "above 0 and at most 1", rule.share)
    if rule.share is not None and rule.floor is None:
        raise fail("floor", "given with share: the fewest texts that make one", None)
    if not 0.34 <= rule.certain <= 1:
        raise fail("confidence", "from 0.34 to 1", rule.confidence)
    if rule.kind == "message" and not (rule.scope.sources or rule.scope.tiers):
        raise fail("scope.sources", "given, or scope.tiers: which sources are important", [])
    if "source" in rule.scope.kinds and rule.kind != "silence":
        raise fail("scope.kinds", "without 'source': only silence watches sources", "source")
    if "sector" in rule.scope.kinds and rule.kind in ("silence", "volume_surge"):
        raise fail("scope.kinds", f"without 'sector': kind {rule.kind} does not roll up", "sector")


def parse_rules(data: Any, origin: str = "rules") -> tuple[Rule, ...]:
    """Rules of a decoded YAML or JSON document: a list, or {"rules": [...]}. Ids must differ. Stops at the first
    mistake; `mistakes` names all."""
    found = mistakes(data, origin)
    if found:
        raise WindvaneError(found[0])
    return tuple(_convert(entry) for entry in _entries(data))


def mistakes(data: Any, origin: str = "rules") -> list[str]:
    """Every mistake as a sentence that names the rule and the field; none: the rules are good."""
    entries = _entries(data)
    if not entries:
        return [f"{origin}: expected a list of rules under 'rules:'; found {type(entries).__name__}."]
    said: list[str] = []
    ids: list[str] = []
    for at, entry in enumerate(entries, start=1):
        name = entry.get("id", f"number {at}") if isinstance(entry, Mapping) else f"number {at}"
        try:
            ids.append(check(_convert(entry)).id)
        except msgspec.ValidationError as e:
            said.append(f"{origin}: rule {name!r}: {e}. Correct that field.")
        except WindvaneError as e:
            said.append(str(e))
    twice = sorted({i for i in ids if ids.count(i) > 1})
    return [*said, *(f"{origin}: rule ids must differ; found {i!r} twice. Rename one of them." for i in twice)]


def _entries(data: Any) -> Any:
    entries = data.get("rules") if isinstance(data, Mapping) else data
    return entries if isinstance(entries, Sequence) and not isinstance(entries, str) else ()


def _convert(entry: Any) -> Rule:
    return msgspec.convert(entry, Rule, strict=False)


def read_rules(path: Path) -> Any:
    """The decoded document of a YAML file; WindvaneError when it cannot be read."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise WindvaneError(f"Rules file {path}: cannot be read ({e.strerror}). Check the path in `rules`.") from e
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise WindvaneError(f"Rules file {path}: not valid YAML ({e}). Correct it and start again.") from e


def load_rules(path: Path | None) -> tuple[Rule, ...]:
    """Rules of a YAML file; None gives the built-in negative_spike."""
    return DEFAULT_RULES if path is None else parse_rules(read_rules(path), str(path))
