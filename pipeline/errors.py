"""The instructions a stage may raise, and the one error a person sees.

A stage says what should happen, not how: the runner waits, bisects or dead-letters.
"""


class Retry(Exception):
    """An outage: process the same batch again after `after` seconds. Nothing of it was done."""

    def __init__(self, reason: str, after: float = 1.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Reject(Exception):
    """This record is poison: it goes to the dead letters with `reason`, and the stream goes on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WindvaneError(Exception):
    """Shown to the user as a sentence: what was expected, what was found, what to do. Never a traceback."""


class SnapshotError(WindvaneError):
    """A stage's stored state is of another version, or none. Nothing has changed; the state can be rebuilt."""
