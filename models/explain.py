"""Which words moved an answer: an attribution per word, through the encoder contract alone (both engines, no torch).

The words of a text are players, the log-odds of the answer's calibrated probability the result. A word that is away is
taken out of the tokens; punctuation stays, and so does the mention whose sentiment is asked for. Weights are Shapley
values (models/attribution.py): what a word adds, averaged over the company it may come into. They sum to the log-odds
with all words less the log-odds with none. Why this way, and what it cannot say: docs/explanation.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.answers import Answers
from models.attribution import Attribution, Coalitions, Floats, Game, shapley
from models.batching import CHARACTERS_PER_TOKEN, Tokens, clean, fill, load_tokenizer, pad, token_span
from models.classifier import default_release
from models.contract import Encoder
from models.engines.choose import load_encoder
from models.language import language_of
from models.paired import Model, load_model
from models.registry import Release
from models.taxonomy import SENTIMENTS
from models.words import Word, grouped, words_of
from pipeline.errors import WindvaneError

Span = tuple[int, int]
Kind = Literal["sentiment", "topic", "entity"]
Basis = Literal["mention", "text"]

_HEADS: dict[Kind, str] = {"sentiment": "sentiment", "topic": "topics", "entity": "entity_sentiment"}
_NEAREST = 1e-6  # a probability nearer to 0 or 1 counts as this near: log-odds within ±13.8


@dataclass(frozen=True)
class WordWeight:
    """A word [start, end) of the explained text. `weight`: log-odds it adds to the answer, negative when it speaks
    against. `without`: the answer's probability when this word alone is away."""

    start: int
    end: int
    word: str
    weight: float
    without: float


@dataclass(frozen=True)
class Explanation:
    """Why `answer` has probability `p`. Places are code points into `text`.

    `p_empty`: the answer's probability with every word away; log-odds(p) - log-odds(p_empty) is the weights' sum.
    `probabilities`: of all three sentiments; for a topic, of it alone. `basis`: of an entity's sentiment; "text" when
    the model could not tell and gave the text's, which is then what is explained. `read_to`: what stands after this
    place was not read. `joined`: the text being long, neighbouring words were taken together. `passes`: texts run.
    """

    text: str
    kind: Kind
    answer: str
    p: float
    p_empty: float
    probabilities: dict[str, float]
    entity: Span | None
    basis: Basis | None
    words: tuple[WordWeight, ...]
    read_to: int
    joined: bool
    passes: int
    model_version: str


class Effort(NamedTuple):
    """How far an explanation goes. At most `plays` times `most_words` texts run, whatever the text's length."""

    max_tokens: int = 256  # of a text, as the classifier reads
    budget: int = 512  # tokens of a batch, as in models.classifier.Plan
    most_words: int = 48  # more are joined to groups of neighbours
    plays: int = 8  # texts run per word
    seed: int = 0
    absent: Literal["removed", "masked"] = "removed"  # masked: <unk> in the place of each token of the word


class Asked(NamedTuple):
    """One question to one text, ready to be played: the probability of `label` by the head of `kind`."""

    ids: NDArray[np.int64]
    words: tuple[Word, ...]  # the players
    kind: Kind
    label: int
    language: str  # of the whole text, so that its temperature stays when words go
    place: int  # of the model's part that reads the text, which stays too
    mention: Span | None  # tokens
    basis: Basis | None
    read_to: int
    joined: bool


class Reader:
    """One part of a model as explanations need it."""

    def __init__(self, release: Release, encoder: Encoder, max_tokens: int) -> None:
        self.encoder, self.answers = encoder, Answers(release)
        self.max_tokens = min(max_tokens, release.max_tokens)
        self.tokenizer = load_tokenizer(release.tokenizer_path, self.max_tokens)
        self.padding = int(release.manifest["encoder"].get("pad_token_id", 0))
        named = (self.tokenizer.token_to_id(name) for name in ("<unk>", "[UNK]"))
        self.unknown = next((known for known in named if known is not None), self.padding)


