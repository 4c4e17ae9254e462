"""Training data: one reader a set, one record, and a validation cut that near-identical texts cannot cross.

The sets are described in ../shared/data/README.md. Files are JSON Lines; a row that cannot be used stops the
reading with a DataError naming file, line and reason, since a silent gap in training data is never found again.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models import rules
from models.taxonomy import SENTIMENTS, TOPIC_IDS, TWITTER20_LABELS, Target, targets_for
from pipeline.errors import WindvaneError

VALIDATION_SHARE = 0.10
NOT_NEUTRAL_SETS = ("wwwxmu", "stockemotions")  # two classes; their convention has no neutral
PERMISSIVE = ("twitter", "twitter20", "thuc10")  # MIT; every other set is research-only or states no licence


class DataError(WindvaneError):
    """A training file cannot be used; the message names file, line, what was expected and what was found."""


@dataclass(frozen=True)
class Mention:
    """An entity in the text: character offsets [start, end) and its sentiment, an index into SENTIMENTS.

    `not_negative` marks a mention known only not to be negative (its `sentiment` is then ignored).
    """

    start: int
    end: int
    sentiment: int = -1
    not_negative: bool = False


@dataclass(frozen=True)
class Example:
    """One training text with whatever its set says about it. A field left at its default is not trained on."""

    id: str
    text: str
    set: str
    language: str
    sentiment: int | None = None  # index into SENTIMENTS
    not_negative: bool = False  # finnsp: known not to be negative, nothing more
    topics: tuple[Target, ...] | None = None  # one per taxonomy label
    topics_weight: float = 1.0
    own: tuple[str, ...] = ()  # labels of the set's own head
    mentions: tuple[Mention, ...] = ()


@dataclass(frozen=True)
class DataSet:
    """Where a set lies under the data folder, how one row is read, and the task its scores are about."""

    name: str
    path: str
    task: str
    read: Callable[[dict[str, Any]], Example | None]


def _sentiment(name: str) -> Callable[[dict[str, Any]], Example | None]:
    def read(row: dict[str, Any]) -> Example:
        return Example(
            row["id"], row["text"], name, row["lang"], sentiment=SENTIMENTS.index(row["label"]), own=(row["label"],)
        )

    return read


def _sentfin(row: dict[str, Any]) -> Example:
    mixed = row["label"] == "mixed"  # entities disagree: no one sentiment is right for the text
    return Example(
        row["id"], row["text"], "sentfin", row["lang"],
        sentiment=None if mixed else SENTIMENTS.index(row["label"]), own=(row["label"],),
        mentions=tuple(_mentions(row["text"], {k: SENTIMENTS.index(v) for k, v in row["entities"].items()})),
    )  # fmt: skip


def _finnsp(row: dict[str, Any]) -> Example:
    negative = row["label"] == "negative"
    text = re.sub(r"<[^>]{1,80}>", "", row["text"]).strip()
    of_entity = {name: 0 if name in row["negative_entities"] else -1 for name in row["entities"]}
    return Example(
        row["id"], text, "finnsp", row["lang"], sentiment=0 if negative else None, not_negative=not negative,
        own=("negative" if negative else "non-negative",),
        mentions=tuple(_mentions(text[:120], of_entity)),
    )  # fmt: skip


def _mentions(text: str, sentiments: dict[str, int]) -> Iterator[Mention]:
    """Find each entity's first occurrence; one inside a longer entity's span is left out."""
    taken: list[tuple[int, int]] = []
    for name, sentiment in sorted(sentiments.items(), key=lambda item: -len(item[0])):
        start = text.lower().find(name.lower()) if name else -1
        if start < 0 or any(start < b and a < start + len(name) for a, b in taken):
            continue
        taken.append((start, start + len(name)))
        yield Mention(start, start + len(name), sentiment, not_negative=sentiment < 0)


def _wwwxmu(row: dict[str, Any]) -> Example:
    example = _sentiment("wwwxmu")(row)
    assert example is not None
    return replace(example, topics=rules.chinese_topics(row["text"]), topics_weight=0.5)


def _twitter20(row: dict[str, Any]) -> Example:
    if row["label"] not in TWITTER20_LABELS:
        raise ValueError(f"label {row['label']!r} is not one of the 20")
    topics = rules.merge(targets_for("twitter20", [row["label"]]), rules.english_topics(row["text"]))
    return Example(row["id"], row["text"], "twitter20", row["lang"], topics=topics, own=(row["label"],))


def _finnl(row: dict[str, Any]) -> Example:
    topics = rules.merge(targets_for("finnl", row["label"]), rules.chinese_topics(row["text"]))
    return Example(row["id"], row["text"], "finnl", row["lang"], topics=topics, own=tuple(row["label"]))


def _finese(row: dict[str, Any]) -> Example:
    topics = targets_for("finese", [row["label"]])
    return Example(row["id"], row["text"], "finese", row["lang"], topics=topics, own=(row["label"],))


def _thuc10(row: dict[str, Any]) -> Example | None:
    kept = int(_digest(row["id"])[:8], 16) % 100 < 25  # a quarter is enough to learn what is off topic
    topics = targets_for("thuc10", [row["label"]])
    if not kept or all(target is None for target in topics):
        return None
    return Example(row["id"], row["text"], "thuc10", row["lang"], topics=topics, topics_weight=0.5)


DATA_SETS: dict[str, DataSet] = {
    entry.name: entry
    for entry in (
        DataSet("fpb", "en_sent/fpb.jsonl", "sentiment", _sentiment("fpb")),
        DataSet("twitter", "en_sent/twitter.jsonl", "sentiment", _sentiment("twitter")),
        DataSet("sentfin", "en_sent/sentfin.jsonl", "sentiment", _sentfin),
        DataSet("finfe", "zh_sent/finfe.jsonl", "sentiment", _sentiment("finfe")),
        DataSet("emm_guba", "zh_sent/emm_guba.jsonl", "sentiment", _sentiment("emm_guba")),
        DataSet("wwwxmu", "zh_sent/wwwxmu_2class.jsonl", "sentiment", _wwwxmu),
        DataSet("finnsp", "zh_sent/finnsp_negative.jsonl", "sentiment", _finnsp),
        DataSet("twitter20", "en_topic/twitter20.jsonl", "twitter20", _twitter20),
        DataSet("finnl", "zh_topic/finnl_multilabel.jsonl", "finnl", _finnl),
        DataSet("finese", "zh_topic/finese_risk_events.jsonl", "finese", _finese),
        DataSet("thuc10", "zh_topic/thuc10.jsonl", "topics", _thuc10),
        # Bullish or bearish, no neutral: it says which way a post leans, not whether it does.
        DataSet("stockemotions", "en_sent/stockemotions_2class.jsonl", "sentiment", _sentiment("stockemotions")),
    )
}
TRAINING_SETS = tuple(DATA_SETS)


def read_file(file: Path, data_set: DataSet) -> list[Example]:
    """All usable rows of a file in a set's own layout. DataError on the first row that cannot be read."""
    if not file.is_file():
        raise DataError(f"Expected training data at {file}, found none. Give the data folder with --data.")
    examples: list[Example] = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                example = data_set.read(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"{file}, line {number}: not a row of {data_set.name} ({type(error).__name__}: {error}). "
                    "Correct or remove the line."
                ) from error
            if example is not None and example.text.strip():
                examples.append(example)
    return examples


