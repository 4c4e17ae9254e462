"""Data sets of one's own, without writing Python: tables of a TOML file that say where a set lies and what it means.

The file `data_sets.toml` in the data folder is read by training, evaluation and `windvane data check` alike:

    [desk]                              # the set's name
    path = "posts.csv"                  # beside the file; or absolute, or hf:NAME (see models/readers.py)
    licence = "our own"
    labels = {bear = "negative", flat = "neutral", bull = "positive"}
    columns = {text = "body", label = "stance"}

docs/data-sets.md explains every key.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.examples import DataSet, Example, find_mentions
from models.language import language_of
from models.readers import DataError
from models.taxonomy import SENTIMENTS, TOPIC_IDS, Target
from pipeline.sources.fields import as_text

FILE = "data_sets.toml"
NOT_NEGATIVE, SKIP = "not negative", "skip"
READINGS = (*SENTIMENTS, NOT_NEGATIVE, SKIP)  # what a label may mean in a set of sentiment
COLUMNS = {"id": "id", "text": "text", "label": "label", "language": "lang", "entities": "entities"}
KEYS = {"path", "licence", "labels", "task", "columns", "language", "covers", "separator", "permissive", "title",
        "origin"}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """How a row of one's own set is read. `labels`: its own label -> what it means (one sentiment, or topics)."""

    name: str
    labels: Mapping[str, tuple[str, ...]]
    columns: Mapping[str, str]
    topics: bool = False  # the labels are about topics, not sentiment
    covers: tuple[str, ...] = ()  # topics whose absence says that they do not hold
    language: str = ""  # of every text; "": by column, else by the text's letters
    separator: str = ""  # between several labels in one cell

    def read(self, row: dict[str, Any]) -> Example | None:
        """See DataSet.read. The id is "" when the row has none."""
        text = self._cell(row, "text")
        text = "" if text is None else text
        if not isinstance(text, str):
            raise ValueError(f"expected a text in {self.columns['text']}, found {text!r}"[:200])
        name = as_text(row.get(self.columns["id"])) or ""
        if not text.strip():
            return Example(name, "", self.name, "")
        said = [meanings for label in self._labels(row) if SKIP not in (meanings := self._meanings(label))]
        example = Example(name, text, self.name, self._language(row, text), no_neutral=self.two_classes)
        if self.topics:
            return replace(example, topics=self._targets({topic for part in said for topic in part})) if said else None
        if len(set(said)) > 1:
            raise ValueError(f"expected one label, found ones that mean {' and '.join(m[0] for m in said)}")
        mentions = tuple(find_mentions(text, self._entities(row)))
        if not said:
            return replace(example, mentions=mentions) if mentions else None
        if said[0][0] == NOT_NEGATIVE:
            return replace(example, mentions=mentions, not_negative=True)
        return replace(example, mentions=mentions, sentiment=SENTIMENTS.index(said[0][0]))

    @property
    def two_classes(self) -> bool:
        """Does the set know negative and positive only? Then "positive" does not say "not neutral"."""
        meant = {meaning for meanings in self.labels.values() for meaning in meanings}
        return not self.topics and {"negative", "positive"} <= meant and not meant & {"neutral", NOT_NEGATIVE}

    def _cell(self, row: Mapping[str, Any], what: str) -> Any:
        if (column := self.columns[what]) not in row:
            raise ValueError(f"expected the column {column} for the {what}, found {', '.join(row)[:200] or 'none'}")
        return row[column]

    def _labels(self, row: Mapping[str, Any]) -> list[str]:
        value = self._cell(row, "label")
        if isinstance(value, str) and self.separator:
            return [part.strip() for part in value.split(self.separator) if part.strip()]
        given = value if isinstance(value, list) else [value]
        return [(as_text(label) or "").strip() for label in given]

    def _meanings(self, label: str) -> tuple[str, ...]:
        if label not in self.labels:
            raise ValueError(
                f"expected a label out of {', '.join(self.labels)}, found {label!r}; correct the row, or add the label "
                "to the set's `labels`"
            )
        return self.labels[label]

    def _entities(self, row: Mapping[str, Any]) -> dict[str, int]:
        value = row.get(self.columns["entities"])
        if isinstance(value, str) and value.strip():  # a cell of a table
            value = json.loads(value)
        if not value:
            return {}
        if not isinstance(value, dict):
            raise ValueError(f'expected entities as {{"name": "label"}}, found {value!r}'[:200])
        meant = {entity: self._meanings(str(label))[0] for entity, label in value.items()}
        places = {m: i for i, m in enumerate(SENTIMENTS)} | {NOT_NEGATIVE: -1}
        return {entity: places[meaning] for entity, meaning in meant.items() if meaning != SKIP}

    def _targets(self, held: set[str]) -> tuple[Target, ...]:
        return tuple(1.0 if t in held else 0.0 if t in self.covers else None for t in TOPIC_IDS)

    def _language(self, row: Mapping[str, Any], text: str) -> str:
        given = self.language or as_text(row.get(self.columns["language"])) or language_of(text)
        if (short := re.split(r"[-_]", given.strip().lower())[0]) not in ("en", "zh"):
            raise ValueError(f"expected the language en or zh, found {given!r}")
        return short


