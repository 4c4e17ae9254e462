"""The generated parts of data-sets.md: tables of the sets and of what their labels mean, from models/."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from models.data import DATA_SETS
from models.sources import SIZES
from models.taxonomy import (
    SENTIMENT_READINGS,
    TOPIC_IDS,
    TOPICS,
    coverage,
    labels_of,
    readings_of,
    topic_sets,
)  # fmt: skip

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: Path) -> str:
    """The page with its generated parts as they should be; the rest as it stands. KeyError on an unknown part."""
    parts = {"sets": _sets, "sentiment": _sentiment, "topics": _topics, "taxonomy": _taxonomy}
    return _PART.sub(lambda found: f"{found[1]}\n{parts[found[2]]()}\n\n{found[3]}", page.read_text("utf-8"))


def _table(titles: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (titles, ["---"] * len(titles), *lines))


def _escaped(label: str) -> str:
    return label.replace("|", "\\|")


def _sets() -> str:
    rows = []
    for name, data_set in DATA_SETS.items():
        language, count = SIZES[name]
        facts, allowed = data_set.facts, "yes" if data_set.permissive else "no"
        task = "sentiment" if name in SENTIMENT_READINGS else "topics"
        rows.append([name, facts["title"], language, str(count), task, facts["licence"], allowed,
                     f"`{data_set.path}`", facts["origin"]])  # fmt: skip
    titles = ("set", "what", "language", "rows", "task", "licence", "`permissive`", "file", "origin")
    return _table(titles, rows)


def _sentiment() -> str:
    rows = [
        [name, label, meaning or "nothing about the text; its entities keep theirs"]
        for name, readings in SENTIMENT_READINGS.items()
        for label, meaning in readings.items()
    ]
    return _table(("set", "its label", "the product's sentiment"), rows)


def _topics() -> str:
    parts = []
    for name in topic_sets():
        known = readings_of(name)
        silent = [topic for topic, covered in zip(TOPIC_IDS, coverage(name), strict=True) if not covered]
        rows = []
        for label in labels_of(name):
            reading = known.get(label)
            left_open = "all" if reading and reading.open == TOPIC_IDS else ", ".join(reading.open if reading else ())
            rows.append([_escaped(label), ", ".join(reading.holds) if reading else "", left_open])
        said = f"Says nothing about {', '.join(silent)}." if silent else "A topic that it does not name does not hold."
        parts.append(f"### {name}\n\n{said}\n\n" + _table(("its label", "holds", "left open"), rows))
    return "\n\n".join(parts)


def _taxonomy() -> str:
    rows = [[f"`{t.id}`", t.en, t.description, t.zh, t.description_zh] for t in TOPICS]
    return _table(("id", "topic", "what is under it", "主题", "包括"), rows)
