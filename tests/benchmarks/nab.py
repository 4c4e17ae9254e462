"""NAB's tweet counts: the volume detector beside two baselines.
`python -m tests.benchmarks.nab --data DIR [--windows FILE] --json`.

DIR holds CSV files (timestamp,value; texts per five minutes). Each detector has one configuration for all files; a
detection is the start of an episode. Windvane's is the rule kind volume_surge as pipeline/detect judges it, fed with
counts, for a text at a time would take hours.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

from pipeline.detect.bins import Bin, KeyBins
from pipeline.detect.book import Book, KeyState
from pipeline.detect.cases import Cases
from pipeline.detect.config import BIN_S, BINS_PER_HOUR, DetectorConfig
from pipeline.detect.lens import lens_of
from pipeline.detect.rules import Rule
from pipeline.keys import entity_key
from pipeline.naming import KeyNames
from pipeline.reference_rules import REARM_BINS, episodes, ewma, spike
from tests.benchmarks.nab_score import PROFILES, Labelled, outcome, read, total

RULE = Rule(id="volume", kind="volume_surge")
KEY = entity_key("TICKER")
_CONFIG = DetectorConfig()


def ours(file: Labelled, rule: Rule = RULE, config: DetectorConfig = _CONFIG) -> list[int]:
    """Rows at which volume_surge fires. One key, the whole stream; every number as the rule has it."""
    book = Book(lens_of(rule).config(config))
    cases = Cases([rule], book, KeyNames({}))
    fired = []
    for row, time in enumerate(file.times):
        texts, bin_ = int(file.values[row]), int(time.replace(tzinfo=UTC).timestamp()) // BIN_S
        if not texts:  # a bin without a text is never closed
            continue
        book.enter(bin_)
        _count(book, bin_, texts)
        alerts = cases.judge_keys(bin_ + 1, [KEY])
        cases.tend(bin_ + 1)
        book.sweep(bin_)
        fired += [row for alert in alerts if alert.event == "fired"]
    return fired


def _count(book: Book, bin_: int, texts: int) -> None:
    """The bin's texts, as `Book.count` counts them one by one."""
    hour = bin_ // BINS_PER_HOUR
    if KEY not in book.keys:
        book.keys[KEY] = KeyState(book.baselines.add_key("entity", hour), KeyBins(), {})
    state = book.keys[KEY]
    state.bins.bins.append(Bin(bin_, texts, texts))
    book.baselines.count(state.slot, hour, True, texts)
    book.baselines.stream.count(bin_, "", False, texts)


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
