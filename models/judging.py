"""What `windvane evaluate` calls: a model, texts with labels, and what to say of them. Needs no torch; the baseline
alone needs scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.classifier import RELEASED, default_release
from models.comparison import baseline_for, table
from models.contract import Encoder
from models.data import known_sets
from models.evaluate import Scored, baseline_scores, evaluate_release
from models.intervals import Bootstrap
from models.labelled import Labelled, check_set, labelled_file, validation_cut
from models.paired import Model, load_model
from models.perturb import perturbations
from models.robustness import MOST, Plan, robustness
from pipeline.errors import WindvaneError
from pipeline.prepare.aliases import EntityTable

Report = dict[str, Any]
Tell = Callable[[str], None]
SHIPPED = ("released", "default")  # names of the release that ships


@dataclass(frozen=True)
class Question:
    """What is asked. Without `set`: every validation cut under `data`. With it: that set's, or all rows of `file`."""

    data: Path
    set: str | None = None
    file: Path | None = None
    seed: int = 20  # of the intervals and of the changed texts
    baseline: bool = False  # for one set: TF-IDF + logistic regression on the same texts
    robust: bool = False  # for one set: how far scores fall on changed texts
    most: int = MOST  # texts that are changed


@dataclass(frozen=True)
class Verdict:
    """The report, and one record a text when one set was judged."""

    report: Report
    predictions: list[Report] = field(default_factory=list)


def find_model(named: str | None, otherwise: Path | None) -> Model:
    """The release or pair of a folder or a name under models/released; `released` is the one that ships (None:
    `otherwise`, or the one that ships). WindvaneError, as a sentence, when there is none."""
    if named is None:
        return load_model(otherwise or default_release())
    if named in SHIPPED:
        return load_model(default_release())
    if Path(named).is_file():
        raise WindvaneError(
            f"expected a release first (its folder, or released for the one that ships), found the file {named}. "
            f"To score that file: windvane evaluate released {named} --set NAME"
        )
    shipped = RELEASED / named
    return load_model(shipped if not Path(named).exists() and shipped.is_dir() else Path(named))


def judge(model: Model, encoders: Sequence[Encoder], asked: Question, tell: Tell = lambda _: None) -> Verdict:
    """Score a model, whose parts run on `encoders`, as asked; keys of the report are in docs/evaluation.md. `tell`
    hears what is being done."""
    if asked.file is None and asked.set is None:
        return Verdict(judge_all(model, encoders, asked.data, tell))
    given = texts_of(asked)
    tell(f"{given.name}: {len(given.examples)} texts")
    scored = Scored.by(model, encoders, given)
    report = {"model_version": model.version, "engine": _engine(encoders), **scored.report(Bootstrap(seed=asked.seed))}
    baselines: dict[str, Report] = {}
    if asked.baseline and (found := baseline_for(given, asked.data)) is not None:
        report["tfidf"] = baselines[given.name] = found
    if asked.robust:
        changes, left_out = perturbations(EntityTable.load())
        plan = Plan(changes, left_out, asked.most, asked.seed)
        report["robustness"] = robustness(scored, lambda texts: Scored.by(model, encoders, texts), plan, tell)
    report["table"] = table({given.name: report}, baselines)
    return Verdict(report, scored.predictions())


def judge_all(model: Model, encoders: Sequence[Encoder], data: Path, tell: Tell) -> Report:
    """Every set's validation cut: {"model_version", "engine", "sets": {set: report}, "baseline", "table"}.

    The baseline is the one in the manifests when there is one (it depends on the data alone), else computed.
    """
    reports = evaluate_release(model, encoders, data, tell)
    known = [part.manifest.get("metrics", {}).get("baseline", {}) for part in model.parts]
    baselines = {name: row for part in known for name, row in part.items()} or baseline_scores(data, reports, tell)
    return {
        "model_version": model.version, "engine": _engine(encoders), "sets": reports, "baseline": baselines,
        "table": table(reports, baselines),
    }  # fmt: skip


def _engine(encoders: Sequence[Encoder]) -> str:
    return " and ".join(dict.fromkeys(encoder.name for encoder in encoders))


def texts_of(asked: Question) -> Labelled:
    """The labelled texts of one set. DataError when set or file cannot be used."""
    known = known_sets(asked.data)
    if asked.file is not None:
        return labelled_file(asked.file, asked.set, known)
    name = check_set(asked.set, known)
    if name not in known:
        raise WindvaneError(f"expected a file to read as --set {name}, found none. Give it after the model: "
                            f"windvane evaluate released FILE --set {name}")  # fmt: skip
    return validation_cut(asked.data, name)


def write_predictions(file: Path, predictions: list[Report]) -> None:
    """One JSON object a line. WindvaneError when the file cannot be written."""
    try:
        with file.open("w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in predictions)
    except OSError as error:
        raise WindvaneError(
            f"cannot write predictions to {file}: {error.strerror}. Give another path with --predictions."
        ) from error
