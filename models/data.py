"""Training data: one reader a set, and the sets that a data folder has.

The built-in sets are described in docs/data-sets.md; a folder's data_sets.toml adds others (models/own_sets.py). A row
that cannot be used stops the reading with a DataError naming file, line and reason, since a silent gap in training data
is never found again; `windvane data check` goes on and counts.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from models import rules
from models.cut import VALIDATION_SHARE, digest, drop_leaks, is_validation, split, text_key
from models.examples import DataSet, Example, Mention, answers, find_mentions
from models.own_sets import FILE, data_sets_in
from models.readers import DataError, Row, resolve, rows
from models.sources import SOURCES
from models.taxonomy import SENTIMENT_READINGS, SENTIMENTS, TOPIC_IDS, labels_of, targets_for

__all__ = [
    "DATA_SETS", "NOT_NEUTRAL_SETS", "PERMISSIVE", "TRAINING_SETS", "VALIDATION_SHARE", "DataError", "DataSet",
    "Example", "Mention", "Reading", "drop_leaks", "is_validation", "known_sets", "language_of_set", "read",
    "read_file", "read_set", "require_sets", "sets_there", "source_of", "split", "text_key", "topic_target_arrays",
]  # fmt: skip

LOG = logging.getLogger(__name__)
NOT_NEUTRAL_SETS = ("wwwxmu", "stockemotions")  # two classes; their convention has no neutral
PERMISSIVE = ("twitter", "twitter20", "thuc10")  # MIT; every other set is research-only or states no licence


def _sentiment(name: str) -> Callable[[dict[str, Any]], Example | None]:
    def read(row: dict[str, Any]) -> Example:
        label = _label(name, row["label"])
        meaning = SENTIMENT_READINGS[name][label]
        return Example(
            row["id"], row["text"], name, row["lang"], own=(label,), no_neutral=name in NOT_NEUTRAL_SETS,
            sentiment=SENTIMENTS.index(meaning) if meaning in SENTIMENTS else None,
            not_negative=meaning == "not negative",
        )  # fmt: skip

    return read


def _label(name: str, label: str) -> str:
    if label not in labels_of(name):
        raise ValueError(f"expected a label out of {', '.join(labels_of(name))}, found {label!r}")
    return label


def _sentfin(row: dict[str, Any]) -> Example | None:
    example = _sentiment("sentfin")(row)
    of_entity = {name: SENTIMENTS.index(_label("fpb", label)) for name, label in row["entities"].items()}
    return example and replace(example, mentions=tuple(find_mentions(row["text"], of_entity)))


def _finnsp(row: dict[str, Any]) -> Example | None:
    text = re.sub(r"<[^>]{1,80}>", "", row["text"]).strip()
    of_entity = {name: 0 if name in row["negative_entities"] else -1 for name in row["entities"]}
    example = _sentiment("finnsp")(row)
    return example and example.changed(text, tuple(find_mentions(text[:120], of_entity)))


def _wwwxmu(row: dict[str, Any]) -> Example | None:
    example = _sentiment("wwwxmu")(row)
    return example and replace(example, topics=rules.chinese_topics(row["text"]), topics_weight=0.5)


def _twitter20(row: dict[str, Any]) -> Example:
    label = _label("twitter20", row["label"])
    topics = rules.merge(targets_for("twitter20", [label]), rules.english_topics(row["text"]))
    return Example(row["id"], row["text"], "twitter20", row["lang"], topics=topics, own=(label,))


def _finnl(row: dict[str, Any]) -> Example:
    labels = [_label("finnl", label) for label in row["label"]]
    topics = rules.merge(targets_for("finnl", labels), rules.chinese_topics(row["text"]))
    return Example(row["id"], row["text"], "finnl", row["lang"], topics=topics, own=tuple(labels))


def _finese(row: dict[str, Any]) -> Example:
    topics = targets_for("finese", [_label("finese", row["label"])])
    return Example(row["id"], row["text"], "finese", row["lang"], topics=topics, own=(row["label"],))


def _thuc10(row: dict[str, Any]) -> Example | None:
    kept = int(digest(row["id"])[:8], 16) % 100 < 25  # a quarter is enough to learn what is off topic
    topics = targets_for("thuc10", [_label("thuc10", row["label"])])
    if not kept or all(target is None for target in topics):
        return None
    return Example(row["id"], row["text"], "thuc10", row["lang"], topics=topics, topics_weight=0.5)


def _built_in(name: str, path: str, task: str, reader: Callable[[dict[str, Any]], Example | None]) -> DataSet:
    classes = tuple(label for label, meaning in SENTIMENT_READINGS.get(name, {}).items() if meaning)
    facts = {key: SOURCES[name][key] for key in ("title", "origin", "licence")}
    return DataSet(name, path, task, reader, classes, permissive=name in PERMISSIVE, facts=facts)


DATA_SETS: dict[str, DataSet] = {
    entry.name: entry
    for entry in (
        _built_in("fpb", "en_sent/fpb.jsonl", "sentiment", _sentiment("fpb")),
        _built_in("twitter", "en_sent/twitter.jsonl", "sentiment", _sentiment("twitter")),
        _built_in("sentfin", "en_sent/sentfin.jsonl", "sentiment", _sentfin),
        _built_in("finfe", "zh_sent/finfe.jsonl", "sentiment", _sentiment("finfe")),
        _built_in("emm_guba", "zh_sent/emm_guba.jsonl", "sentiment", _sentiment("emm_guba")),
        _built_in("wwwxmu", "zh_sent/wwwxmu_2class.jsonl", "sentiment", _wwwxmu),
        _built_in("finnsp", "zh_sent/finnsp_negative.jsonl", "sentiment", _finnsp),
        _built_in("twitter20", "en_topic/twitter20.jsonl", "twitter20", _twitter20),
        _built_in("finnl", "zh_topic/finnl_multilabel.jsonl", "finnl", _finnl),
        _built_in("finese", "zh_topic/finese_risk_events.jsonl", "finese", _finese),
        _built_in("thuc10", "zh_topic/thuc10.jsonl", "topics", _thuc10),
        # Bullish or bearish, no neutral: it says which way a post leans, not whether it does.
        _built_in("stockemotions", "en_sent/stockemotions_2class.jsonl", "sentiment", _sentiment("stockemotions")),
    )
}
TRAINING_SETS = tuple(DATA_SETS)


@dataclass
class Reading:
    """What a source holds. Repeats, contradictions and empty rows are counted from the rows that could be read."""

    examples: list[Example] = field(default_factory=list)
    classes: Counter[str] = field(default_factory=Counter)
    empty: int = 0
    repeats: int = 0  # the same text and answer as an earlier row: left out where the set says so
    contradictions: list[str] = field(default_factory=list)  # the same text, another answer: kept, both are evidence
    faults: list[str] = field(default_factory=list)


def known_sets(data_folder: Path) -> dict[str, DataSet]:
    """The built-in sets and those of the folder's data_sets.toml. DataError when that file is wrong."""
    own = data_sets_in(data_folder)
    if clash := sorted(set(own) & set(DATA_SETS)):
        raise DataError(f"{data_folder / FILE}: expected new names, found {', '.join(clash)}, which are built in. "
                        "Rename the tables.")  # fmt: skip
    return DATA_SETS | own


