"""Scores of a release on labelled sets: what the product answers, and what the set's own head answers.

Both readings (models/readings.py) are reported in full. The figures at the top of a report are those of the reading
that the set is judged by: the product's for sentiment, the set's own head for twitter20, finnl and finese, whose labels
are not the product's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.comparison import baseline_scores, main_metric, table
from models.contract import Encoder
from models.data import Example, require_sets
from models.intervals import Bootstrap
from models.labelled import Labelled, validation_cut
from models.published import published_for
from models.readings import (
    Reading,
    asks_for_topics,
    entity_reading,
    own_reading,
    predictions,
    probabilities,
    product_reading,
    two_way,
)
from models.registry import Release
from models.reports import Report, by_group, calibration_of, report_of, scores_of, unsure_of
from models.score import Scores, score
from models.taxonomy import TOPIC_IDS

__all__ = ["Judged", "Scored", "baseline_scores", "evaluate_release", "evaluate_set", "main_metric", "table"]

Judged = dict[str, tuple[list[Example], Scores]]  # set -> its texts and their raw answers
TOPICS_OF = {"en": ("twitter20",), "zh": ("finnl", "thuc10")}  # sets whose labels tell of the product's topics
_TOP = ("n", "accuracy", "macro_f1", "micro_f1", "classes", "ece", "ece_by_chance", "two_way")


@dataclass(frozen=True)
class Scored:
    """A release's raw answers to labelled texts, and everything that can be said of them."""

    release: Release
    given: Labelled
    scores: Scores

    @classmethod
    def by(cls, release: Release, encoder: Encoder, given: Labelled) -> Scored:
        """Ask the model."""
        return cls(release, given, score(release, encoder, given.examples))

    def product(self) -> Reading | None:
        return product_reading(self.release, self.given, self.scores)

    def own(self) -> Reading | None:
        return own_reading(self.release, self.given, self.scores)

    def headline(self) -> tuple[str, Reading] | None:
        """Name and reading of what the set is judged by; None when it has no answer for either."""
        product, own = self.product(), self.own()
        if own is not None and (product is None or asks_for_topics(self.given)):
            return "own", own
        return None if product is None else ("product", product)

    def predictions(self) -> list[dict[str, Any]]:
        """One record a text, in order."""
        return list(predictions(self.release, self.given, self.scores))

    def report(self, bootstrap: Bootstrap = Bootstrap()) -> Report:
        """Every figure of the set; keys in docs/evaluation.md."""
        examples = self.given.examples
        report: Report = {
            "set": self.given.name, "language": _language(examples), "split": self.given.origin, "texts": len(examples),
        }  # fmt: skip
        if (chosen := self.headline()) is None:
            return report | {"notes": [*self.given.notes, "the set has no label that the model answers"]}
        report |= {"judged_by": chosen[0], "metric": main_metric(self.given.name)}
        readings = {"product": self.product(), "own": self.own()}
        parts = {name: self._part(name, one, bootstrap) for name, one in readings.items() if one is not None}
        report |= {key: parts[chosen[0]][key] for key in _TOP if key in parts[chosen[0]]} | parts
        if self.given.name == "sentfin" and (entities := entity_reading(self.release, self.given, self.scores)):
            report["entities"] = report_of(entities, bootstrap)
        if self.given.notes:
            report["notes"] = list(self.given.notes)
        if others := published_for(self.given.name):
            report["published"] = [figure._asdict() for figure in others]
        return report

    def _part(self, name: str, reading: Reading, bootstrap: Bootstrap) -> Report:
        examples = self.given.examples
        report = report_of(reading, bootstrap)
        report["by_language"] = by_group(reading, [example.language for example in examples])
        if any(self.given.sources):
            report["by_source"] = by_group(reading, self.given.sources)
        if name == "product" and reading.known is None:
            sentiment = probabilities(self.release, self.scores, "sentiment", [e.text for e in examples])
            floor = self.release.calibration.floor.get("sentiment", 0.0)
            report["unsure"] = unsure_of(reading, sentiment[reading.rows].max(1), floor)
            if any(example.no_neutral for example in examples):
                report["two_way"] = scores_of(two_way(reading)) | calibration_of(two_way(reading))
        return report


def evaluate_set(
    release: Release, encoder: Encoder, given: Labelled, scores: Scores | None = None,
    bootstrap: Bootstrap = Bootstrap(),
) -> Report:  # fmt: skip
    """The report of one set. `scores` are the raw answers when they are known (no calibration is in them)."""
    scored = Scored(release, given, scores) if scores else Scored.by(release, encoder, given)
    return scored.report(bootstrap)


def evaluate_release(
    release: Release, encoder: Encoder, data: Path, progress: Callable[[str], None] = lambda _: None,
    known: Judged | None = None,
) -> dict[str, Report]:  # fmt: skip
    """Reports on the validation cut of every set that the folder has, and the product's topics per language
    (`topics_en`, ...).

    `known` holds texts and raw answers that need not be worked out again.
    """
    scored = {name: Scored(release, Labelled(name, pair[0]), pair[1]) for name, pair in (known or {}).items()}
    for name in require_sets(data):
        if name not in scored:
            progress(f"scoring {name}")
            scored[name] = Scored.by(release, encoder, validation_cut(data, name))
    reports = {name: one.report() for name, one in scored.items() if one.given.name != "thuc10"}
    for language, names in TOPICS_OF.items():
        topics = [reading for name in names if name in scored and (reading := scored[name].product())]
        if not topics:
            continue
        reports[f"topics_{language}"] = {
            "set": "+".join(names), "language": language, "split": "validation",
            **report_of(_joined(topics), Bootstrap()),
        }  # fmt: skip
    return reports


def _joined(parts: Sequence[Reading]) -> Reading:
    """Multilabel readings of several sets as one."""
    columns = [(part.rows, part.gold, part.answer, part.p, part.known) for part in parts]
    rows, gold, answer, p, known = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Reading(parts[0].kind, TOPIC_IDS, rows, gold, answer, p, known)


def _language(examples: Sequence[Example]) -> str:
    """The language of the set: that of its texts, "mixed" when they differ."""
    found = {example.language for example in examples}
    return found.pop() if len(found) == 1 else "mixed"
