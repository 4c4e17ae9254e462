"""The life of an alert: inactive -> pending -> firing -> cooling -> resolved. One alert id per episode.

People are told when it fires, when it grows worse, when it is resolved, and when late texts take it back (corrected).
Silence of the stream changes nothing: only hours in which the stream spoke count towards the end of an episode.
"""

from typing import Literal

import msgspec

from pipeline.detect.judge import SEVERITIES
from pipeline.records import Evidence, Severity

Status = Literal["inactive", "pending", "firing", "cooling"]


class Episode(msgspec.Struct):
    """One rule on one key. Bins are 5-minute indices; hours are hours since the epoch."""

    status: Status = "inactive"
    alert_id: str = ""
    seq: int = 0
    severity: Severity = "S3"
    evidence: Evidence | None = None  # of the strongest moment
    start: int = 0  # first bin of the rise
    fired: int = 0  # end bin of the window that fired
    window_h: int = 0
    recheck: bool = False  # late texts fell into the fired window: judge it again when it is final
    checked_hour: int = 0  # the last hour in which the end was considered
    quiet_hours: int = 0
    since: int = 0  # end bin of the episode before this one: its texts are not counted again
    ended: int = 0  # end bin of the last episode that is over
    rule_version: int = 1  # of the rule when it fired: what came of it is told under the same version
    hot: int = 0  # volume_surge: the last end bin at which the rule held, told or not

    @property
    def active(self) -> bool:
        return self.status in ("firing", "cooling")

    def may_fire(self, severity: Severity, end: int, cooldown_bins: int) -> bool:
        """Not within the cool-down of the last episode, unless it is worse than that one was."""
        return not self.ended or end - self.ended >= cooldown_bins or worse(severity, self.severity)

    def rearmed(self, end: int, cooldown_bins: int) -> bool:
        """Volume_surge: the rule holds, and has not in so many bins before. A surge within a surge is no news, however
        much more severe."""
        last, self.hot = self.hot, max(self.hot, end)
        return not last or end - last >= cooldown_bins

    def fire(self, alert_id: str, evidence: Evidence, severity: Severity, span: tuple[int, int, int]) -> None:
        """`span`: start bin, end bin, window in hours."""
        self.status, self.alert_id, self.seq = "firing", alert_id, 1
        self.severity, self.evidence, self.recheck = severity, evidence, False
        self.start, self.fired, self.window_h = span
        self.quiet_hours = 0

    def heat(self, hour: int) -> None:
        """Not over: the rule holds again, or a score has not come down by that hour."""
        self.status, self.quiet_hours = "firing", 0
        self.checked_hour = max(self.checked_hour, hour)

    def cool(self, hour: int, exit_hours: int) -> bool:
        """A quiet hour in which the stream spoke; True when the episode is over. Each hour counts once."""
        self.status = "cooling"
        self.quiet_hours += 1
        self.checked_hour = hour
        return self.quiet_hours >= exit_hours

    def end(self, bin_: int) -> None:
        self.status, self.ended = "inactive", bin_
        self.seq += 1


def worse(a: Severity, b: Severity) -> bool:
    """a is more severe than b."""
    return SEVERITIES.index(a) > SEVERITIES.index(b)
