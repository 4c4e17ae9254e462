"""Stage `detect`: opinions in, alerts out. The work is `pipeline/detect/`; this gives it the shape of a stage."""

from collections.abc import Sequence
from datetime import datetime

from pipeline.detect.detector import Detector
from pipeline.records import Alert, Opinion


class Detect:
    """Raises only before the detector's state changes, so a batch may be bisected or retried."""

    name = "detect"

    def __init__(self, detector: Detector) -> None:
        self.detector = detector

    def __call__(self, batch: Sequence[Opinion]) -> list[Alert]:
        return self.detector.observe(batch)

    def advance(self, now: datetime) -> list[Alert]:
        """Close every bin that ended by `now`; the runner calls it when the stream is idle or at its end."""
        return self.detector.advance(now)

    def snapshot(self) -> bytes:
        return self.detector.snapshot()

    def restore(self, snapshot: bytes) -> None:
        self.detector.restore(snapshot)
