"""Stage `record` (alerts → control store): the alert event and one delivery per subscription, in one transaction.

Ids are uuid5 of (alert event, subscription, channel), so an alert that comes twice adds nothing. What is not wanted now
(snoozed, switched off) gets its row too, suppressed, with who, why and until.
"""

from collections.abc import Sequence

from pipeline import records
from pipeline.clock import Clock
from pipeline.control.base import ControlStore
from pipeline.control.matching import wants
from pipeline.control.tiers import tiers_of
from pipeline.deliver.rows import OFF, delivery, silence_of
from pipeline.records import Alert


class Record:
    """Alerts in, nothing out. Raises Retry when the store is away; recording again changes nothing."""

    name = "record"

    def __init__(self, control: ControlStore, clock: Clock) -> None:
        self._control = control
        self._clock = clock

    def __call__(self, batch: Sequence[Alert]) -> Sequence[records.Record]:
        subscriptions = self._control.subscriptions()
        tiers = tiers_of(self._control)
        for alert in batch:
            now = self._clock()
            snoozes = self._control.snoozes(now)
            silence = silence_of(alert, self._control.episode(alert.alert_id), snoozes, now)
            rows = [
                delivery(alert, s, now, silence if s.active else OFF) for s in subscriptions if wants(s, alert, tiers)
            ]
            self._control.record_alert(alert, rows)
        return []