def read_set(data_folder: Path, name: str) -> list[Example]:
    """All usable rows of a named set under the data folder. DataError as for `read_file`, or on an unknown name."""
    if name not in DATA_SETS:
        raise DataError(f"No training set is called {name!r}; known are {', '.join(DATA_SETS)}.")
    return read_file(data_folder / DATA_SETS[name].path, DATA_SETS[name])


def text_key(text: str) -> str:
    """What two copies of a story share: letters and Han characters only, no links, tags, figures or case."""
    plain = unicodedata.normalize("NFKC", text).lower()
    plain = re.sub(r"https?://\S+|&\w+;|[@#$]\w+", " ", plain)
    return "".join(re.findall(r"[^\W\d_]+", plain))[:80] or plain.strip()


def is_validation(text: str) -> bool:
    """Is this text in the validation cut? Decided by its story's hash: the same for copies in any set."""
    return int(_digest(text_key(text))[:8], 16) < VALIDATION_SHARE * 16**8


def split(examples: list[Example]) -> tuple[list[Example], list[Example]]:
    """Cut examples into (training, validation) by `is_validation`, order kept."""
    training = [example for example in examples if not is_validation(example.text)]
    return training, [example for example in examples if is_validation(example.text)]


def drop_leaks(training: list[Example], validation: list[Example]) -> list[Example]:
    """Training without texts that nearly repeat a validation text: same first or last 24 letters of the key."""
    heads = {text_key(example.text)[:24] for example in validation}
    tails = {text_key(example.text)[-24:] for example in validation}
    return [
        example
        for example in training
        if len(key := text_key(example.text)) < 24 or (key[:24] not in heads and key[-24:] not in tails)
    ]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def topic_target_arrays(example: Example) -> tuple[list[float], list[float]]:
    """(targets, weights), one a taxonomy label; weight 0 where the set is silent."""
    topics = example.topics or (None,) * len(TOPIC_IDS)
    return [t or 0.0 for t in topics], [0.0 if t is None else example.topics_weight for t in topics]
