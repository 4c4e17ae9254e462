"""Opinions in, alerts out: a lane for each lens that the rules look through, their alerts in event-time order.

A lane is a pure function of its final bins and the configuration (lane.py). The built-in rule needs one lane; rules on
chosen sources, on all texts, or on sectors add one each, and the work of one.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from pipeline.detect.config import DetectorConfig
from pipeline.detect.lane import Lane
from pipeline.detect.lens import NO_SECTORS, Lens, Sectors, lens_of
from pipeline.detect.rules import DEFAULT_RULES, Rule
from pipeline.errors import SnapshotError
from pipeline.keys import entity_key
from pipeline.naming import KeyNames, Named, Names
from pipeline.records import Alert, Opinion

SNAPSHOT_VERSION = 5


class Detector:
    """`rules` may be replaced while it runs (`use`). `sectors`: of each entity, for rules on sectors."""

    def __init__(
        self,
        rules: Sequence[Rule] = DEFAULT_RULES,
        config: DetectorConfig | None = None,
        names: Names | Mapping[str, Named] | None = None,
        sectors: Sectors = NO_SECTORS,
    ) -> None:
        self._c = config or DetectorConfig()
        self._names = names if callable(names) else KeyNames(names or {})
        self._sectors = sectors
        self._rules = tuple(rules)
        self._lanes = [self._lane(lens) for lens in _lenses(self._rules)]

    # --- verbs

    def observe(self, opinions: Iterable[Opinion]) -> list[Alert]:
        """Take opinions in; the alerts of every bin that closed by them, in event-time order."""
        texts = [[lane.hear(o) for lane in self._lanes] for o in opinions]  # may raise: nothing has changed yet
        alerts: list[Alert] = []
        for heard in texts:
            alerts += _in_order([lane.observe(text) for lane, text in zip(self._lanes, heard, strict=True)])
        return alerts

    def advance(self, now: datetime) -> list[Alert]:
        """Close every bin that ended by `now`: for an idle live stream and at the end of a replay."""
        return _in_order([lane.advance(now) for lane in self._lanes])

    def use(self, rules: Sequence[Rule]) -> list[Alert]:
        """Other rules from the next bin on; between batches. Gives the alerts of episodes that end by it.

        A lens that stays keeps all it knows; a new one begins now and fires after its first two days. A changed rule's
        running episode goes on, told under the version that it began with; it ends when the rule is gone, no longer
        watches the key, or looks through another lens.
        """
        kept = {lane.lens: lane for lane in self._lanes}
        lenses = _lenses(rules)
        ended = [lane.use(_of(lane.lens, rules)) for lane in self._lanes]
        clock = self.watermark
        self._rules = tuple(rules)
        self._lanes = [kept.get(lens) or self._lane(lens) for lens in lenses]
        if clock is not None:
            for lane in self._lanes:
                if lane.lens not in kept:
                    lane.advance(clock)
        return _in_order(ended)

    # --- state

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self._rules

    @property
    def config(self) -> DetectorConfig:
        return self._c

    @property
    def watermark(self) -> datetime | None:
        """Event time up to which every bin is closed; None before the first text."""
        return self._lanes[0].watermark

    @property
    def held_until(self) -> datetime | None:
        """Until when rules on negatives wait for the baselines to know a new model version; None: they do not."""
        return max((lane.held_until for lane in self._lanes if lane.held_until), default=None)

    @property
    def late_dropped(self) -> int:
        """Texts more than a day late: neither learned nor judged."""
        return self._lanes[0].late_dropped

    @property
    def evaluated(self) -> int:
        """How often a rule was asked about a key."""
        return sum(lane.cases.evaluated for lane in self._lanes)

    def thin(self, entity: str) -> bool:
        """Too few negatives are usual for the entity to be judged alone."""
        lanes = [lane for lane in self._lanes if lane.lens.counted == "negatives"]
        return bool(lanes) and lanes[0].book.thin(entity_key(entity))

    def judged_with(self, entity: str) -> str | None:
        """The sector key that a thin entity's texts count for; None where the entity is judged alone or no rule rolls
        up."""
        for lane in self._lanes:
            if lane.lens.by_sector and (sector := lane.sector_of(entity)):
                return sector
        return None

    def snapshot(self) -> bytes:
        """The whole state. `restore` of it goes on exactly as if nothing had happened."""
        lanes = [(lane.lens, lane.dump()) for lane in self._lanes]
        return msgspec.msgpack.encode({"version": SNAPSHOT_VERSION, "lanes": lanes})

    def restore(self, snapshot: bytes) -> None:
        """Take up a snapshot. A lens that it lacks begins anew; one that no rule has is kept until `use`.
        Raises SnapshotError when it is not one of this version; nothing has changed then."""
        try:
            state = msgspec.msgpack.decode(snapshot)
            found = state.get("version")
        except (msgspec.DecodeError, AttributeError) as e:
            raise SnapshotError(f"The detector's snapshot cannot be read ({e}).") from e
        if found != SNAPSHOT_VERSION:
            raise SnapshotError(f"The detector's snapshot has version {found}; this Windvane reads {SNAPSHOT_VERSION}.")
        saved: dict[Lens, Any] = {msgspec.convert(lens, Lens): dump for lens, dump in state["lanes"]}
        lanes = [self._lane(lens) for lens in dict.fromkeys([*_lenses(self._rules), *saved])]
        for lane in lanes:
            if lane.lens in saved:
                lane.load(saved[lane.lens])
        self._lanes = lanes

    def _lane(self, lens: Lens) -> Lane:
        return Lane(lens, _of(lens, self._rules), self._c, self._names, self._sectors)


def _lenses(rules: Sequence[Rule]) -> list[Lens]:
    """In the order of the rules. No rules: the plain lens, so that the clock goes on."""
    return list(dict.fromkeys(map(lens_of, rules))) or [Lens()]


def _of(lens: Lens, rules: Sequence[Rule]) -> list[Rule]:
    return [r for r in rules if lens_of(r) == lens]


def _in_order(alerts: Sequence[Sequence[Alert]]) -> list[Alert]:
    """The alerts of the lanes by event time; at one time in the order of the lanes."""
    if len(alerts) == 1:
        return list(alerts[0])
    return sorted((a for of_lane in alerts for a in of_lane), key=lambda a: a.at)
