"""From trained weights to a released model: quantise, calibrate, score what ships, write the card.

    python -m models.publish --work build/train --out models/released/windvane-zh-en-3

Everything is fitted and measured on the int8 weights multiplied out, since those are what users run. Raw answers and
the baseline are kept in the work folder, so that a second time (another calibration, another card) takes seconds.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from models.data import known_sets, language_of_set, require_sets
from models.encoders import encoder_folder
from models.evaluate import Judged, baseline_scores, evaluate_judged, in_languages, table
from models.fit_calibration import calibrate, known_rows
from models.labelled import Labelled, validation_cut
from models.language import LANGUAGES
from models.network import NetworkEncoder
from models.raw_answers import Kept, Lazily
from models.registry import ENCODER, HEADS, PRODUCT_HEADS, WEIGHTS, Release, load_release, sha256
from models.release import ReleaseInfo, seal, write_release
from models.reliability import reliability_report
from models.settings import TrainConfig
from models.taxonomy import OWN_LABELS

LOG = logging.getLogger(__name__)
State = Mapping[str, NDArray[np.float32]]


def publish(work: Path, out: Path, config: TrainConfig) -> Release:
    """Release the trained weights in `work` into `out`: see the numbered steps. Returns the verified release."""
    run = json.loads((work / "run.json").read_text(encoding="utf-8"))
    # 1 int8 weights in the release's own format, heads not yet calibrated
    facts = training_facts(run)
    before = trained_on(config, facts["before"])
    cuts = {name: validation_cut(Path(config.data), name) for name in require_sets(Path(config.data))}
    languages = languages_of([cuts[name] for name in config.sets()])
    info = ReleaseInfo(config.name, trained_on=before, training=facts, languages=languages)
    trained = with_trained_heads(load_file(work / "trained.safetensors"), before, languages)
    release = write_release(out, trained, encoder_folder(config.encoder, work), info)
    # 2 raw answers on the validation cut of every set in these languages, from the shipped weights
    encoder = Lazily("torch fp32", lambda: NetworkEncoder(str(out), release.encoder_state()))
    kept = Kept(release, encoder, str(release.manifest["files"][WEIGHTS]["sha256"]), work / "raw")
    judged = judge(kept, in_languages(cuts, languages))
    # 3 calibration, on the sets trained on
    known = {name: judged[name] for name in config.sets() if name in judged}  # a small set may have no cut
    fitted = calibrate(known, release.heads)
    info = replace(info, **vars(fitted))
    seal(out, info)
    # 4 scores, beside the baseline
    baselines = baseline_of(work, run, Path(config.data), judged)
    reports = evaluate_judged(load_release(out), judged)
    # 5 what quantisation cost, the card, the manifest
    metrics = {
        "sets": reports,
        "table": table(reports, baselines),
        "baseline": {name: {k: v for k, v in r.items() if k != "classes"} for name, r in baselines.items()},
        "quantisation": quantisation_cost(kept, work / "trained.safetensors", judged),
        "reliability": reliability_report(known, release.heads, fitted.floor),
    }
    LOG.info("scores\n%s", metrics["table"])
    seal(out, replace(info, metrics=metrics))
    return load_release(out)


def languages_of(cuts: Sequence[Labelled]) -> tuple[str, ...]:
    """The languages that sets are in: what a run over them has learnt to read. All, when no text tells."""
    found = {language for cut in cuts for language in cut.languages}
    return tuple(language for language in LANGUAGES if language in found) or LANGUAGES


def with_trained_heads(state: State, trained_on: Sequence[Mapping[str, Any]], languages: Sequence[str]) -> State:
    """The tensors without the own heads that the network has, but no set of these languages has taught anything."""
    taught = {entry["set"] for entry in trained_on if entry["set"] in OWN_LABELS}
    kept = {name for name in taught if language_of_set(name) in languages} | set(PRODUCT_HEADS)
    return {
        name: tensor
        for name, tensor in state.items()
        if not name.startswith(HEADS) or name.removeprefix(HEADS).rpartition(".")[0] in kept
    }


def judge(kept: Kept, cuts: Mapping[str, Labelled]) -> Judged:
    """Raw answers on validation cuts."""
    return {name: (cut.examples, kept.score(name, cut.examples)) for name, cut in cuts.items()}


def baseline_of(work: Path, run: Mapping[str, Any], data: Path, names: Collection[str]) -> dict[str, Any]:
    """The baseline's scores on the run's data: kept in the work folder, since they take minutes."""
    file = work / f"baseline-{run['data']['sha256'][:12]}.json"
    if not file.exists():
        file.write_text(json.dumps(baseline_scores(data, names, LOG.info), ensure_ascii=False), encoding="utf-8")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def quantisation_cost(kept: Kept, trained: Path, judged: Judged) -> dict[str, Any]:
    """Accuracy of the float encoder minus that of the int8 one, per sentiment set, and how often labels agree."""

    def build() -> NetworkEncoder:
        tensors = {k.removeprefix(ENCODER): v for k, v in load_file(trained).items() if k.startswith(ENCODER)}
        return NetworkEncoder(str(kept.release.folder), tensors)

    exact = replace(kept, encoder=Lazily("torch fp32", build), model=f"float {sha256(trained)}")
    head = kept.release.heads["sentiment"]
    cost: dict[str, Any] = {}
    for name, (examples, scores) in judged.items():
        rows, gold = known_rows(name, examples, scores, head)
        if not len(rows):
            continue
        asked = exact.score(name, [examples[row] for row in rows]).text["sentiment"].argmax(1)
        int8 = scores.text["sentiment"][rows].argmax(1)
        cost[name] = {"drop": round(float((asked == gold).mean() - (int8 == gold).mean()), 4),
                      "agree": round(float((asked == int8).mean()), 4)}  # fmt: skip
    return cost


def trained_on(config: TrainConfig, before: dict[str, Any]) -> list[dict[str, Any]]:
    """What the card says about each set: rounds (those of the run it went on from included), licence, origin."""
    rounds = dict(before.get("repeats", {}))
    for name, more in config.sets().items():
        rounds[name] = round(rounds.get(name, 0.0) + more, 2)
    facts = before.get("facts", {}) | {name: one.facts for name, one in known_sets(Path(config.data)).items()}
    return [{"set": name, "rounds": count, **facts[name]} for name, count in rounds.items()]


def run_before(run: dict[str, Any]) -> dict[str, Any]:
    """The runs whose weights this one went on from, all the way back, {} when it went on from none: their names, and
    steps, tokens, seconds and rounds summed up. Of a release: its name, and the rounds and facts of its sets."""
    start = run["config"].get("start")
    if not start:
        return {}
    file = Path(start).with_name("run.json")
    if Path(start).is_dir():
        manifest = load_release(start).manifest
        sets = {entry["set"]: entry for entry in manifest["trained_on"]}
        facts = {k: {key: entry[key] for key in ("title", "origin", "licence")} for k, entry in sets.items()}
        return {"name": manifest["name"], "repeats": {k: entry["rounds"] for k, entry in sets.items()}, "facts": facts}
    if not file.is_file():
        return {"name": Path(start).name}
    earlier = json.loads(file.read_text(encoding="utf-8"))
    first = run_before(earlier)
    rounds = Counter(first.get("repeats", {}))
    rounds.update(earlier["config"]["repeats"])
    names = [first["name"]] if first else []
    sums = {key: earlier[key] + first.get(key, 0) for key in ("steps", "tokens", "seconds")}
    return {"name": " and ".join([*names, earlier["config"]["name"]]), **sums, "repeats": dict(rounds)} | (
        {"facts": first["facts"]} if "facts" in first else {}
    )


def training_facts(run: dict[str, Any]) -> dict[str, Any]:
    """What of a run record belongs into the manifest; nothing that names a place on the machine."""
    config = {k: v for k, v in run["config"].items() if k not in ("data", "work", "encoder", "start")}
    config["encoder"] = Path(run["config"]["encoder"]).name
    keys = ("data", "machine", "steps", "tokens", "seconds")
    facts = {"config": config, **{key: run[key] for key in keys}, "validation": run["validation"]}
    return facts | {"refitted": run.get("refitted", {}), "before": run_before(run)}


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
