"""A release with the same answers and a smaller vocabulary: only the pieces that texts like the given ones need.

    python -m models.cut_vocabulary --release models/released/windvane-zh-en-3 --out /tmp/zh --name windvane-zh-4 \
        --texts ../shared/data/zh_*/*.jsonl ../shared/data/streams/guba*.jsonl

Half of a small multilingual encoder's bytes are word embeddings. Of a Unigram vocabulary these pieces stay: special
ones, those with a Han character, those of one character, Latin ones of up to LETTERS letters (so that every word can
still be spelt), and every piece that the texts use. Their rows and scales are taken over as stored, so that a text that
uses no other piece gets bit-identical answers. The release then says that it reads the languages of these texts, and
keeps the scores of their sets. Needs no torch.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.batching import clean, load_tokenizer
from models.classifier import load_classifier
from models.contract import Text
from models.language import language_of, languages_among
from models.narrowing import narrowed
from models.quantise import SCALE
from models.readers import rows
from models.registry import BESIDE, ENCODER, ModelError, Release, load_release
from models.release import folder_bytes, info_of, warn_of_size, write_packed

LOG = logging.getLogger(__name__)
WORDS = f"{ENCODER}embeddings.word_embeddings.weight"
SPACE = "▁"  # begins a word's first piece
LETTERS = 3
FIELDS = ("title", "text")  # of a row: what is read of it
IDS = ("pad_token_id", "bos_token_id", "eos_token_id")
_HAN = re.compile("[㐀-䶿一-鿿]")
_LATIN = re.compile("[A-Za-z]+")
_SPECIAL = re.compile("<[^<>]+>")
_BATCH = 2000


@dataclass(frozen=True)
class Cut:
    """The old ids that stay, ascending: the new id of one is its place here. `size`: of the old vocabulary."""

    kept: NDArray[np.int64]
    size: int

    def new(self, old: int) -> int:
        """The new id of an old one that stays."""
        return int(np.searchsorted(self.kept, old))


def choose(spec: dict[str, Any], used: set[int], needed: Iterable[int], letters: int = LETTERS) -> Cut:
    """Which pieces of a tokenizer.json stay: those used or needed by id, and those the module's docstring names."""
    vocabulary = spec["model"]["vocab"]
    special = {spec["model"]["unk_id"], *needed, *(token["id"] for token in spec["added_tokens"]), *_ids_in(spec)}
    kept = [i for i, (piece, _) in enumerate(vocabulary) if i in used or i in special or _always(piece, letters)]
    return Cut(np.array(kept, dtype=np.int64), len(vocabulary))


def _always(piece: str, letters: int) -> bool:
    bare = piece.removeprefix(SPACE)
    latin = len(bare) <= letters and _LATIN.fullmatch(bare)
    return bool(len(bare) <= 1 or latin or _HAN.search(bare) or _SPECIAL.fullmatch(piece))


def cut_tokenizer(spec: dict[str, Any], cut: Cut) -> dict[str, Any]:
    """A tokenizer.json with the kept pieces in their order, and every id in it renumbered."""
    model = spec["model"] | {
        "vocab": [spec["model"]["vocab"][old] for old in cut.kept],
        "unk_id": cut.new(spec["model"]["unk_id"]),
    }
    added = [token | {"id": cut.new(token["id"])} for token in spec["added_tokens"]]
    padding = spec.get("padding") and spec["padding"] | {"pad_id": cut.new(spec["padding"]["pad_id"])}
    processor = _renumbered(spec.get("post_processor"), cut)
    return spec | {"model": model, "added_tokens": added, "padding": padding, "post_processor": processor}


def _renumbered(processor: Any, cut: Cut) -> Any:
    """A post-processor with new ids: a template's, BERT's or RoBERTa's, or a sequence of such."""
    if processor is None:
        return None
    changed = dict(processor)
    if processor["type"] == "Sequence":
        changed["processors"] = [_renumbered(inner, cut) for inner in processor["processors"]]
    if processor["type"] == "TemplateProcessing":
        changed["special_tokens"] = {
            name: token | {"ids": [cut.new(old) for old in token["ids"]]}
            for name, token in processor["special_tokens"].items()
        }
    changed |= {key: [processor[key][0], cut.new(processor[key][1])] for key in ("sep", "cls") if key in processor}
    return changed


def _ids_in(spec: dict[str, Any]) -> Iterator[int]:
    """Every id that a tokenizer.json names outside its vocabulary."""
    if spec.get("padding"):
        yield spec["padding"]["pad_id"]
    waiting = [spec["post_processor"]] if spec.get("post_processor") else []
    while waiting:
        processor = waiting.pop()
        waiting += processor.get("processors", [])
        for token in processor.get("special_tokens", {}).values():
            yield from token["ids"]
        yield from (processor[key][1] for key in ("sep", "cls") if key in processor)


def used_by(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int) -> set[int]:
    """The ids of every piece that the texts use, read as the product reads them but not cut at `max_tokens`."""
    tokenizer.no_truncation()
    used: set[int] = set()
    for start in range(0, len(texts), _BATCH):
        batch = [clean(text, max_tokens) for text in texts[start : start + _BATCH]]
        for encoding in tokenizer.encode_batch_fast(batch):
            used.update(encoding.ids)
    return used


