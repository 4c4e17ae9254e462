"""Scores of a release on labelled sets: what the product answers, and what the set's own head answers.

Both readings (models/readings.py) are reported in full. The figures at the top of a report are those of the reading
that the set is judged by: the product's for sentiment, the set's own head for twitter20, finnl and finese, whose labels
are not the product's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.answered import Answered
from models.comparison import baseline_scores, main_metric, table
from models.contract import Encoder
from models.data import Example, require_sets
from models.intervals import Bootstrap
from models.labelled import Labelled, validation_cut
from models.paired import Model
from models.published import published_for
from models.readings import (
    Reading,
    asks_for_topics,
    entity_reading,
    own_reading,
    predictions,
    product_reading,
    two_way,
)
from models.registry import Release
from models.reports import Report, by_group, calibration_of, report_of, scores_of, unsure_of
from models.score import Scores
from models.taxonomy import TOPIC_IDS

__all__ = [
    "Judged", "Scored", "baseline_scores", "evaluate_judged", "evaluate_release", "evaluate_set", "in_languages",
    "main_metric", "table",
]  # fmt: skip

Judged = dict[str, tuple[list[Example], Scores]]  # set -> its texts and their raw answers
TOPICS_OF = {"en": ("twitter20",), "zh": ("finnl", "thuc10")}  # sets whose labels tell of the product's topics
_TOP = ("n", "accuracy", "macro_f1", "micro_f1", "classes", "ece", "ece_by_chance", "two_way")


@dataclass(frozen=True)
class Scored:
    """A model's answers to labelled texts, and everything that can be said of them."""

    given: Labelled
    answered: Answered

    @classmethod
    def by(cls, model: Model, encoders: Sequence[Encoder], given: Labelled) -> Scored:
        """Ask the model; `encoders`: one a part, in their order."""
        return cls(given, Answered.by(model, encoders, given.name, given.examples))

    def product(self) -> Reading | None:
        return product_reading(self.given, self.answered)

    def own(self) -> Reading | None:
        return own_reading(self.given, self.answered)

    def headline(self) -> tuple[str, Reading] | None:
        """Name and reading of what the set is judged by; None when it has no answer for either."""
        product, own = self.product(), self.own()
        if own is not None and (product is None or asks_for_topics(self.given)):
            return "own", own
        return None if product is None else ("product", product)

    def predictions(self) -> list[dict[str, Any]]:
        """One record a text, in order."""
        return list(predictions(self.given, self.answered))

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
        if self.given.name == "sentfin" and (entities := entity_reading(self.answered)):
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
            confidence, floor = self.answered.of("sentiment").max(1), self.answered.floors()
            report["unsure"] = unsure_of(reading, confidence[reading.rows], floor[reading.rows])
            if any(example.no_neutral for example in examples):
                report["two_way"] = scores_of(two_way(reading)) | calibration_of(two_way(reading))
        return report


def evaluate_set(
    model: Model, encoders: Sequence[Encoder], given: Labelled, bootstrap: Bootstrap = Bootstrap()
) -> Report:  # fmt: skip
    """The report of one set."""
    return Scored.by(model, encoders, given).report(bootstrap)


def evaluate_judged(release: Release, judged: Judged) -> dict[str, Report]:
    """What `evaluate_release` gives, from raw answers that are known (no calibration is in them)."""
    return _reports({
        name: Scored(Labelled(name, examples), Answered.known(release, name, examples, scores))
        for name, (examples, scores) in judged.items()
    })  # fmt: skip


def evaluate_release(
    model: Model, encoders: Sequence[Encoder], data: Path, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Report]:
    """Reports on the validation cut of every set that the folder has in a language that the model reads, and the
    product's topics per language (`topics_en`, ...)."""
    scored = {}
    cuts = {name: validation_cut(data, name) for name in require_sets(data)}
    for name, given in in_languages(cuts, model.languages).items():
        progress(f"scoring {name}")
        scored[name] = Scored.by(model, encoders, given)
    return _reports(scored)


def in_languages(cuts: Mapping[str, Labelled], languages: Sequence[str]) -> dict[str, Labelled]:
    """The sets that are in one of the languages."""
    return {name: cut for name, cut in cuts.items() if set(cut.languages) & set(languages)}


def _reports(scored: dict[str, Scored]) -> dict[str, Report]:
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
