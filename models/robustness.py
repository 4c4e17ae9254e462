"""Does the model's answer hold when a text is written otherwise, and turn when it is negated?

Changes that keep the sense (models/perturb.py) are made to texts of a labelled set; the drop of accuracy and the share
of equal answers are reported. Negation is another question: pairs written for this project
(models/checks/negation.jsonl), each a plain sentence of known sentiment and its negation, whose answer must turn.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data import Example
from models.evaluate import Scored
from models.intervals import Bootstrap, mean_interval
from models.labelled import Labelled
from models.perturb import Perturbation
from models.readings import Reading
from models.taxonomy import SENTIMENTS

Report = dict[str, Any]
Ask = Callable[[Labelled], Scored]
NEGATIONS = Path(__file__).with_name("checks") / "negation.jsonl"
MOST = 1000  # texts of a set that are changed: each change is another pass of the encoder


@dataclass(frozen=True)
class Plan:
    """Which changes to make, to how many texts, and the seed of texts, changes and intervals."""

    changes: Sequence[Perturbation]
    left_out: dict[str, str]  # changes that cannot be made here, and why
    most: int = MOST
    seed: int = 20


def robustness(scored: Scored, ask: Ask, plan: Plan, progress: Callable[[str], None] = lambda _: None) -> Report:
    """Per change {"about", "n", and for each reading "before", "after", "drop", "interval", "agree"}, or {"skipped"};
    "negation" as `negation` gives it. `ask` lets the model answer other texts."""
    examples = scored.given.examples
    rows = sorted(random.Random(plan.seed).sample(range(len(examples)), min(plan.most, len(examples))))
    report: Report = {name: {"skipped": why} for name, why in plan.left_out.items()}
    for change in plan.changes:
        texts = {row: change.of(examples[row].text, plan.seed) for row in rows}
        changed = [row for row in rows if texts[row] != examples[row].text and texts[row].strip()]
        if not changed:
            report[change.name] = {"about": change.about, "skipped": "no text of the set is changed by it"}
            continue
        progress(f"{change.name}: {len(changed)} texts")
        written = [replace(examples[row], text=texts[row], mentions=()) for row in changed]
        after = ask(replace(scored.given, examples=written, sources=()))
        report[change.name] = {"about": change.about, "n": len(changed), **_effects(scored, after, changed, plan.seed)}
    progress("negation")
    return report | {"negation": negation(ask)}


def negation(ask: Ask, file: Path = NEGATIONS) -> Report:
    """Per language: n pairs; `plain`, the share of plain sentences read rightly; `negated`, that of negated ones given
    an accepted answer; `drop` between the two; and `turned`, the share of rightly read ones whose answer changed."""
    pairs = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    plain, negated = (_answers(ask, pairs, key) for key in ("text", "negated"))
    right = np.array([answer == pair["label"] for answer, pair in zip(plain, pairs, strict=True)])
    accepted = np.array([answer in pair["accepted"] for answer, pair in zip(negated, pairs, strict=True)])
    turned = np.array([a != b for a, b in zip(plain, negated, strict=True)])
    report: Report = {"about": "sentences of known sentiment and their negations, written for this project"}
    for language in sorted({pair["lang"] for pair in pairs}):
        of = np.array([pair["lang"] == language for pair in pairs])
        report[language] = {
            "n": int(of.sum()),
            "plain": _share(right[of]),
            "negated": _share(accepted[of]),
            "drop": round(_share(right[of]) - _share(accepted[of]), 4),
            "turned": _share(turned[of & right]),
        }
    return report


def _answers(ask: Ask, pairs: list[dict[str, Any]], key: str) -> list[str]:
    examples = [Example(str(n), pair[key], "negation", pair["lang"]) for n, pair in enumerate(pairs)]
    scored = ask(Labelled("negation", examples))
    return [SENTIMENTS[at] for at in scored.answered.of("sentiment").argmax(1)]


def _effects(before: Scored, after: Scored, rows: list[int], seed: int) -> Report:
    """What the change does to each reading that the set has."""
    found: Report = {}
    for name, whole, new in (("product", before.product(), after.product()), ("own", before.own(), after.own())):
        if whole is None or new is None:
            continue
        old = whole.of(np.isin(whole.rows, rows))
        if len(old.rows) and len(old.rows) == len(new.rows):
            found[name] = _effect(old, new, seed)
    return found


def _effect(old: Reading, new: Reading, seed: int) -> Report:
    was, now = _right(old), _right(new)
    same = old.answer == new.answer
    return {
        "before": _share(was),
        "after": _share(now),
        "drop": round(_share(was) - _share(now), 4),
        "interval": mean_interval(was.astype(np.float64) - now, Bootstrap(seed=seed)),
        "agree": _share(same if same.ndim == 1 else same.all(axis=1)),
    }


def _right(reading: Reading) -> NDArray[np.bool_]:
    """Per text: is every known answer right?"""
    right = reading.answer == reading.gold
    return np.asarray(right if reading.known is None else (right | ~reading.known).all(axis=1), dtype=np.bool_)


def _share(flags: NDArray[np.bool_]) -> float:
    return round(float(flags.mean()), 4) if len(flags) else 0.0
