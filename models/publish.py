"""From trained weights to a released model: quantise, calibrate, score what ships, write the card.

    python -m models.publish --work build/train --out models/released/windvane-zh-en-2

Everything is fitted and measured on the int8 weights multiplied out, since those are what users run.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from models.calibrate import calibrated, fit_floor, fit_temperature, fit_thresholds
from models.contract import Encoder
from models.data import Example, read_set, split
from models.evaluate import Judged, baseline_scores, evaluate_release, table
from models.heads import MULTILABEL
from models.metrics import Floats
from models.network import NetworkEncoder
from models.registry import ENCODER, Release, load_release
from models.release import HEAD_SPECS, ReleaseInfo, seal, write_release
from models.score import score
from models.settings import TrainConfig
from models.sources import SOURCES
from models.taxonomy import TOPIC_IDS

LOG = logging.getLogger(__name__)
Temperatures = dict[str, dict[str, float]]
State = Mapping[str, NDArray[np.float32]]


def publish(work: Path, out: Path, config: TrainConfig) -> Release:
    """Release the trained weights in `work` into `out`: see the numbered steps. Returns the verified release."""
    run = json.loads((work / "run.json").read_text(encoding="utf-8"))
    # 1 int8 weights in the release's own format, heads not yet calibrated
    facts = training_facts(run)
    info = ReleaseInfo(config.name, trained_on=trained_on(config, facts["before"]), training=facts)
    trained = load_file(work / "trained.safetensors")
    release = write_release(out, trained, Path(config.encoder), info)
    # 2 raw answers on the validation cut, from the shipped weights
    encoder = NetworkEncoder(str(out), release.encoder_state())
    judged = judge(release, encoder, config)
    # 3 calibration
    info = replace(info, **calibrate(judged))
    seal(out, info)
    # 4 scores, beside the baseline (kept in the work folder: it takes minutes and does not change)
    kept = work / "baseline.json"
    if not kept.exists():
        kept.write_text(json.dumps(baseline_scores(Path(config.data), LOG.info), ensure_ascii=False), encoding="utf-8")
    baselines = json.loads(kept.read_text(encoding="utf-8"))
    reports = evaluate_release(load_release(out), encoder, Path(config.data), LOG.info, judged)
    # 5 what quantisation cost, the card, the manifest
    metrics = {
        "sets": reports,
        "table": table(reports, baselines),
        "baseline": {name: {k: v for k, v in r.items() if k != "classes"} for name, r in baselines.items()},
        "quantisation": quantisation_cost(release, trained, judged),
    }
    LOG.info("scores\n%s", metrics["table"])
    seal(out, replace(info, metrics=metrics))
    return load_release(out)


def judge(release: Release, encoder: Encoder, config: TrainConfig) -> Judged:
    """Logits on the validation cut of every set trained on."""
    judged = {}
    for name in config.sets():
        LOG.info("scoring %s", name)
        examples = split(read_set(Path(config.data), name))[1]
        judged[name] = (examples, score(release, encoder, examples))
    return judged


def calibrate(judged: Judged) -> dict[str, Any]:
    """Temperatures per head and language, thresholds per topic, floors: ReleaseInfo's fields of those names."""
    temperatures: Temperatures = {}
    for head, spec in HEAD_SPECS.items():
        for language in ("en", "zh"):
            logits, gold, weight = gather(judged, head, language)
            if len(logits) >= 100:
                fitted = fit_temperature(logits, gold, spec.kind, weight)
                temperatures.setdefault(head, {})[language] = fitted
    thresholds = fit_thresholds(*topic_answers(judged, temperatures), TOPIC_IDS)
    floors = {head: floor(judged, head, temperatures) for head in ("sentiment", "entity_sentiment")}
    return {"temperatures": temperatures, "thresholds": thresholds, "floor": floors}


