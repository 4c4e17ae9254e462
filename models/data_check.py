"""What is wrong with the sets of a data folder, counted: rows that cannot be read, empty, repeated and contradicting
ones, classes that a part lacks, and near-copies across the validation cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from models.cut import check_classes, leaks, split
from models.data import Reading, known_sets, read, require_sets, source_of
from models.examples import DataSet, Example
from models.readers import DataError, rows
from pipeline.errors import WindvaneError

SHOWN = 20  # sentences kept of each kind


@dataclass(frozen=True)
class SetCheck:
    """Findings about one set. The rows counted are those that can be used, before anything is left out for leaks."""

    name: str
    source: str
    rows: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0
    empty: int = 0
    repeats: int = 0  # the same text and answer again (left out of a set of one's own, kept in a built-in one)
    contradictions: int = 0  # the same text with another answer
    training: int = 0  # without the leaks
    validation: int = 0
    leaks: int = 0  # training rows left out because they nearly repeat a validation text of the set
    leaks_across: int = 0  # …of another set
    against: int = 0  # rows that nearly repeat a text of the files given
    problems: list[str] = field(default_factory=list)  # what to correct; makes the check fail
    notes: list[str] = field(default_factory=list)  # what to know


def check_sets(
    data_folder: Path, names: Sequence[str] = (), against: Sequence[Path] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> list[SetCheck]:  # fmt: skip
    """Check the named sets of a folder, or all that it has. DataError when it has none, or not one that was named."""
    chosen = _chosen(data_folder, names)
    asked = [example for file in against for example in _texts(file)]
    readings = {}
    for name, data_set in chosen.items():
        progress(f"reading {name}")
        readings[name] = _read(source_of(data_folder, data_set), data_set)
    cuts = {name: split(reading.examples) for name, reading in readings.items()}
    held_out = [example for _, validation in cuts.values() for example in validation]
    found = []
    for name, data_set in chosen.items():
        progress(f"comparing {name}")
        check = _check(data_set, source_of(data_folder, data_set), readings[name], cuts[name], held_out)
        near = sum(leaks(readings[name].examples, asked)) if asked else 0
        found.append(SetCheck(**check | {"against": near}))  # type: ignore[arg-type]
    return found


def _chosen(data_folder: Path, names: Sequence[str]) -> dict[str, DataSet]:
    known = known_sets(data_folder)
    if unknown := [name for name in names if name not in known]:
        raise DataError(f"expected sets out of {', '.join(known)}; found {', '.join(unknown)}.")
    return {name: known[name] for name in names} or require_sets(data_folder)


def _read(source: str, data_set: DataSet) -> Reading:
    try:
        return read(source, data_set, go_on=True)
    except WindvaneError as error:  # the whole source: missing, binary, no such column
        return Reading(faults=[str(error)])


def _texts(file: Path) -> list[Example]:
    """The texts of a file, as examples without answers. DataError when a row cannot be read, or none has one."""
    found = list(rows(str(file)))
    if bad := next((row for row in found if row.fault), None):
        raise DataError(f"{bad.place}: {bad.fault} Correct or remove the line.")
    values = [row.fields.get("text") for row in found]
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if not texts:
        raise DataError(f"expected texts in the column `text` of {file}, found none. Rename the one that has them.")
    return [Example("", text, "", "") for text in texts]


def _check(
    data_set: DataSet, source: str, reading: Reading, cut: tuple[list[Example], list[Example]], held_out: list[Example]
) -> dict[str, object]:
    training, validation = cut
    own, every = leaks(training, validation), leaks(training, held_out)
    problems, notes = reading.faults[:SHOWN], reading.contradictions[:SHOWN]
    if reading.examples:
        try:
            problems += check_classes(data_set, training, validation)
        except DataError as error:
            problems.append(str(error))
    elif not reading.faults:
        problems.append(f"{source}: expected rows of {data_set.name}, found none that can be used.")
    return {
        "name": data_set.name, "source": source, "rows": len(reading.examples),
        "classes": dict(reading.classes.most_common()), "unreadable": len(reading.faults), "empty": reading.empty,
        "repeats": reading.repeats, "contradictions": len(reading.contradictions),
        "training": len(training) - sum(every), "validation": len(validation), "leaks": sum(own),
        "leaks_across": sum(every) - sum(own), "problems": problems, "notes": notes,
    }  # fmt: skip