class Explainer:
    """Explains the answers of a model: a text's by the part that reads it. Holds no state between calls."""

    def __init__(self, model: Model, encoders: Sequence[Encoder], effort: Effort = Effort()) -> None:
        """`encoders`: one a part of the model, in their order."""
        self._model, self._effort = model, effort
        pairs = zip(model.parts, encoders, strict=True)
        self._readers = [Reader(part, encoder, effort.max_tokens) for part, encoder in pairs]
        heads = model.parts[0].heads  # the same in all parts
        self._labels: dict[Kind, tuple[str, ...]] = {kind: heads[head].labels for kind, head in _HEADS.items()}

    def explain(self, text: str, target: str | None = None, entity: Span | None = None) -> Explanation:
        """Attribute an answer to the words of `text`.

        `target`: negative, neutral or positive, or a topic's id; None: the sentiment that was answered. `entity`: the
        characters [start, end) of a mention whose sentiment is meant instead of the text's. WindvaneError, as a
        sentence, on a text without words, an unknown target, or a mention that is not in the text.
        """
        asked = self.ask(text, target, entity)
        n = len(asked.words)
        found = shapley(self.game(asked), n, self._effort.plays * n, np.random.default_rng(self._effort.seed))
        whole = self.play(asked, np.ones((1, n), dtype=bool))[0]
        labels = self._labels[asked.kind]
        shown = labels[asked.label : asked.label + 1] if asked.kind == "topic" else labels
        return Explanation(
            text, asked.kind, labels[asked.label],
            p=round(float(whole[asked.label]), 4),
            p_empty=round(float(probability(found.empty)), 4),
            probabilities={label: round(float(whole[labels.index(label)]), 4) for label in shown},
            entity=entity, basis=asked.basis, words=_weighed(text, asked.words, found),
            read_to=asked.read_to, joined=asked.joined, passes=found.plays + 1, model_version=self._model.version,
        )  # fmt: skip

    def ask(self, text: str, target: str | None = None, entity: Span | None = None) -> Asked:
        """What `explain` plays. Errors as there."""
        if entity is not None and not 0 <= entity[0] < entity[1] <= len(text):
            raise WindvaneError(f"expected a mention within the text's {len(text)} characters, found {entity}.")
        place = self._model.place_of(text)
        reader = self._readers[place]
        encoding = reader.tokenizer.encode(clean(text, reader.max_tokens))
        offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        cut = bool(encoding.overflowing) or len(text) > reader.max_tokens * CHARACTERS_PER_TOKEN
        mention = token_span(offsets, entity) if entity else None
        ids, language = np.array(encoding.ids, dtype=np.int64), language_of(text)
        hidden = reader.encoder(*pad([encoding.ids], reader.padding))[0, : len(ids)]
        answered = reader.answers.of(hidden, Tokens(encoding.ids, (mention,) if entity else ()), language)
        basis = answered.spans[0].basis if entity else None
        sentiment = answered.spans[0].p if basis == "mention" else answered.sentiment
        kind, label = self._target(target, int(np.argmax(sentiment)), basis)
        kept = mention if kind == "entity" else None
        words = [w for w in words_of(text, encoding.offsets) if kept is None or not _within(w, kept)]
        if not words and kept is None:
            raise WindvaneError(f"expected a text with at least one word, found {text[:40]!r}. Give the text itself.")
        most = self._effort.most_words
        return Asked(ids, tuple(grouped(words, most)), kind, label, language, place, kept, basis,
                     int(offsets[:, 1].max(initial=0)) if cut else len(text), len(words) > most)  # fmt: skip

    def game(self, asked: Asked) -> Game:
        """The log-odds of the asked label, for models.attribution."""
        return lambda coalitions: log_odds(self.play(asked, coalitions)[:, asked.label])

    def play(self, asked: Asked, coalitions: Coalitions) -> Floats:
        """Calibrated probabilities [M, labels] of the asked head, with the words of each of M coalitions there."""
        reader = self._readers[asked.place]
        rows, mentions = zip(*(self._row(asked, present) for present in coalitions), strict=True)
        result = np.empty((len(rows), len(self._labels[asked.kind])))
        for batch in fill([len(row) for row in rows], self._effort.budget):
            ids, mask = pad([rows[i] for i in batch], reader.padding)
            for i, hidden in zip(batch, reader.encoder(ids, mask), strict=True):
                head = _HEADS[asked.kind]
                result[i] = reader.answers.shares(head, hidden[: len(rows[i])], mentions[i], asked.language)
        return result

    def _row(self, asked: Asked, present: NDArray[np.bool_]) -> tuple[list[int], Span | None]:
        """The token ids with some words away, and where the mention stands then."""
        away = [t for word, here in zip(asked.words, present, strict=True) if not here for t in word.tokens]
        if self._effort.absent == "masked":
            ids = asked.ids.copy()
            ids[away] = self._readers[asked.place].unknown
            return ids.tolist(), asked.mention
        kept = np.ones(len(asked.ids), dtype=bool)
        kept[away] = False
        row: list[int] = asked.ids[kept].tolist()
        if asked.mention is None:
            return row, None
        start, end = asked.mention
        return row, (int(kept[:start].sum()), int(kept[:end].sum()))

    def _target(self, target: str | None, answered: int, basis: Basis | None) -> tuple[Kind, int]:
        """(kind, place of the label) of what is asked."""
        topics = self._labels["topic"]
        if target in topics and basis is None:
            return "topic", topics.index(target)
        if target is not None and target not in SENTIMENTS:
            raise WindvaneError(f"expected one of {', '.join(SENTIMENTS)} or a topic ({', '.join(topics)}), "
                                f"found {target!r}.")  # fmt: skip
        label = answered if target is None else SENTIMENTS.index(target)
        return ("entity" if basis == "mention" else "sentiment"), label


def load_explainer(
    path: Path | str | None = None, engine: str = "auto", precision: str = "auto", threads: int = 0,
    cache_dir: Path | None = None,
) -> Explainer:  # fmt: skip
    """An explainer of a model's folder (None: the one that ships); arguments and errors as `load_classifier`."""
    model = load_model(path or default_release())
    return Explainer(model, [load_encoder(part, engine, precision, threads, cache_dir).encoder for part in model.parts])


def log_odds(p: Floats) -> Floats:
    """log(p / (1 - p)) of probabilities, none taken as nearer than one in a million to 0 or 1."""
    clipped = np.clip(p, _NEAREST, 1 - _NEAREST)
    return np.asarray(np.log(clipped / (1 - clipped)), dtype=np.float64)


def probability(log_odds: float | Floats) -> Floats:
    """The way back from log-odds."""
    return np.asarray(0.5 * (1 + np.tanh(np.asarray(log_odds) / 2)), dtype=np.float64)


def _within(word: Word, mention: Span) -> bool:
    return any(mention[0] <= token < mention[1] for token in word.tokens)


def _weighed(text: str, words: tuple[Word, ...], found: Attribution) -> tuple[WordWeight, ...]:
    without = probability(found.without)
    return tuple(
        WordWeight(w.start, w.end, text[w.start : w.end], round(float(weight), 4), round(float(p), 4))
        for w, weight, p in zip(words, found.weights, without, strict=True)
    )
