"""The released classifier: texts in, calibrated predictions out, order kept.

One encoder pass gives every answer. Around it: what was seen lately is answered from memory, a text that is asked
for twice runs once, tokens are prepared on a second thread while the encoder runs, and batches hold texts of similar
length up to a number of tokens. A text's answer does not depend on any of this (docs/decisions/0002).
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from models.answers import Answers
from models.batching import Tokens, fill, in_chunks, load_tokenizer, pad, tokenise
from models.contract import Encoder, Prediction, Text
from models.engines.choose import Loaded, load_encoder
from models.language import language_of
from models.paired import Model, Pair, load_model
from models.registry import ModelError, Release

RELEASED = Path(__file__).parent / "released"


class Plan(NamedTuple):
    """How texts are cut and batched."""

    max_tokens: int = 256  # of a text, special tokens included; the rest is not read
    budget: int = 512  # tokens of a batch: enough for full speed, few enough to stay in the processor's cache
    chunk: int = 256  # texts tokenised ahead and sorted together
    remember: int = 20_000  # answers kept, about 1 kB each


class ReleasedClassifier:
    """models.contract.Classifier over a release and an encoder. Calls from several threads wait for each other."""

    def __init__(self, release: Release, encoder: Encoder, plan: Plan = Plan(), reason: str = "") -> None:
        self.version = release.version
        self._encoder, self._answers = encoder, Answers(release)
        self._plan = plan._replace(max_tokens=min(plan.max_tokens, release.max_tokens))
        self._tokenizer = load_tokenizer(release.tokenizer_path, self._plan.max_tokens)
        self._padding = int(release.manifest["encoder"].get("pad_token_id", 0))
        self._recent: OrderedDict[bytes, Prediction] = OrderedDict()
        self._lock = threading.Lock()
        self._ahead = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokenise")
        self.description = f"{release.version} on {encoder.name}" + (f" ({reason})" if reason else "")

    def predict(self, texts: Sequence[Text]) -> list[Prediction]:
        """One prediction per text, in order; see models.contract.Classifier."""
        keys = [_key(text) for text in texts]
        with self._lock:
            known = {key: self._recent[key] for key in keys if key in self._recent}
            waiting = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
            known.update(zip(waiting, self._run(list(waiting.values())), strict=True))
            self._remember(known)
        return [known[key] for key in keys]

    def close(self) -> None:
        """Stop the tokenising thread."""
        self._ahead.shutdown()

    def _run(self, texts: list[Text]) -> Iterator[Prediction]:
        """Predictions in order; the next chunk is tokenised while this one is in the encoder."""
        chunks = list(in_chunks(texts, self._plan.chunk))
        if not chunks:
            return
        coming = self._ahead.submit(self._tokenise, chunks[0])
        for i, chunk in enumerate(chunks):
            tokens = coming.result()
            if i + 1 < len(chunks):
                coming = self._ahead.submit(self._tokenise, chunks[i + 1])
            yield from self._encode(chunk, tokens)

    def _tokenise(self, texts: Sequence[Text]) -> list[Tokens]:
        return tokenise(self._tokenizer, texts, self._plan.max_tokens)

    def _encode(self, texts: Sequence[Text], tokens: list[Tokens]) -> list[Prediction]:
        results = [self._answers.nothing(len(text.spans)) for text in texts]
        full = [i for i, text in enumerate(texts) if text.text.strip()]
        for batch in fill([len(tokens[i].ids) for i in full], self._plan.budget):
            places = [full[at] for at in batch]
            ids, mask = pad([tokens[i].ids for i in places], self._padding)
            for row, i in zip(self._encoder(ids, mask), places, strict=True):
                hidden = row[: len(tokens[i].ids)]
                results[i] = self._answers.of(hidden, tokens[i], language_of(texts[i].text))
        return results

    def _remember(self, answers: dict[bytes, Prediction]) -> None:
        """Keep the newest answers; the oldest go."""
        for key, answer in answers.items():
            self._recent[key] = answer
            self._recent.move_to_end(key)
        while len(self._recent) > self._plan.remember:
            self._recent.popitem(last=False)


class PairedClassifier:
    """models.contract.Classifier over a pair: each text goes to the classifier of its language. They run one after
    the other, so that each has all threads."""

    def __init__(self, pair: Pair, classifiers: Sequence[ReleasedClassifier]) -> None:
        """`classifiers`: one a part, in the pair's order."""
        self.version = pair.version
        self._pair, self._classifiers = pair, classifiers
        told = (f"{language}: {one.description}" for language, one in zip(pair.languages, classifiers, strict=True))
        self.description = f"{pair.version} ({'; '.join(told)})"

    def predict(self, texts: Sequence[Text]) -> list[Prediction]:
        """One prediction per text, in order; see models.contract.Classifier."""
        places = [self._pair.place_of(text.text) for text in texts]
        answers: dict[int, Prediction] = {}
        for place, classifier in enumerate(self._classifiers):
            rows = [row for row, at in enumerate(places) if at == place]
            answers.update(zip(rows, classifier.predict([texts[row] for row in rows]), strict=True))
        return [answers[row] for row in range(len(texts))]

    def close(self) -> None:
        """Stop the tokenising threads."""
        for classifier in self._classifiers:
            classifier.close()


def classifier_of(model: Model, loaded: Sequence[Loaded], plan: Plan = Plan()) -> ReleasedClassifier | PairedClassifier:
    """The classifier of a model, with a running encoder for each of its parts, in their order."""
    pairs = zip(model.parts, loaded, strict=True)
    made = [ReleasedClassifier(part, one.encoder, plan, one.reason) for part, one in pairs]
    return PairedClassifier(model, made) if isinstance(model, Pair) else made[0]


def load_classifier(
    path: Path | str | None = None, engine: str = "auto", precision: str = "auto", threads: int = 0,
    cache_dir: Path | None = None,
) -> ReleasedClassifier | PairedClassifier:  # fmt: skip
    """The classifier of a folder (None: the one that ships), a release or a pair of them, on the engine and precision
    that suit this machine or are asked for. `threads`: 0 for one per core. `cache_dir`: where built graphs are kept,
    None for nowhere.

    ModelError, as a sentence, when the folder, engine or precision cannot be used.
    """
    model = load_model(path or default_release())
    loaded = [load_encoder(part, engine, precision, threads, cache_dir) for part in model.parts]
    plan = Plan(budget=16_384, chunk=4096) if loaded[0].on_gpu else Plan()
    return classifier_of(model, loaded, plan)


def default_release(folder: Path = RELEASED) -> Path:
    """The release (or pair) that ships: the last by name. ModelError when there is none."""
    found = sorted(file.parent for file in folder.glob("*/manifest.json"))
    if not found:
        raise ModelError(f"A released model should be in {folder}, but there is none. Check the repository out again, "
                         "or give a folder of your own (model.path, or train one with windvane train).")  # fmt: skip
    return found[-1]


def _key(text: Text) -> bytes:
    """Names a text and the mentions asked for, in 16 bytes."""
    body = text.text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(body + b"\x00" + repr(text.spans).encode(), digest_size=16).digest()
