"""How far each source is trusted, as feeds.toml says: kept in the control store for whoever asks."""

from collections.abc import Mapping

import msgspec

from pipeline.control.base import ControlStore

_NAME = "source_tiers"


def put_tiers(control: ControlStore, tiers: Mapping[str, int]) -> None:
    """Add these sources, or change their tiers; others keep theirs."""
    control.put_checkpoint(_NAME, msgspec.json.encode({**tiers_of(control), **tiers}))


def tiers_of(control: ControlStore) -> dict[str, int]:
    """Source to tier, 1 the most trusted; sources without one are left out."""
    stored = control.checkpoint(_NAME)
    return msgspec.json.decode(stored, type=dict[str, int]) if stored else {}
