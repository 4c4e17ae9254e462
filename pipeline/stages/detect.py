"""Stage `detect`: opinions in, alerts out. The work is `pipeline/detect/`; this gives it the shape of a stage."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from pipeline.detect.detector import Detector
from pipeline.detect.rules import Rule
from pipeline.records import Alert, Opinion

LOOK_EVERY_S = 2.0  # seconds between two looks at the rules in force


class Detect:
    """Raises only before the detector's state changes, so a batch may be bisected or retried. `rules`: those in force
    now; None: they never change. `tell_held`: is told when the time until which rules wait for a new model changes."""

    name = "detect"

    def __init__(
        self,
        detector: Detector,
        rules: Callable[[], Sequence[Rule]] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        tell_held: Callable[[datetime | None], None] | None = None,
    ) -> None:
        self.detector = detector
        self._rules = rules
        self._monotonic = monotonic
        self._looked = monotonic()
        self._tell_held = tell_held
        self._told: list[datetime | None] = []  # the last; none yet: what an earlier run told may be wrong by now
        self._restored = False  # what was put back may hold episodes of rules that are gone

    def __call__(self, batch: Sequence[Opinion]) -> list[Alert]:
        return self.detector.observe(batch)

    def advance(self, now: datetime) -> list[Alert]:
        """Close every bin that ended by `now`; the runner calls it when the stream is idle or at its end."""
        return self.detector.advance(now)

    def reload(self) -> list[Alert] | None:
        """Between batches: take the rules in force, when they are others. Gives what ended by it; None: no change.
        The runner stores the state with it, so that a restart does not judge the past by the new rules."""
        now = self._monotonic()
        if self._rules is None or now - self._looked < LOOK_EVERY_S:
            return None
        self._looked = now
        self._tell()
        rules, restored = tuple(self._rules()), self._restored
        self._restored = False
        if rules != self.detector.rules:
            return self.detector.use(rules)
        return (self.detector.use(rules) or None) if restored else None

    def _tell(self) -> None:
        until = self.detector.held_until
        if self._tell_held is not None and self._told != [until]:
            self._tell_held(until)
            self._told = [until]

    def snapshot(self) -> bytes:
        return self.detector.snapshot()

    def restore(self, snapshot: bytes) -> None:
        self.detector.restore(snapshot)
        self._restored = True
        self._told = []  # what was told is of the state before
