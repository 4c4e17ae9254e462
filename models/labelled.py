"""Labelled texts to judge a model on: a file laid out like a training set's, or the validation cut of one.

Every row of a file is kept, in order, so that each text gets an answer. A file that is not laid out so is refused with
its first bad line; nothing is skipped in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.data import DATA_SETS, DataError, DataSet, Example, read_set, split
from models.language import language_of, languages_among
from models.readers import Row, rows
from models.taxonomy import MULTILABEL_SETS, SENTIMENTS
from pipeline.prepare.clean import clean

SENTIMENT = "sentiment"  # any file of negative, neutral or positive texts that is none of the training sets
_NO_ENTITIES: dict[str, Any] = {"entities": {}, "negative_entities": []}


@dataclass(frozen=True)
class Labelled:
    """Texts of one set with their labels. `sources`: where each came from ("" where the row does not say)."""

    name: str
    examples: list[Example]
    sources: tuple[str, ...] = ()
    origin: str = "validation"  # or the file's name
    notes: tuple[str, ...] = ()  # what a reader of the scores should know about the rows

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that the set is in; a stray text of another does not count."""
        return languages_among(example.language for example in self.examples)


def validation_cut(data: Path, name: str) -> Labelled:
    """The texts of a training set that no training run sees, as the product reads them."""
    return Labelled(name, [as_read(example) for example in split(read_set(data, name))[1]])


def check_set(name: str | None, known: Mapping[str, DataSet]) -> str:
    """The name of a set, checked. DataError lists the names that there are."""
    if name is not None and (name in known or name == SENTIMENT):
        return name
    raise DataError(
        f"expected --set to name the set that the texts are laid out as, found {'none' if name is None else name}. "
        f"Known are {', '.join(known)}; any other file whose label is {', '.join(SENTIMENTS)} is --set {SENTIMENT}."
    )


def labelled_file(file: Path, name: str | None, known: Mapping[str, DataSet] = DATA_SETS) -> Labelled:
    """Every row of a file laid out as the set `name`: text and label at least; id, lang and source are used if given.

    DataError names the file, the line, what was expected, what was found and what to do.
    """
    given = check_set(name, known)
    data_set = known.get(given, _PLAIN)
    examples, sources = [], []
    for row in rows(str(file), data_set.columns):
        if row.fault:
            raise DataError(f"{row.place}: {row.fault} Correct or remove the line.")
        examples.append(as_read(_example(row, data_set)))
        sources.append(str(row.fields.get("source") or row.fields.get("domain") or ""))
    if not examples:
        raise DataError(f"{file}: expected labelled texts, found none. Check the path.")
    return Labelled(given, examples, tuple(sources), file.name, tuple(_notes(examples)))


def as_read(example: Example) -> Example:
    """The example as the product reads it: cleaned of markup and control characters, its mentions found again."""
    text = clean(example.text)
    if text == example.text:
        return example
    mentions, at = [], 0
    for mention in sorted(example.mentions, key=lambda m: m.start):
        name = example.text[mention.start : mention.end]
        if (start := text.find(name, at)) >= 0:
            mentions.append(replace(mention, start=start, end=start + len(name)))
            at = start + len(name)
    return replace(example, text=text, mentions=tuple(mentions))


def _plain(row: dict[str, Any]) -> Example:
    if row["label"] not in SENTIMENTS:
        raise ValueError(f"expected a label out of {', '.join(SENTIMENTS)}, found {row['label']!r}")
    sentiment = SENTIMENTS.index(row["label"])
    return Example(row["id"], row["text"], SENTIMENT, row["lang"], sentiment=sentiment, own=(row["label"],))


_PLAIN = DataSet(SENTIMENT, "", SENTIMENT, _plain)


def _example(row: Row, data_set: DataSet) -> Example:
    """The row as its set's reader understands it; rows that training leaves out are kept with their own label."""
    fields = row.fields
    if data_set.name in DATA_SETS or data_set is _PLAIN:
        fields = _completed(row, data_set.name)
    try:
        example = data_set.read(fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{row.place}: not a row of {data_set.name} ({said}). "
            "Correct the line, or name the set that the file is laid out as with --set."
        ) from error
    if example is None:
        own = (fields["label"],) if isinstance(fields.get("label"), str) else ()
        example = Example("", str(fields.get("text", "")), data_set.name, str(fields.get("lang", "")), own=own)
    return replace(example, id=example.id or str(row.fields.get("id", row.number)))


def _completed(row: Row, name: str) -> dict[str, Any]:
    """The fields with what a built-in set's reader needs and a file may leave out. DataError without text or label."""
    fields = row.fields
    if missing := [key for key in ("text", "label") if fields.get(key) is None]:
        raise DataError(
            f"{row.place}: expected a row of {name} with text and label, found no {' and no '.join(missing)} (it has "
            f"{', '.join(fields) or 'nothing'}). Texts without labels are for windvane classify."
        )
    text, label = fields["text"], fields["label"]
    if not isinstance(text, str):
        raise DataError(f"{row.place}: expected a text, found {text!r:.60}. Correct the line.")
    if name in MULTILABEL_SETS and isinstance(label, str):  # a table's cell
        label = [part.strip() for part in label.split("|") if part.strip()]
    given = {"id": str(fields.get("id") or row.number), "label": label, "lang": fields.get("lang") or language_of(text)}
    return _NO_ENTITIES | fields | given


def _notes(examples: Sequence[Example]) -> list[str]:
    empty = sum(not example.text.strip() for example in examples)
    again = len(examples) - len({example.text for example in examples})
    ids = len(examples) - len({example.id for example in examples})
    said = (
        (empty, "{} texts are empty: the product answers them with its prior, unsure."),
        (again, "{} texts repeat an earlier one of the file word for word."),
        (ids, "{} ids repeat an earlier one of the file: predictions stand in the order of its lines."),
    )
    return [sentence.format(count) for count, sentence in said if count]
