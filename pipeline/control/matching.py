"""Whether an alert is one that a subscription wants to hear of, and if not, which field says no. Pure.

Every field that is not empty must fit. What an alert's texts are is told by the stories and sources that lead it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pipeline.control.base import Subscription
from pipeline.keys import split_key
from pipeline.records import Alert

_HAN = re.compile(r"[\u4e00-\u9fff]")
Tiers = Mapping[str, int]  # source to tier, 1 the most trusted


class Mismatch(NamedTuple):
    """A field that did not fit, for people: what it asks for and what the alert has."""

    field: str
    wanted: tuple[str, ...]
    found: tuple[str, ...]

    def __str__(self) -> str:
        found = ", ".join(self.found) or "none"
        return f"{self.field} is {' or '.join(self.wanted)}; the alert has {found}"


def wants(subscription: Subscription, alert: Alert, tiers: Tiers | None = None) -> bool:
    """Whether the subscription covers the alert."""
    return next(mismatches(subscription, alert, tiers), None) is None


def mismatches(subscription: Subscription, alert: Alert, tiers: Tiers | None = None) -> Iterator[Mismatch]:
    """The fields that do not fit."""
    facts = facts_of(alert, tiers or {})
    for field, found in facts.items():
        wanted = tuple(str(value) for value in getattr(subscription, field))
        if wanted and not set(wanted) & set(found):
            yield Mismatch(field, wanted, found)


def facts_of(alert: Alert, tiers: Tiers) -> dict[str, tuple[str, ...]]:
    """What an alert has for each field of a subscription that filters."""
    kind, value = split_key(alert.key)
    entity, _, topic = value.partition("|")
    sources = tuple(dict.fromkeys([*alert.evidence.top_sources, *(s.source for s in alert.evidence.top_stories)]))
    return {
        "keys": (alert.key,),
        "entities": (entity,) if kind in ("entity", "entity_topic") else (),
        "topics": (topic if kind == "entity_topic" else value,) if kind in ("topic", "entity_topic") else (),
        "severities": (alert.severity,),
        "rules": (alert.rule,),
        "sources": sources,
        "tiers": tuple(sorted({str(tiers[s]) for s in sources if s in tiers})),
        "languages": tuple(dict.fromkeys("zh" if _HAN.search(s.title) else "en" for s in alert.evidence.top_stories)),
    }