def sets_there(data_folder: Path) -> dict[str, DataSet]:
    """The sets that a folder has: of the built-in ones those whose file lies there, and all that its data_sets.toml
    describes (a missing one of these is a mistake, which reading it will tell)."""
    known = known_sets(data_folder)
    return {k: v for k, v in known.items() if k not in DATA_SETS or Path(source_of(data_folder, v)).exists()}


def require_sets(data_folder: Path) -> dict[str, DataSet]:
    """The sets that a folder has; DataError when it has none."""
    if found := sets_there(data_folder):
        return found
    raise DataError(
        f"expected data sets in {data_folder}, found none. Give the folder with --data: it has a {FILE}, or files "
        f"laid out as {DATA_SETS['fpb'].path}. See docs/data-sets.md."
    )


def source_of(data_folder: Path, data_set: DataSet) -> str:
    """Where a set lies, as models/readers.py takes it."""
    return resolve(data_folder, data_set.path)


def language_of_set(name: str) -> str:
    """The language of a built-in set: its folder tells (docs/data-sets.md). Of these alone a model keeps own heads."""
    return DATA_SETS[name].path[:2]


def read(source: str, data_set: DataSet, go_on: bool = False) -> Reading:
    """Everything of a source in a set's own layout. The first row that cannot be read raises DataError; with `go_on`
    it becomes a sentence in `faults`."""
    reading = Reading()
    seen: dict[str, dict[tuple[str, ...], tuple[str, set[Any]]]] = {}
    for row in rows(source, data_set.columns):
        try:
            example = _example(row, data_set)
        except DataError as error:
            if not go_on:
                raise
            reading.faults.append(str(error))
            continue
        if example is None:
            continue
        if not example.text.strip():
            reading.empty += 1
            continue
        reading.classes.update(answers(example))
        if not (_repeats(example, row.place, seen, reading) and data_set.drop_repeats):
            reading.examples.append(example)
    return reading


