"""A release made to read fewer languages than it was trained on: what its manifest then says of itself."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from models.comparison import table
from models.language import LANGUAGES
from models.release import ReleaseInfo

Metrics = dict[str, Any]


def narrowed(info: ReleaseInfo, languages: Collection[str]) -> ReleaseInfo:
    """The same, reading these languages only: scores of other languages' sets tell nothing of what it will be asked."""
    if set(languages) == set(info.languages):
        return info
    kept = tuple(language for language in LANGUAGES if language in languages)
    return replace(info, languages=kept, metrics=metrics_of(info.metrics, kept))


def metrics_of(metrics: Metrics, languages: Collection[str]) -> Metrics:
    """What a manifest's metrics say of the sets in these languages; sets of mixed languages are among them."""
    if not metrics:
        return {}
    told = {*languages, "mixed"}
    sets = {name: report for name, report in metrics["sets"].items() if report["language"] in told}
    baselines = {name: report for name, report in metrics["baseline"].items() if name in sets}
    reliability = {  # a release of format 1 has none
        part: [row for row in rows if row["language"] in told] for part, rows in metrics.get("reliability", {}).items()
    }
    cost = {name: row for name, row in metrics["quantisation"].items() if name in sets}
    return {"sets": sets, "table": table(sets, baselines), "baseline": baselines, "quantisation": cost,
            "reliability": reliability}  # fmt: skip
