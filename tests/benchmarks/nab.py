"""NAB's tweet counts: the volume detector beside two baselines.
`python -m tests.benchmarks.nab --data DIR [--windows FILE] --json`.

DIR holds CSV files (timestamp,value; texts per five minutes). Each detector has one configuration for all files; a
detection is the start of an episode. Windvane's is the rule kind volume_surge: the baselines, the test, the memory of
surges and the episodes are those of pipeline/detect, fed with counts, for a text at a time would take hours.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.detect.baseline import Baselines
from pipeline.detect.config import BIN_S, BINS_PER_HOUR, DetectorConfig
from pipeline.detect.episodes import Episode
from pipeline.detect.lens import lens_of
from pipeline.detect.rules import Rule
from pipeline.detect.tails import count_score
from pipeline.reference_rules import REARM_BINS, episodes, ewma, spike
from tests.benchmarks.nab_score import PROFILES, Labelled, outcome, read, total

RULE = Rule(id="volume", kind="volume_surge")


def ours(file: Labelled) -> list[int]:
    """Rows at which volume_surge fires. One key, the whole stream; every number as the rule has it."""
    config = lens_of(RULE).config(DetectorConfig())
    baselines, episode = Baselines(config), Episode()
    counts = file.values.astype(int)
    summed = np.concatenate([[0], np.cumsum(counts)])
    slot: int | None = None
    began, fired = 0, []
    for row, time in enumerate(file.times):
        end = int(time.replace(tzinfo=UTC).timestamp()) // BIN_S + 1
        slot = _enter(baselines, config, slot, end - 1, int(counts[row]))
        began = began or end
        known = end - began >= config.warmup_h * BINS_PER_HOUR
        held = int(summed[row + 1] - summed[max(0, row + 1 - BINS_PER_HOUR)])
        usual = baselines.usual(slot, end - BINS_PER_HOUR, end, 0)
        score = count_score(held, usual.mean, usual.phi) if held >= RULE.least else 0.0
        hour = (end - 1) // BINS_PER_HOUR
        if known and score >= RULE.score and held >= config.min_ratio * usual.mean:
            if episode.outshone(score, end, config):
                pass
            elif episode.active:
                episode.heat(0)
            elif episode.rearmed(end, RULE.cooldown_s // BIN_S):
                fired.append(row)
                episode.status, episode.checked_hour, episode.quiet_hours = "firing", hour, 0
        if episode.active and hour > episode.checked_hour:
            if score >= RULE.score:
                episode.heat(hour)
            elif episode.cool(hour, config.exit_heard_h):
                episode.end(end)
    return fired


def _enter(baselines: Baselines, config: DetectorConfig, slot: int | None, bin_: int, texts: int) -> int:
    """The bin's texts, as detect counts them one by one; the key's row."""
    hour = bin_ // BINS_PER_HOUR
    baselines.stream.hear(hour)
    baselines.learn((bin_ + 1 - config.allowed_late_s // BIN_S) // BINS_PER_HOUR)
    baselines.open_hour(hour)
    if slot is None:
        slot = baselines.add_key("entity", hour)
    baselines.count(slot, hour, True, texts)
    baselines.stream.count(bin_, "", False, texts)
    return slot


def elastalert(file: Labelled) -> list[int]:
    """The spike rule at the best of twelve settings (research A3); it clears its windows and stays silent for both."""
    return episodes(spike(file.values, times=5, least=20), 2 * BINS_PER_HOUR)


def z_score(file: Labelled) -> list[int]:
    """The EWMA rule, re-armed after 12 quiet hours."""
    return episodes(ewma(file.values, start=float(file.values[0])), REARM_BINS)


DETECTORS: Mapping[str, Callable[[Labelled], list[int]]] = {
    "windvane": ours,
    "elastalert_spike_x5_20": elastalert,
    "ewma_z4": z_score,
}


def run(files: list[Labelled]) -> dict[str, Any]:
    """{"files", "windows", "detectors": {name: {profile: score, "hits", "false"}}, "by_file": {name: {file: …}}}."""
    result: dict[str, Any] = {"files": len(files), "windows": 0, "detectors": {}, "by_file": {}}
    for name, detector in DETECTORS.items():
        found = {file.name: detector(file) for file in files}
        outcomes = {p: [outcome(f, found[f.name], weights) for f in files] for p, weights in PROFILES.items()}
        standard = outcomes["standard"]
        scores = {p: round(total(outcomes[p], weights), 2) for p, weights in PROFILES.items()}
        hits, false = sum(o.hits for o in standard), sum(o.false for o in standard)
        result["windows"] = sum(o.windows for o in standard)
        result["detectors"][name] = {**scores, "hits": hits, "false": false}
        result["by_file"][name] = {
            f.name: {"score": round(o.score, 4), "hits": o.hits, "windows": o.windows, "false": o.false}
            for f, o in zip(files, standard, strict=True)
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of NAB csv files (timestamp,value)")
    parser.add_argument("--windows", type=Path, help="combined_windows.json; default: the one beside the data")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    result = run(read(args.data, args.windows))
    if args.json:
        json.dump(result, sys.stdout, indent=1)
        print()
        return
    print(f"{'detector':24} {'standard':>8} {'low-FP':>7} {'low-FN':>7} {'hits':>5} {'false':>6}")
    for name, s in result["detectors"].items():
        row = (s["standard"], s["low_fp"], s["low_fn"], s["hits"], s["false"])
        print(f"{name:24} {row[0]:>8} {row[1]:>7} {row[2]:>7} {row[3]:>5} {row[4]:>6}")


if __name__ == "__main__":
    main()
