"""What part of the stream a rule looks at, and what it counts there. Rules with one lens share a lane (lane.py)."""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from pipeline.detect.bins import Heard, heard
from pipeline.detect.config import DetectorConfig
from pipeline.detect.kinds import Counted
from pipeline.detect.rules import Rule
from pipeline.keys import source_key
from pipeline.records import Opinion

NO_TIER = "2"  # of a source that names none (pipeline/sources/feeds_config.py)
Sectors = Mapping[str, str]  # entity id -> sector
NO_SECTORS: Sectors = MappingProxyType({})


class Lens(msgspec.Struct, frozen=True, kw_only=True):
    """Texts outside the filter still tell that the stream speaks, but bear on no key."""

    sources: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    tiers: tuple[int, ...] = ()
    counted: Counted = "negatives"
    certain: float | None = None  # how sure a negative must be; None: as the configuration says
    by_source: bool = False  # sources are keys too
    by_sector: bool = False  # thin entities count for their sector too

    def config(self, config: DetectorConfig) -> DetectorConfig:
        """The constants that hold for what is counted."""
        if self.counted == "texts":
            # hold_keep: no model counts texts
            config = replace(config, unclipped_h=config.phi_settle_h, hold_keep=1.0, keep_peaks=True)
        if self.certain is not None:
            config = replace(config, certain_negative=self.certain)
        return config

    def hear(self, opinion: Opinion, config: DetectorConfig) -> Heard:
        """The opinion as it is counted through this lens."""
        text = heard(opinion, config)
        if not self._fits(opinion):
            return replace(text, keys=())
        if self.counted == "texts":
            keys = tuple((key, True) for key, _ in text.keys)
            return replace(text, keys=(*keys, (source_key(text.source), True)) if self.by_source else keys)
        return text

    def _fits(self, opinion: Opinion) -> bool:
        return (
            (not self.sources or opinion.source in self.sources)
            and (not self.languages or opinion.language in self.languages)
            and (not self.tiers or opinion.attributes.get("tier", NO_TIER) in map(str, self.tiers))
        )


def lens_of(rule: Rule) -> Lens:
    """The lens of a rule."""
    scope = rule.scope
    return Lens(
        sources=tuple(sorted(scope.sources)),
        languages=tuple(sorted(scope.languages)),
        tiers=tuple(sorted(scope.tiers)),
        counted=rule.defaults.counted,
        certain=rule.certain if rule.kind == "message" else None,
        by_source="source" in scope.kinds,
        by_sector="sector" in scope.kinds,
    )
