"""Until when the rules on negatives wait, because another model answers: kept in the control store for whoever asks."""

from datetime import datetime

from pipeline.control.base import ControlStore

_NAME = "rules_held_until"


def put_held_until(control: ControlStore, until: datetime | None) -> None:
    """None: they do not wait. A time of the texts (event time)."""
    control.put_checkpoint(_NAME, until.isoformat().encode() if until else b"")


def held_until(control: ControlStore) -> datetime | None:
    """What was last put."""
    stored = control.checkpoint(_NAME)
    return datetime.fromisoformat(stored.decode()) if stored else None
