"""Which way of attributing an answer to words is the most faithful, and what it costs: the deletion test.

    python -m tests.benchmarks.explain [--model DIR] [--data DIR] [--count N] [--sets NAME ...] [--gradients] [--json]

For each text the words are ordered by each method, and the text itself is classified again (as text, by the product's
classifier, which knows nothing of the method) with its most weighty words deleted, and with nothing but these kept, for
1, 5, 10, 20 and 50 % of the words. After DeYoung et al. 2020 (ERASER, https://arxiv.org/abs/1911.03429):

comprehensiveness   mean drop of the answer's probability when the words are deleted: large is faithful
sufficiency         mean drop when only these words are kept: small is faithful
drop at 20 %        of comprehensiveness, the figure for one fifth of the words

Texts: the validation cut, 5 to 60 words. "random": the mean of --draws random orders. Intervals: 95 %, of the
difference to random on the same text, texts drawn anew with replacement. Figures are the model's, times the machine's.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.attribution import Coalitions, Floats, Game, occlusion, shapley
from models.classifier import Plan, classifier_of, default_release
from models.contract import Classifier, Text
from models.data import read_set, split
from models.engines.choose import load_encoder
from models.explain import Asked, Effort, Explainer, probability
from models.paired import load_model
from models.taxonomy import SENTIMENTS
from models.words import Word
from pipeline.errors import WindvaneError

SETS = ("fpb", "twitter", "sentfin", "finfe", "emm_guba", "wwwxmu")
SHARES = (0.01, 0.05, 0.10, 0.20, 0.50)
AT = SHARES.index(0.20)
Weights = NDArray[np.float64]
Method = Callable[[Asked], tuple[Weights, int]]  # -> a weight per word, and how many texts were run


class Case(NamedTuple):
    """A text with its question; `p`: the answer's probability."""

    set: str
    language: str
    text: str
    asked: Asked
    p: float


class Drops(NamedTuple):
    """Of one order of one text's words: probability lost, for each share."""

    deleted: list[float]
    kept: list[float]


def cases(explainer: Explainer, classifier: Classifier, data: Path, sets: Sequence[str], count: int) -> list[Case]:
    """`count` texts of each set's validation cut, drawn with a fixed seed."""
    found = []
    for name in sets:
        examples = split(read_set(data, name))[1]
        kept = 0
        for i in np.random.default_rng(0).permutation(len(examples)):
            text = examples[i].text
            (answer,) = classifier.predict([Text(text)])
            try:
                asked = explainer.ask(text, SENTIMENTS[int(np.argmax(answer.sentiment))])
            except WindvaneError:  # no word in it
                continue
            if not 5 <= len(asked.words) <= 60 or asked.joined:
                continue
            found.append(Case(name, examples[i].language, text, asked, max(answer.sentiment)))
            kept += 1
            if kept == count:
                break
    return found


def without(text: str, words: Sequence[Word]) -> str:
    """The text with some words deleted, and its spaces closed up."""
    for word in sorted(words, key=lambda w: -w.start):
        text = text[: word.start] + text[word.end :]
    return " ".join(text.split())


def drops(case: Case, orders: Sequence[NDArray[np.int64]], classifier: Classifier) -> list[Drops]:
    """What deleting and keeping the first words of each order costs."""
    words = case.asked.words
    texts = []
    for order in orders:
        for share in SHARES:
            chosen = {int(i) for i in order[: int(np.ceil(share * len(words)))]}
            texts.append(without(case.text, [w for i, w in enumerate(words) if i in chosen]))
            texts.append(without(case.text, [w for i, w in enumerate(words) if i not in chosen]))
    lost = [case.p - a.sentiment[case.asked.label] for a in classifier.predict([Text(t) for t in texts])]
    rows = np.array(lost).reshape(len(orders), len(SHARES), 2)
    return [Drops(row[:, 0].tolist(), row[:, 1].tolist()) for row in rows]


def methods(removed: Explainer, masked: Explainer) -> dict[str, Method]:
    """The ways that need the encoder contract alone. A coalition that two of them play is run once."""
    played: dict[tuple[int, int, bytes], float] = {}

    def game_of(explainer: Explainer, asked: Asked) -> Game:
        inner = explainer.game(asked)

        def game(coalitions: Coalitions) -> Floats:
            keys = [(id(explainer), id(asked), row.tobytes()) for row in coalitions]
            new = [i for i, key in enumerate(keys) if key not in played]
            if new:
                played.update(zip((keys[i] for i in new), inner(coalitions[new]).tolist(), strict=True))
            return np.array([played[key] for key in keys])

        return game

    def leave_one_out(explainer: Explainer) -> Method:
        def run(asked: Asked) -> tuple[Weights, int]:
            found = occlusion(game_of(explainer, asked), len(asked.words))
            return found.weights, found.plays

        return run

    def sampled(explainer: Explainer, plays: int, on_probability: bool = False) -> Method:
        def run(asked: Asked) -> tuple[Weights, int]:
            game = game_of(explainer, asked)
            result: Game = (lambda c: probability(game(c))) if on_probability else game
            found = shapley(result, len(asked.words), plays * len(asked.words), np.random.default_rng(0))
            return found.weights, found.plays

        return run

    return {
        "leave one out, removed": leave_one_out(removed),
        "leave one out, masked": leave_one_out(masked),
        "Shapley 2n, removed": sampled(removed, 2),
        "Shapley 4n, removed": sampled(removed, 4),
        "Shapley 8n, removed": sampled(removed, 8),
        "Shapley 8n, removed, of probabilities": sampled(removed, 8, on_probability=True),
        "Shapley 4n, masked": sampled(masked, 4),
    }