def cut_release(release: Release, texts: Sequence[str], out: Path, name: str = "", letters: int = LETTERS) -> Release:
    """Write the release with the vocabulary that `texts` need into `out` and return it; `name`: "" for that of the old
    one. It reads those languages of the old one that the texts are in. ModelError when there is none, or when its
    tokenizer is no Unigram or knows other ids than the embeddings have rows."""
    found = languages_among(language_of(text) for text in texts)
    languages = [language for language in found if language in release.languages]
    if not languages:
        raise ModelError(f"expected texts in {' or '.join(release.languages)}, which {release.folder} reads, found "
                         f"{' and '.join(found) or 'none'}. Give texts like those it will read.")  # fmt: skip
    content = {file: json.loads((release.folder / file).read_text(encoding="utf-8")) for file in BESIDE}
    config, spec = content["config.json"], content["tokenizer.json"]
    kind = spec["model"].get("type")
    if kind != "Unigram":
        raise ModelError(f"expected a Unigram tokenizer in {release.folder}, found {kind}: its pieces depend on each "
                         "other, so none can be taken out. Train on an encoder with a smaller vocabulary.")  # fmt: skip
    packed = release.packed()
    if len(packed[WORDS]) != len(spec["model"]["vocab"]):
        raise ModelError(f"expected as many word embeddings as pieces in {release.folder}, found {len(packed[WORDS])} "
                         f"and {len(spec['model']['vocab'])}. Release the model again.")  # fmt: skip
    named = {key: config[key] for key in IDS if isinstance(config.get(key), int)}
    used = used_by(load_tokenizer(release.tokenizer_path, release.max_tokens), texts, release.max_tokens)
    cut = choose(spec, used, named.values(), letters)
    for tensor in (WORDS, WORDS + SCALE):
        if tensor in packed:
            packed[tensor] = np.ascontiguousarray(packed[tensor][cut.kept])
    config |= {"vocab_size": len(cut.kept)} | {key: cut.new(old) for key, old in named.items()}
    beside = {"config.json": json.dumps(config, ensure_ascii=False, indent=1) + "\n",
              "tokenizer.json": json.dumps(cut_tokenizer(spec, cut), ensure_ascii=False)}  # fmt: skip
    info = info_of(release)
    facts = {"pieces": len(cut.kept), "of": cut.size, "used": len(used), "texts": len(texts)}
    info = replace(narrowed(info, languages), name=name or info.name, training=info.training | {"vocabulary": facts})
    small = write_packed(out, packed, beside, info)
    warn_of_size(out)
    return small


def check(before: Release, after: Release, texts: Sequence[str]) -> int:
    """How many of the texts were compared: each is made of the same pieces and gets the same prediction, bit for bit.
    ModelError names the first that is not."""
    pieces = [
        [encoding.tokens for encoding in load_tokenizer(release.tokenizer_path, release.max_tokens).encode_batch(
            [clean(text, release.max_tokens) for text in texts])]
        for release in (before, after)
    ]  # fmt: skip
    answers = []
    for release in (before, after):
        classifier = load_classifier(release.folder, engine="onnxruntime")
        answers.append(classifier.predict([Text(text) for text in texts]))
        classifier.close()
    for text, *four in zip(texts, *pieces, *answers, strict=True):
        if four[0] != four[1] or four[2] != four[3]:
            raise ModelError(f"expected equal pieces and answers of {before.folder} and {after.folder}, found others "
                             f"for {text[:60]!r}. Do not use {after.folder}.")  # fmt: skip
    return len(texts)


def texts_in(files: Iterable[Path]) -> list[str]:
    """Every different title and text of files as models/readers.py reads them. DataError when one cannot be read."""
    found = (row.fields.get(field) for file in files for row in rows(str(file)) for field in FIELDS)
    return list(dict.fromkeys(text for text in found if isinstance(text, str) and text.strip()))


def main() -> None:
    """Command line: a release, texts like those it will read, and where the smaller one goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=Path, required=True)
    parser.add_argument("--texts", type=Path, nargs="+", required=True, help='JSON Lines or CSV with "text"')
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="", help="of the new release; default: that of the old one")
    parser.add_argument("--letters", type=int, default=LETTERS, help="Latin pieces of up to so many letters stay")
    parser.add_argument("--sample", type=int, default=500, help="texts whose answers are compared")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    texts = texts_in(given.texts)
    release = load_release(given.release)
    small = cut_release(release, texts, given.out, given.name, given.letters)
    facts = small.manifest["training"]["vocabulary"]
    LOG.info("%d texts use %d pieces; %d of %d stay", *(facts[key] for key in ("texts", "used", "pieces", "of")))
    LOG.info("%.1f MB, was %.1f MB", folder_bytes(small.folder) / 1e6, folder_bytes(release.folder) / 1e6)
    same = check(release, small, texts[:: max(1, len(texts) // max(1, given.sample))][: given.sample])
    LOG.info("%s: equal pieces and answers on %d texts", small.version, same)


if __name__ == "__main__":
    main()