def topic_answers(judged: Judged, temperatures: Temperatures) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Calibrated topic probabilities, gold and whether it is known, each [N, topics], both languages together."""
    parts = []
    for language in ("en", "zh"):
        logits, labels, weight = gather(judged, "topics", language)
        if weight is not None and len(logits):
            p = calibrated(logits, temperatures.get("topics", {}).get(language, 1.0), MULTILABEL)
            parts.append((p, labels, weight > 0))
    if not parts:
        empty = np.zeros((0, len(TOPIC_IDS)))
        return empty, empty, empty > 0
    p, gold, known = (np.concatenate(column) for column in zip(*parts, strict=True))
    return p, gold, known


def floor(judged: Judged, head: str, temperatures: Temperatures) -> float:
    """The confidence under which a sentiment head is unsure, both languages together."""
    confidence, correct = [np.zeros(0)], [np.zeros(0, dtype=np.bool_)]
    for language, temperature in temperatures.get(head, {}).items():
        logits, labels, _ = gather(judged, head, language)
        p = calibrated(logits, temperature, HEAD_SPECS[head].kind)
        confidence.append(p.max(1))
        correct.append(p.argmax(1) == labels)
    sure = np.concatenate(confidence)
    return fit_floor(sure, np.concatenate(correct)) if len(sure) else 0.5


def gather(judged: Judged, head: str, language: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    """(logits, gold, weights or none) of every validation text of a language that has an answer for a head."""
    logits: list[Any] = []
    gold: list[Any] = []
    weights: list[Any] = []
    for name, (examples, scores) in judged.items():
        if not examples or examples[0].language != language:
            continue
        if head == "entity_sentiment":
            known = scores.mention_gold >= 0
            if name == "sentfin":  # finnsp marks negative mentions only: no distribution to fit
                logits.extend(scores.mention[known])
                gold.extend(scores.mention_gold[known])
            continue
        for row, example in enumerate(examples):
            answer = gold_of(example, head)
            if answer is not None:
                logits.append(scores.text[head][row])
                gold.append(answer[0])
                weights.append(answer[1])
    masks = np.array(weights) if HEAD_SPECS[head].kind == MULTILABEL else None
    return np.array(logits), np.array(gold), masks


def gold_of(example: Example, head: str) -> tuple[Any, Any] | None:
    """A text's gold answer for a head, with weights for multi-label heads; None when its set has none."""
    if head == "sentiment":
        return None if example.sentiment is None or example.set in ("finnsp", "stockemotions") else (example.sentiment, 1)
    if head == "topics" and example.topics is not None:
        return [t or 0.0 for t in example.topics], [float(t is not None) for t in example.topics]
    if head == example.set:
        labels = HEAD_SPECS[head].labels
        if HEAD_SPECS[head].kind == MULTILABEL:
            return [float(label in example.own) for label in labels], [1.0] * len(labels)
        return labels.index(example.own[0]), 1
    return None


def quantisation_cost(release: Release, trained: State, judged: Judged) -> dict[str, Any]:
    """Accuracy of the float encoder minus that of the int8 one, per sentiment set, and how often labels agree."""
    floats = {name.removeprefix(ENCODER): value for name, value in trained.items() if name.startswith(ENCODER)}
    encoder = NetworkEncoder(str(release.folder), floats)
    cost: dict[str, Any] = {}
    for name, (examples, scores) in judged.items():
        rows = [row for row, example in enumerate(examples) if gold_of(example, "sentiment") is not None]
        if not rows:
            continue
        exact = score(release, encoder, [examples[row] for row in rows]).text["sentiment"].argmax(1)
        int8 = scores.text["sentiment"][rows].argmax(1)
        gold = np.array([examples[row].sentiment for row in rows])
        cost[name] = {"drop": round(float((exact == gold).mean() - (int8 == gold).mean()), 4),
                      "agree": round(float((exact == int8).mean()), 4)}  # fmt: skip
    return cost


def trained_on(config: TrainConfig, before: dict[str, Any]) -> list[dict[str, Any]]:
    """What the card says about each set: rounds (those of the run it went on from included), licence, origin."""
    rounds = dict(before.get("repeats", {}))
    for name, more in config.sets().items():
        rounds[name] = round(rounds.get(name, 0.0) + more, 2)
    return [{"set": name, "rounds": count, **SOURCES[name]} for name, count in rounds.items()]


def run_before(run: dict[str, Any]) -> dict[str, Any]:
    """The run whose weights this one went on from, {} when it went on from none: its name, size and rounds."""
    start = run["config"].get("start")
    if not start:
        return {}
    file = Path(start).with_name("run.json")
    if not file.is_file():
        return {"name": Path(start).name}  # a release's folder: its own manifest tells
    earlier = json.loads(file.read_text(encoding="utf-8"))
    facts = {key: earlier[key] for key in ("steps", "tokens", "seconds")}
    return {"name": earlier["config"]["name"], **facts, "repeats": earlier["config"]["repeats"]}


def training_facts(run: dict[str, Any]) -> dict[str, Any]:
    """What of a run record belongs into the manifest; nothing that names a place on the machine."""
    config = {k: v for k, v in run["config"].items() if k not in ("data", "work", "encoder", "start")}
    config["encoder"] = Path(run["config"]["encoder"]).name
    keys = ("data", "machine", "steps", "tokens", "seconds")
    facts = {"config": config, **{key: run[key] for key in keys}, "validation": run["validation"]}
    return facts | {"before": run_before(run)}


def main() -> None:
    """Command line: the work folder of a finished run, and where the release goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_grad_enabled(False)
    run = json.loads((given.work / "run.json").read_text(encoding="utf-8"))
    release = publish(given.work, given.out, TrainConfig(**run["config"]))
    LOG.info("released %s", release.version)


if __name__ == "__main__":
    main()
