"""How fast texts are classified, against the usual ways to do the same work, side by side in one run.

    python -m tests.benchmarks.inference [--model DIR] [--texts FILE] [--threads N] [--json]

ours          Classifier.predict with nothing remembered: topics, sentiment and their calibration
per message   two transformers.pipeline calls per text (topics, sentiment), the same encoder in each
batch_size=32 the same two pipelines over the list with batch_size=32
one at a time our onnxruntime encoder, one text a call, pooling and heads left out

All sides see the same texts (JSON Lines with "text"; duplicates dropped). The slow sides run on the first --slow-count
of them, ours also on these few so that the ratio compares like with like. Sides take turns; medians over --rounds.
Ratios are what counts: the figures beside them belong to this machine and to what else it was doing.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from models.batching import load_tokenizer, pad, tokenise
from models.classifier import Plan, classifier_of, default_release
from models.contract import Classifier, Text
from models.engines.choose import load_encoder
from models.paired import Model, load_model
from models.registry import Release
from models.taxonomy import TOPIC_IDS
from tests.benchmarks.machine import machine

Side = Callable[[Sequence[str]], Any]
_SETS = ("en_sent/twitter", "en_sent/sentfin", "zh_sent/finfe", "zh_sent/emm_guba", "zh_topic/finnl_multilabel")
_PACKAGES = ("onnxruntime", "torch", "transformers", "tokenizers", "numpy")


def some_texts(file: Path | None, count: int) -> list[str]:
    """The first `count` different texts of `file`, or of both languages' sets by turns. SystemExit if none."""
    if file:
        lines = [json.loads(line)["text"] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        return list(dict.fromkeys(lines))[:count]
    data = Path(os.environ.get("WINDVANE_DATA", "../shared/data"))
    files = [data / f"{name}.jsonl" for name in _SETS]
    if not all(f.is_file() for f in files):
        raise SystemExit(
            f"Expected texts in {data} (or WINDVANE_DATA), found none. Give a JSON Lines file with --texts."
        )
    columns = [[json.loads(line)["text"] for line in f.open(encoding="utf-8")] for f in files]
    return list(dict.fromkeys(text for row in zip(*columns, strict=False) for text in row))[:count]


def ours(model: Model, precision: str, threads: int) -> Classifier:
    loaded = [load_encoder(part, "onnxruntime", precision, threads) for part in model.parts]
    return classifier_of(model, loaded, Plan(remember=0))


def one_at_a_time(model: Model, precision: str, threads: int) -> Side:
    encoders = [load_encoder(part, "onnxruntime", precision, threads).encoder for part in model.parts]
    tokenizers = [load_tokenizer(part.tokenizer_path, 256) for part in model.parts]

    def run(texts: Sequence[str]) -> None:
        for text in texts:
            at = model.place_of(text)
            encoders[at](*pad([tokenise(tokenizers[at], [Text(text)], 256)[0].ids], 1))

    return run


def by_part(model: Model, sides: Sequence[Side]) -> Side:
    """Each text to the side of the part that reads it, one part after the other."""

    def run(texts: Sequence[str]) -> None:
        for at, side in enumerate(sides):
            if mine := [text for text in texts if model.place_of(text) == at]:
                side(mine)

    return run


def pipelines(release: Release, threads: int) -> tuple[Side, Side]:
    """Two text-classification pipelines on the release's encoder: per message, and with batch_size=32."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast, pipeline

    from models.batches import unknown_id

    if threads:
        torch.set_num_threads(threads)
    raw = load_tokenizer(release.tokenizer_path, 256)
    padding = raw.id_to_token(int(release.manifest["encoder"]["pad_token_id"]))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(release.tokenizer_path), model_max_length=256, pad_token=padding,
        unk_token=raw.id_to_token(unknown_id(raw)),
    )  # fmt: skip
    both = []
    for head in ("topics", "sentiment"):
        settings = release.config
        labels = dict(enumerate(release.heads[head].labels))
        config = AutoConfig.for_model(settings.pop("model_type"), **settings, id2label=labels)
        model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
        state = {k: torch.from_numpy(v) for k, v in release.encoder_state().items()}
        model.base_model.load_state_dict(state, strict=False)
        both.append(pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu"))

    def per_message(texts: Sequence[str]) -> None:
        for text in texts:
            for pipe in both:
                pipe(text, truncation=True)

    def batched(texts: Sequence[str]) -> None:
        for pipe in both:
            pipe(list(texts), batch_size=32, truncation=True)

    return per_message, batched


def measure(sides: dict[str, tuple[Side, Sequence[str]]], rounds: int) -> dict[str, list[float]]:
    """Texts per second of each side in each round; the sides take turns, after one short warm-up."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for run, texts in sides.values():
        run(texts[:8])
    for _ in range(rounds):
        for name, (run, texts) in sides.items():
            start = time.perf_counter()
            run(texts)
            rates[name].append(len(texts) / (time.perf_counter() - start))
    return rates


def agreement(a: Classifier, b: Classifier, texts: Sequence[str]) -> dict[str, float]:
    """Share of texts with the same sentiment, and of topic labels with the same answer."""
    left, right = (c.predict([Text(t) for t in texts]) for c in (a, b))
    same = [np.argmax(x.sentiment) == np.argmax(y.sentiment) for x, y in zip(left, right, strict=True)]
    differing = [len({k for k, _ in x.topics} ^ {k for k, _ in y.topics}) for x, y in zip(left, right, strict=True)]
    return {
        "texts": len(texts),
        "sentiment": float(np.mean(same)),
        "topics_per_label": 1 - float(np.mean(differing)) / len(TOPIC_IDS),
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="release folder; default: the one that ships")
    parser.add_argument("--texts", type=Path, help='JSON Lines with "text"')
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--slow-count", type=int, default=60, help="texts for the slow sides")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0, help="of every side; 0: each side's own default")
    parser.add_argument("--no-pipelines", action="store_true", help="leave out the sides that need torch")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def report(options: argparse.Namespace) -> dict[str, Any]:
    model = load_model(options.model or default_release())
    texts = some_texts(options.texts, options.count)
    few = texts[: options.slow_count]
    classifiers = {precision: ours(model, precision, options.threads) for precision in ("int8", "fp32")}
    sides: dict[str, tuple[Side, Sequence[str]]] = {}
    for precision, classifier in classifiers.items():
        run = _predict(classifier)
        sides[f"ours {precision}, all texts"] = (run, texts)
        sides[f"ours {precision}"] = (run, few)
        sides[f"one at a time {precision}"] = (one_at_a_time(model, precision, options.threads), few)
    if not options.no_pipelines:
        both = zip(*(pipelines(part, options.threads) for part in model.parts), strict=True)
        sides["pipelines per message"], sides["pipelines batch_size=32"] = ((by_part(model, run), few) for run in both)
    rates = measure(sides, options.rounds)
    base = {name: rates[name] for name in rates if not name.startswith("ours")}
    ratios = {
        f"ours {p} / {other}": statistics.median(o / t for o, t in zip(rates[f"ours {p}"], them, strict=True))
        for p in classifiers for other, them in base.items()
    }  # fmt: skip
    tokenizers = [load_tokenizer(part.tokenizer_path, 256) for part in model.parts]
    mean_tokens = float(np.mean([len(tokenise(tokenizers[model.place_of(t)], [Text(t)], 256)[0].ids) for t in texts]))
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**machine(), **versions()},
        "model": model.version,
        "texts": {"all": len(texts), "slow sides": len(few), "mean_tokens": round(mean_tokens, 1)},
        "texts_per_s": {name: round(statistics.median(values), 1) for name, values in rates.items()},
        "ratios": {name: round(value, 2) for name, value in ratios.items()},
        "int8_agrees_with_fp32": agreement(classifiers["int8"], classifiers["fp32"], texts),
    }  # fmt: skip


def _predict(classifier: Classifier) -> Side:
    return lambda texts: classifier.predict([Text(t) for t in texts])


def main() -> None:
    options = arguments()
    found = report(options)
    if options.json:
        json.dump(found, sys.stdout, indent=1)
        print()
        return
    print(f"{found['date']}  {found['model']}\n{found['machine']}\n{found['texts']}")
    for part in ("texts_per_s", "ratios", "int8_agrees_with_fp32"):
        print(f"\n{part}")
        for name, value in found[part].items():
            print(f"  {name:45} {value}")


if __name__ == "__main__":
    main()