def _example(row: Row, data_set: DataSet) -> Example | None:
    if row.fault:
        raise DataError(f"{row.place}: not a row of {data_set.name}. {row.fault} Correct or remove the line.")
    try:
        example = data_set.read(row.fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{row.place}: not a row of {data_set.name} ({said}). Correct or remove the line.") from error
    return example if example is None or example.id else replace(example, id=f"{data_set.name}-{row.number}")


def _repeats(
    example: Example, place: str, seen: dict[str, dict[tuple[str, ...], tuple[str, set[Any]]]], reading: Reading
) -> bool:
    """Is it an earlier row again? Counts repeats and contradictions; spaces do not tell two texts apart."""
    before = seen.setdefault(" ".join(example.text.split()), {})
    answer = answers(example)
    if before and answer not in before:
        other, (there, _) = next(iter(before.items()))
        reading.contradictions.append(f"{place} says {_words(answer)}, {there} {_words(other)}: {example.text[:60]!r}")
    mentions = before.setdefault(answer, (place, set()))[1]
    again = example.mentions in mentions
    mentions.add(example.mentions)
    reading.repeats += again
    return again


def _words(answer: tuple[str, ...]) -> str:
    return " and ".join(answer) or "nothing"


def read_file(file: Path, data_set: DataSet) -> list[Example]:
    """All usable rows of a file in a set's own layout. DataError on the first row that cannot be read."""
    if not file.exists():
        raise DataError(f"Expected training data at {file}, found none. Give the data folder with --data.")
    return _told(read(str(file), data_set), data_set)


def read_set(data_folder: Path, name: str) -> list[Example]:
    """All usable rows of a named set under the data folder. DataError as for `read_file`, or on an unknown name."""
    known = known_sets(data_folder)
    if name not in known:
        raise DataError(f"No training set is called {name!r}; known are {', '.join(known)}. A set of your own is "
                        f"described in {data_folder / FILE}: see docs/data-sets.md.")  # fmt: skip
    source = source_of(data_folder, known[name])
    if source.startswith("hf:"):
        return _told(read(source, known[name]), known[name])
    return read_file(Path(source), known[name])


def _told(reading: Reading, data_set: DataSet) -> list[Example]:
    """The examples of a reading; what was left out of a set of one's own is said once."""
    if data_set.drop_repeats and (reading.empty or reading.repeats or reading.contradictions):
        LOG.warning(
            "%s: left out %d empty and %d repeated rows; %d contradict an earlier one (kept). See windvane data check.",
            data_set.name, reading.empty, reading.repeats, len(reading.contradictions),
        )  # fmt: skip
    return reading.examples


def topic_target_arrays(example: Example) -> tuple[list[float], list[float]]:
    """(targets, weights), one a taxonomy label; weight 0 where the set is silent."""
    topics = example.topics or (None,) * len(TOPIC_IDS)
    return [t or 0.0 for t in topics], [0.0 if t is None else example.topics_weight for t in topics]
