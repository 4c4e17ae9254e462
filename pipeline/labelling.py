"""`windvane classify`: JSON Lines in, one answer per line out, in the same order.

A bad line gets an error in its place.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from models.contract import Classifier, Prediction, Text
from pipeline.prepare.clean import clean
from pipeline.prepare.entities import EntityLinker
from pipeline.prepare.language import language_of
from pipeline.records import Mention, Sentiment
from pipeline.stages.classify import scored_mentions, sentiment_of

BATCH = 512


class Given(NamedTuple):
    """A readable line: what was written, and the cleaned document that is judged."""

    id: Any
    written: str
    document: str
    mentions: list[Mention]


class Bad(NamedTuple):
    """A line that cannot be judged, and why."""

    id: Any
    error: str


def classify_lines(
    lines: Iterable[bytes], classifier: Classifier, linker: EntityLinker
) -> Iterator[tuple[dict[str, Any], bool]]:
    """(answer, good) per non-blank line, in order. Spans are code points into the text as written (a title, when
    given, comes first, then a line break)."""
    numbered = ((n, line) for n, line in enumerate(lines, 1) if line.strip())
    while batch := list(islice(numbered, BATCH)):
        read = [_read(n, line, linker) for n, line in batch]
        good = [r for r in read if isinstance(r, Given)]
        texts = [Text(g.document, tuple((m.start, m.end) for m in g.mentions)) for g in good]
        predictions = iter(classifier.predict(texts))
        for r in read:
            if isinstance(r, Bad):
                yield {"id": r.id, "error": r.error}, False
            else:
                yield _answer(r, next(predictions), classifier.version), True


def _read(number: int, line: bytes, linker: EntityLinker) -> Given | Bad:
    try:
        row = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        return Bad(None, f'line {number}: expected a JSON object such as {{"id": "1", "text": "…"}}, found: {e}')
    if not isinstance(row, dict):
        return Bad(None, f"line {number}: expected a JSON object, found a {type(row).__name__}")
    text, title = row.get("text"), row.get("title")
    if not isinstance(text, str) or not (title is None or isinstance(title, str)):
        found = "no text" if "text" not in row else f"text {type(text).__name__}, title {type(title).__name__}"
        return Bad(
            row.get("id"),
            f'line {number}: expected a string in "text" (and in "title", if given), found {found}',
        )
    written = f"{title}\n{text}" if title and not text.startswith(title) else text
    document = clean(written)
    if not document:
        return Bad(row.get("id"), f"line {number}: the text is empty")
    return Given(row.get("id"), written, document, linker.link(document))


def _answer(given: Given, prediction: Prediction, version: str) -> dict[str, Any]:
    sentiment = sentiment_of(prediction.sentiment)
    mentions = scored_mentions(given.mentions, prediction)
    spans = spans_as_written(given.written, given.document, given.mentions)
    return {
        "id": given.id,
        "language": language_of(given.document),
        "topics": [{"label": label, "p": p} for label, p in prediction.topics],
        "sentiment": {"label": sentiment.label, "p": _p(sentiment)},
        "unsure": prediction.unsure,
        "entities": [
            {"entity": m.entity, "text": m.text, "start": start, "end": end,
             "sentiment": {"label": m.sentiment.label, "p": _p(m.sentiment), "basis": m.basis}}
            for m, (start, end) in zip(mentions, spans, strict=True)
        ],
        "model_version": version,
    }  # fmt: skip


def _p(sentiment: Sentiment) -> dict[str, float]:
    return {"negative": sentiment.negative, "neutral": sentiment.neutral, "positive": sentiment.positive}


def spans_as_written(written: str, document: str, mentions: list[Mention]) -> list[tuple[int, int]]:
    """Where the mentions of the cleaned document stand in the text as it was written. Where cleaning changed the
    mention itself, its span in the cleaned document."""
    if written == document:
        return [(m.start, m.end) for m in mentions]
    spans, at = [], 0
    for m in mentions:
        found = written.find(m.text, at)
        if found < 0:
            spans.append((m.start, m.end))
        else:
            spans.append((found, found + len(m.text)))
            at = found + len(m.text)
    return spans
