"""What the web app is given. One frozen record; no globals."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dashboards.security import LOOPBACK_HOSTS
from pipeline.bus.base import Bus
from pipeline.clock import Clock, system_clock
from pipeline.control.base import ControlStore
from pipeline.deliver.links import ActionLinks
from pipeline.deliver.secrets import Vault
from pipeline.detect.rules import DEFAULT_RULES, Rule
from pipeline.records import Opinion
from pipeline.store.base import OpinionStore


@dataclass(frozen=True, slots=True)
class WebDeps:
    """`names`: entity id to a record with tickers, name_en, name_zh. `topics`: label to (English, Chinese).

    `status` gives what only the runner knows; every field may be missing: {"mode": "live" | "replay" | "demo",
    "lag": {stage: messages}, "dead_letters": n, "silent_sources": [name], "model": version,
    "rules_held_until": ISO time until which rules on negatives wait for a new model}. No mode means "live".
    `explain`: why a text has its sentiment, or (second argument) an entity in it has its own: the fields of
    models.explain.Explanation. None: not offered.
    `preview`: what a rule would have sent in so many days (pipeline.previewing). None: not offered.
    `actions`: checks links in messages (None: there are none). `outgoing`: the channels that lead out of this machine,
    for test messages; `vault`: opens and seals their addresses; `page`: where people reach the page.
    `hosts`: the Host names that are answered; None answers any (where the page is meant to be reached from elsewhere).
    """

    store: OpinionStore
    control: ControlStore
    bus: Bus
    names: Mapping[str, Any]
    topics: Mapping[str, tuple[str, str]]
    status: Callable[[], Mapping[str, Any]] = dict
    clock: Clock = system_clock
    explain: Callable[[Opinion, str | None], Mapping[str, Any]] | None = None
    actions: ActionLinks | None = None
    outgoing: Mapping[str, Any] = field(default_factory=dict)
    vault: Vault = field(default_factory=Vault)
    page: str = ""
    preview: Callable[[Rule, int], Mapping[str, Any]] | None = None
    rules: tuple[Rule, ...] = DEFAULT_RULES  # of the rules file: in force until somebody changes them here
    hosts: frozenset[str] | None = LOOPBACK_HOSTS
    poll_s: float = 0.5  # how often the live stream looks for news
    stale_after_s: float = 900.0  # live: with no new text for so long, what is shown is called stale