def measure(found: Sequence[Case], ways: dict[str, Method], classifier: Classifier, draws: int) -> dict[str, Any]:
    """Per method: drops of each text and texts run. `random` has the mean of its draws."""
    rng = np.random.default_rng(1)
    rows: dict[str, dict[str, list[Any]]] = {name: {"drops": [], "plays": []} for name in (*ways, "random")}
    for number, case in enumerate(found, 1):
        orders = []
        for name, way in ways.items():
            weights, plays = way(case.asked)
            rows[name]["plays"].append(plays)
            orders.append(np.argsort(-weights, kind="stable"))
        orders += [rng.permutation(len(case.asked.words)) for _ in range(draws)]
        lost = np.array(drops(case, orders, classifier))  # [orders, 2, shares]
        for name, row in zip(ways, lost, strict=False):
            rows[name]["drops"].append(row)
        rows["random"]["drops"].append(lost[len(ways) :].mean(axis=0))
        if number % 5 == 0:
            print(f"{number} of {len(found)} texts", file=sys.stderr, flush=True)
    return rows


def interval(values: NDArray[np.float64], rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of the mean, by drawing the texts again."""
    means = values[rng.integers(0, len(values), (2000, len(values)))].mean(axis=1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))


def table(rows: dict[str, Any], chosen: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """One line a method over the chosen texts."""
    rng = np.random.default_rng(2)
    chance = np.array(rows["random"]["drops"])[chosen]
    lines = []
    for name, row in rows.items():
        lost = np.array(row["drops"])[chosen]
        more = lost[:, 0, AT] - chance[:, 0, AT]
        low, high = interval(more, rng)
        lines.append({
            "method": name,
            "comprehensiveness": round(float(lost[:, 0].mean()), 3),
            "sufficiency": round(float(lost[:, 1].mean()), 3),
            "drop_at_20": round(float(lost[:, 0, AT].mean()), 3),
            "ratio_to_random": round(float(lost[:, 0, AT].mean() / chance[:, 0, AT].mean()), 2),
            "more_than_random": [round(x, 3) for x in (float(more.mean()), low, high)],
            "plays": round(float(np.mean(np.array(row["plays"])[chosen])), 1) if row["plays"] else 0,
        })  # fmt: skip
    return lines


def cost(explainer: Explainer, texts: Sequence[str]) -> dict[str, float]:
    """Of one explanation, as the product makes it: medians of texts run, processor time and time on the clock."""
    rows = []
    for text in texts:
        processor, clock = time.process_time(), time.perf_counter()
        passes = explainer.explain(text).passes
        rows.append((passes, 1000 * (time.process_time() - processor), 1000 * (time.perf_counter() - clock)))
    return dict(zip(("texts_run", "cpu_ms", "ms"), np.median(rows, axis=0).round().tolist(), strict=True))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="release folder; default: the one that ships")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("WINDVANE_DATA", "../shared/data")))
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--count", type=int, default=20, help="texts of each set")
    parser.add_argument("--draws", type=int, default=10, help="random orders of each text")
    parser.add_argument("--methods", nargs="+", help="only those whose name begins so")
    parser.add_argument("--gradients", action="store_true", help="also gradient methods; needs torch")
    parser.add_argument("--cost", type=int, default=0, help="also time so many explanations")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def report(options: argparse.Namespace) -> dict[str, Any]:
    model = load_model(options.model or default_release())
    loaded = [load_encoder(part, "onnxruntime", "auto", options.threads) for part in model.parts]
    encoders = [one.encoder for one in loaded]
    removed, masked = (Explainer(model, encoders, Effort(most_words=60, absent=a)) for a in ("removed", "masked"))
    classifier = classifier_of(model, loaded, Plan(remember=5000))
    ways = methods(removed, masked)
    if options.gradients:
        from tests.benchmarks.explain_gradients import gradient_methods

        ways |= gradient_methods(model)
    if options.methods:
        ways = {name: way for name, way in ways.items() if name.startswith(tuple(options.methods))}
    found = cases(removed, classifier, options.data, options.sets, options.count)
    rows = measure(found, ways, classifier, options.draws)
    languages = np.array([c.language for c in found])
    parts = {"all": np.ones(len(found), dtype=bool)} | {x: languages == x for x in np.unique(languages)}
    return {
        "model": model.version,
        "encoder": encoders[0].name,
        "words": {k: round(float(np.mean([len(c.asked.words) for c, m in zip(found, v, strict=True) if m])), 1)
                  for k, v in parts.items()},
        "texts": {k: int(v.sum()) for k, v in parts.items()},
        "tables": {k: table(rows, v) for k, v in parts.items()},
        # [texts][deleted, kept][share]
        "drops": {name: np.round(row["drops"], 4).tolist() for name, row in rows.items()},
        "cost": cost(Explainer(model, encoders), [c.text for c in found[:: len(found) // options.cost]])
        if options.cost else {},
    }  # fmt: skip


def main() -> None:
    found = report(arguments_ := arguments())
    if arguments_.json:
        json.dump(found, sys.stdout, indent=1)
        print()
        return
    print(f"{found['model']} on {found['encoder']}")
    if found["cost"]:
        print(f"an explanation: {found['cost']}")
    for part, lines in found["tables"].items():
        print(f"\n{part}: {found['texts'][part]} texts of {found['words'][part]} words on average")
        print("| method | drop at 20 % | × random | more than random (95 %) | compr. | suff. | texts run |")
        print("|---" * 7 + "|")
        for x in lines:
            mean, low, high = x["more_than_random"]
            more = f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
            figures = f"{x['drop_at_20']:.3f} | {x['ratio_to_random']:.2f} | {more} | {x['comprehensiveness']:.3f}"
            print(f"| {x['method']} | {figures} | {x['sufficiency']:.3f} | {x['plays']:.0f} |")


if __name__ == "__main__":
    main()
