"""Why the model answered so, asked in words (`windvane explain`) or for a scored text (the page)."""

import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from models.explain import Explainer, Explanation, Span
from models.taxonomy import SENTIMENTS, TOPICS
from pipeline.errors import WindvaneError
from pipeline.prepare.clean import clean
from pipeline.prepare.entities import EntityLinker
from pipeline.records import Opinion, document

_FORMS = "negative, neutral, positive, topic:NAME or entity:NAME"


def explain_text(explainer: Explainer, linker: EntityLinker, written: str, wanted: str | None = None) -> Explanation:
    """Explain the answer to the cleaned text, which is the one that is classified; places point into it.

    `wanted`: None for the sentiment that was answered, else one of _FORMS. A topic goes by its id or its name in
    either language, an entity by its id, a name of it, or any words of the text. WindvaneError, as a sentence, on an
    empty text, a wanted of another form, an unknown topic, or an entity that the text does not name.
    """
    text = clean(written)
    if not text:
        raise WindvaneError(
            "expected a text to explain, found an empty one. Give it as an argument, or pipe it in with -."
        )
    if wanted is None or wanted in SENTIMENTS:
        return explainer.explain(text, wanted)
    kind, _, name = wanted.partition(":")
    if kind == "topic" and name:
        return explainer.explain(text, _topic(name))
    if kind == "entity" and name:
        return explainer.explain(text, entity=_mention(linker, text, name))
    raise WindvaneError(f"expected --for {_FORMS}, found {wanted!r}.")


def _topic(name: str) -> str:
    """The id of a topic called so."""
    for topic in TOPICS:
        if name.casefold() in (topic.id, topic.en.casefold(), topic.zh):
            return topic.id
    known = ", ".join(topic.id for topic in TOPICS)
    raise WindvaneError(f"expected a topic of the taxonomy, found {name!r}. There are: {known}.")


def _mention(linker: EntityLinker, text: str, name: str) -> Span:
    """Where the text first names an entity: by the alias table (the name may be another one of it), else literally."""
    mentions = linker.link(text)
    meant = {name, *(m.entity for m in linker.link(name))}
    for m in mentions:
        if m.entity in meant or m.text.casefold() == name.casefold():
            return m.start, m.end
    at = text.find(name)
    if at < 0 and len(lower := text.lower()) == len(text):  # a few letters change their length, and so the places
        at = lower.find(name.lower())
    if at >= 0:
        return at, at + len(name)
    known = ", ".join(f"{m.text} ({m.entity})" for m in mentions) or "none from the table of companies"
    raise WindvaneError(
        f"expected an entity that the text names, found {name!r}. Named in it: {known}; any words of the text will do."
    )


class OnDemand:
    """Why texts that were scored have their sentiment: what the page asks. The model is loaded at the first question,
    and questions wait for each other, so that a page left to itself costs nothing and a busy one takes one turn."""

    def __init__(self, load: Callable[[], Explainer]) -> None:
        self._load = load
        self._explainer: Explainer | None = None
        self._lock = threading.Lock()

    def __call__(self, opinion: Opinion, entity: str | None = None) -> dict[str, Any]:
        """The fields of an Explanation of the text's sentiment, or of an entity's: of its most negative mention, which
        is the one that counts (pipeline.keys.keys_of)."""
        mentions = [m for m in opinion.entities if m.entity == entity]
        worst = max(mentions, key=lambda m: m.sentiment.negative, default=None)
        with self._lock:
            self._explainer = self._explainer or self._load()
            found = self._explainer.explain(document(opinion), entity=(worst.start, worst.end) if worst else None)
        return asdict(found)
