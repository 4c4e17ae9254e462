"""What does each technique give? The same small training once for each, on the same data with the same steps.

    python -m models.ablate models/configs/ablation.toml --techniques r_drop fgm lora --seeds 20 21 --out runs/ablation

A run that is finished is not run again, so that a stopped ablation goes on. The table goes to standard output.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from models.runs import FINISHED, RECORD, read_record, scores_of
from models.settings import ConfigError, TrainConfig, load_config

PLAIN = "plain"
# What each technique changes of the configuration; "no ..." takes away one that is on by default.
TECHNIQUES: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "r_drop": {"r_drop": 1.0},
    "fgm": {"fgm": 0.5},
    "lora": {"lora": 16},
    "class_weights": {"class_weights": True},
    "token_dropout": {"token_dropout": 0.1},
    "accumulate": {"accumulate": 2, "repeats": 2},  # batches twice as large in as many steps, on twice the texts
    "no averaging": {"ema": 0.0},
    "no smoothing": {"smoothing": 0.0},
    "no layer_decay": {"layer_decay": 1.0},
    "no warmup": {"warmup": 0.0},
    "embeddings learn": {"freeze_embeddings": False},
}
Outcome = dict[str, Any]  # a finished run's record


def ablate(config: TrainConfig, techniques: Sequence[str], seeds: Sequence[int], out: Path) -> dict[str, list[Outcome]]:
    """Train once a technique and seed -> the finished records, by technique, in the order of `techniques` after
    "plain". ConfigError on a technique that is not known."""
    from models.train import train

    outcomes: dict[str, list[Outcome]] = {}
    for technique in [PLAIN, *(name for name in techniques if name != PLAIN)]:
        for seed in seeds:
            given = replace(changed(config, technique), seed=seed, name=f"{technique} {seed}")
            given = replace(given, work=str(out / given.name.replace(" ", "-")))
            if not is_done(given):
                train(given)
            outcomes.setdefault(technique, []).append(read_record(Path(given.work) / RECORD))
    return outcomes


def changed(config: TrainConfig, technique: str) -> TrainConfig:
    """The configuration with a technique put in (or taken away): a name of TECHNIQUES, or `key=value` in TOML."""
    if technique in TECHNIQUES:
        changes = dict(TECHNIQUES[technique])
    elif "=" in technique:
        key, _, value = technique.partition("=")
        changes = {key.strip(): _value(value)}
    else:
        raise ConfigError(f"no technique is called {technique!r}; known are {', '.join(TECHNIQUES)}, or KEY=VALUE.")
    rounds = changes.pop("repeats", 1) if isinstance(changes.get("repeats"), int) else 1
    try:
        return replace(config, **changes, repeats={name: value * rounds for name, value in config.repeats.items()})
    except TypeError as error:
        raise ConfigError(f"{technique!r} is not a setting of a training configuration: {error}.") from error


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def is_done(config: TrainConfig) -> bool:
    """Is there a finished run of exactly this configuration?"""
    file = Path(config.work) / RECORD
    if not file.is_file():
        return False
    record = read_record(file)
    return record.get("state") == FINISHED and record["config"] == config.as_dict()


def table(outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """Markdown: a row a technique, a column a score of the kept weights (means over seeds), the mean of all scores with
    what it is better than plain by, and the cost. With several seeds, the spread of the mean is given: a difference
    below it says nothing."""
    names = list(scores_of(outcomes[PLAIN][0]["validation"][-1]))
    head = ["technique", *names, "mean", "gain", "steps", "tokens", "minutes"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    base = mean(_means(outcomes[PLAIN]))
    for technique, runs in outcomes.items():
        scores = [scores_of(run["validation"][-1]) for run in runs]
        of_set = [f"{mean(score[name] for score in scores):.4f}" for name in names]
        means = _means(runs)
        spread = f" ± {(max(means) - min(means)) / 2:.4f}" if len(means) > 1 else ""
        gain = "" if technique == PLAIN else f"{mean(means) - base:+.4f}"
        cost = [
            f"{mean(run['steps'] for run in runs):.0f}",
            f"{mean(run['tokens'] for run in runs) / 1e6:.2f} M",
            f"{mean(run['seconds'] for run in runs) / 60:.1f}",
        ]
        lines.append("| " + " | ".join([technique, *of_set, f"{mean(means):.4f}{spread}", gain, *cost]) + " |")
    return "\n".join(lines)


def _means(runs: Sequence[Outcome]) -> list[float]:
    """The mean of all scores, for each run."""
    return [mean(scores_of(run["validation"][-1]).values()) for run in runs]


def main() -> None:
    """Command line: a training configuration, the techniques to try, the seeds, and what part of the rounds to take."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--techniques", nargs="*", default=[name for name in TECHNIQUES if name != PLAIN],
                        help=f"of {', '.join(TECHNIQUES)}, or KEY=VALUE; default: all")  # fmt: skip
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[20])
    parser.add_argument("--share", type=float, default=1.0, help="of the configuration's rounds over each set")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    config = load_config(given.config, data=given.data, work="")
    config = replace(config, repeats={name: rounds * given.share for name, rounds in config.repeats.items()})
    sys.stdout.write(table(ablate(config, given.techniques, given.seeds, given.out)) + "\n")


if __name__ == "__main__":
    main()