def data_sets_in(folder: Path) -> dict[str, DataSet]:
    """The sets that the folder's data_sets.toml describes; none when there is no such file. DataError as below."""
    file = folder / FILE
    if not file.is_file():
        return {}
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{file} is not a TOML file in UTF-8 ({error}). Correct it: see docs/data-sets.md.") from error
    return data_sets_from(table, str(file))


def data_sets_from(table: Mapping[str, Any], where: str = FILE) -> dict[str, DataSet]:
    """Data sets from a table of tables, by name. DataError names the table, the key, what was expected and found."""
    return {name: _data_set(name, given, f"{where}, [{name}]") for name, given in table.items()}


def _data_set(name: str, given: Any, where: str) -> DataSet:
    if not isinstance(given, dict):
        raise DataError(f"{where}: expected a table with {', '.join(sorted(KEYS))}; found {given!r}.")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise DataError(f"{where}: expected a name of small letters, digits and _, found {name!r}. Rename the table.")
    if unknown := sorted(set(given) - KEYS):
        raise DataError(f"{where}: found {', '.join(unknown)}; known keys are {', '.join(sorted(KEYS))}.")
    for key in ("path", "licence", "labels"):
        if not given.get(key):
            raise DataError(f"{where}: expected `{key}`, found none. Add it: see docs/data-sets.md.")
    task = given.get("task", "sentiment")
    if task not in ("sentiment", "topics"):
        raise DataError(f'{where}: expected task = "sentiment" or "topics", found {task!r}.')
    layout = _layout(name, given, task == "topics", where)
    return DataSet(
        name, given["path"], task, layout.read,
        classes=_classes(layout), permissive=bool(given.get("permissive", False)), drop_repeats=True,
        columns=(layout.columns["text"], layout.columns["label"]),
        facts={"title": given.get("title", name), "origin": given.get("origin", "own"), "licence": given["licence"]},
    )  # fmt: skip


def _layout(name: str, given: Mapping[str, Any], topics: bool, where: str) -> Layout:
    columns = given.get("columns", {})
    if not isinstance(columns, dict) or set(columns) - set(COLUMNS):
        raise DataError(f"{where}: expected columns for {', '.join(COLUMNS)}; found {columns!r}.")
    language = given.get("language", "")
    if language not in ("", "en", "zh"):
        raise DataError(f'{where}: expected language = "en" or "zh", or none, found {language!r}.')
    labels = _label_map(given["labels"], topics, where)
    meant = tuple(dict.fromkeys(m for meanings in labels.values() for m in meanings if m != SKIP))
    covers = tuple(given.get("covers", meant)) if topics else ()
    _check(covers, TOPIC_IDS, f"{where}, covers")
    return Layout(name, labels, COLUMNS | columns, topics, covers, language, str(given.get("separator", "")))


def _label_map(labels: Any, topics: bool, where: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(labels, dict):
        raise DataError(f'{where}: expected labels = {{"own label" = "negative", …}}, found {labels!r}.')
    found = {str(k): tuple(v) if isinstance(v, list) else (str(v),) for k, v in labels.items()}
    for label, meanings in found.items():
        _check(meanings, (*TOPIC_IDS, SKIP) if topics else READINGS, f"{where}, label {label!r}")
        if not topics and len(meanings) != 1:
            raise DataError(f"{where}, label {label!r}: expected one of {', '.join(READINGS)}, found {len(meanings)}.")
    return found


def _check(names: tuple[str, ...], known: tuple[str, ...], where: str) -> None:
    if unknown := [name for name in names if name not in known]:
        raise DataError(f"{where}: expected {', '.join(known)}; found {', '.join(map(str, unknown))}.")


def _classes(layout: Layout) -> tuple[str, ...]:
    order = TOPIC_IDS if layout.topics else READINGS
    meant = {meaning for meanings in layout.labels.values() for meaning in meanings}
    return tuple(name for name in order if name in meant and name != SKIP)
