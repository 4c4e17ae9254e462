"""The rules that people have set, version by version, in the control store. Until there are any, the rules file holds.

Append-only: each change is kept whole, with who made it and when. A rule that changes gets a higher `version` of its
own, because its alerts name it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from pipeline.clock import Clock
from pipeline.control.base import ControlStore
from pipeline.detect.rules import Rule, parse_rules
from pipeline.errors import WindvaneError

CHECKPOINT = "rules"


class Change(msgspec.Struct, frozen=True):
    """All rules as they stood from `at` on. `number` counts the changes from 1."""

    number: int
    by: str
    at: datetime
    rules: tuple[Rule, ...]


class RuleBook:
    """Reads and adds changes. `given`: the rules of the file, in force while nobody has changed any."""

    def __init__(self, control: ControlStore, given: Sequence[Rule], clock: Clock) -> None:
        self._control = control
        self._given = tuple(given)
        self._clock = clock

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Those in force."""
        history = self.history()
        return history[-1].rules if history else self._given

    def history(self) -> list[Change]:
        """Oldest first."""
        return _decode(self._control.checkpoint(CHECKPOINT))

    def put(self, data: Any, by: str, after: int | None = None) -> Change:
        """Put these rules in force: a decoded document. `after`: the number of the change that was looked at, so that
        two people do not undo each other. Raises WindvaneError that names the rule and the field."""
        while True:
            saved = self._control.checkpoint(CHECKPOINT)
            history = _decode(saved)
            if after is not None and after != len(history):
                raise WindvaneError(
                    f"expected the rules after change {after}, found change {len(history)} by {_who(history)}, made "
                    "meanwhile. Read them again first."
                )
            held = {r.id: r for r in (history[-1].rules if history else self._given)}
            rules = tuple(_numbered(rule, held.get(rule.id)) for rule in parse_rules(data))
            change = Change(len(history) + 1, by, self._clock(), rules)
            # somebody may have been quicker since we read: then look again, so that no change is lost
            if self._control.swap_checkpoint(CHECKPOINT, saved, msgspec.json.encode([*history, change])):
                return change


def _decode(saved: bytes | None) -> list[Change]:
    return [] if saved is None else msgspec.json.decode(saved, type=list[Change])


def _who(history: Sequence[Change]) -> str:
    return history[-1].by if history else "nobody"


def _numbered(rule: Rule, held: Rule | None) -> Rule:
    """The rule with a version of its own when it says something new."""
    if held is None or replace(rule, version=held.version) == held:
        return rule if held is None else replace(rule, version=max(rule.version, held.version))
    return replace(rule, version=max(rule.version, held.version + 1))
