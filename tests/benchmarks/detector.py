"""How many keys a second the detector judges on one core, and how much it keeps of each (P9).

    python -m tests.benchmarks.detector [--companies 2000] [--texts 6000] [--days 4] [--rounds 3] [--rule KIND] [--json]

A seeded stream in event time: one or two companies in a text, by Zipf's law; one or two of fifteen topics, and each
company within each of them; a few users' watches; a tenth of the texts are copies. One rule, negative_spike or
volume_surge; the latter also keeps the fullest windows of each key, for 17 days: state is whole with --days 18.

judged   every key that spoke in the last hour, judged against its own past at one moment, again and again
whole    the stream's last day from opinions in to alerts out: told apart, counted, learned, judged
state    bytes per key: of the stored state, and of memory, the texts of the last two days in both

Rates are per second of this thread's CPU time, so that a busy machine blurs them less; medians of the rounds.
"""

import argparse
import json
import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from pipeline.detect.config import BINS_PER_HOUR, DetectorConfig
from pipeline.detect.lane import Lane
from pipeline.detect.lens import lens_of
from pipeline.detect.rules import Rule
from pipeline.naming import KeyNames
from pipeline.records import SENTIMENTS, Opinion, ScoredMention, Sentiment, TopicScore, stable_id
from tests.benchmarks.machine import machine

START = datetime(2026, 3, 2, tzinfo=UTC)
TOPICS = tuple(f"topic{i}" for i in range(15))
WATCHES = tuple(f"watch{i}" for i in range(20))
GOALS = {"keys_per_s": 20_000, "bytes_per_key": 4096}
KINDS = ("negative_spike", "volume_surge")
JUDGED = 20_000  # keys of one round, at least
_FEELINGS = {
    label: Sentiment(label=label, **{s: 0.9 if s == label else 0.05 for s in SENTIMENTS}) for label in SENTIMENTS
}


def opinions(companies: int, per_day: int, days: int, seed: int = 1) -> Iterator[Opinion]:
    """`per_day` texts a day in time order, more by day than by night; the same for the same seed."""
    rng = random.Random(seed)
    ranks = range(companies)
    weights = [1 / (rank + 5) for rank in ranks]
    hours = [1 + 3 * (7 <= h < 22) for h in range(24)]
    story = 0
    for day in range(days):
        for second in sorted(h * 3600 + rng.randrange(3600) for h in rng.choices(range(24), hours, k=per_day)):
            at = START + timedelta(days=day, seconds=second)
            story += rng.random() > 0.1
            feeling = _FEELINGS[rng.choices(SENTIMENTS, [18 if s == "negative" else 41 for s in SENTIMENTS])[0]]
            named = dict.fromkeys(rng.choices(ranks, weights, k=rng.choice((1, 1, 1, 2))))
            yield Opinion(
                post_id=stable_id("bench", str(rng.random())), source=f"source {rng.randrange(40)}",
                author=f"author {rng.randrange(3000)}", language="en", published_at=at, fetched_at=at, scored_at=at,
                text=f"a text of more than forty columns about what companies did that day, number {story}",
                story_id=stable_id("story", str(story)), sentiment=feeling, unsure=False, model_version="bench",
                topics=tuple(TopicScore(label=t, p=0.9) for t in rng.sample(TOPICS, rng.choice((1, 1, 2)))),
                watches=tuple(rng.sample(WATCHES, 1)) if rng.random() < 0.05 else (),
                entities=tuple(
                    ScoredMention(entity=f"E{n}.US", text="x", start=0, end=1, sentiment=feeling, basis="text")
                    for n in named
                ),
            )  # fmt: skip


def report(stream: Sequence[Opinion], rounds: int, kind: str = KINDS[0]) -> dict[str, Any]:
    """The figures as `--json` prints them, of the built-in rule of that kind."""
    rule = Rule(id=kind, kind=kind)
    last = stream[-1].published_at - timedelta(days=1)
    cut = next(i for i, o in enumerate(stream) if o.published_at >= last)
    warm = _lane(rule)
    _observe(warm, stream[:cut])
    before = msgspec.msgpack.encode(warm.dump())
    whole = []
    for _ in range(rounds):
        lane = _lane(rule, before)
        seconds = _cpu_s(lambda lane=lane: _observe(lane, stream[cut:]))  # type: ignore[misc]
        whole.append((lane.cases.evaluated - warm.cases.evaluated, seconds))
    after = msgspec.msgpack.encode(lane.dump())
    keys = len(lane.book.keys)
    return {
        "machine": machine(),
        "rule": kind,
        "stream": {"texts": len(stream), "keys": keys, "judged_keys": len(_spoke(lane))},
        "judged_per_s": round(statistics.median(_judged(lane) for _ in range(rounds))),
        "whole_per_s": round(statistics.median(n / s for n, s in whole)),
        "texts_per_s": round(statistics.median((len(stream) - cut) / s for _, s in whole)),
        "stored_bytes_per_key": round(len(after) / keys),
        "memory_bytes_per_key": round(_memory(rule, after) / keys),
        "goals": GOALS,
    }


def _lane(rule: Rule, state: bytes | None = None) -> Lane:
    lane = Lane(lens_of(rule), [rule], DetectorConfig(), KeyNames({}))
    if state is not None:
        lane.load(msgspec.msgpack.decode(state))
    return lane


def _observe(lane: Lane, stream: Sequence[Opinion]) -> None:
    for opinion in stream:
        lane.observe(lane.hear(opinion))


def _spoke(lane: Lane) -> list[str]:
    """Keys with a text in the last closed hour."""
    end = _end(lane)
    return [key for key, state in lane.book.keys.items() if state.bins.window(end - BINS_PER_HOUR, end)]


def _end(lane: Lane) -> int:
    """The end of the last closed bin."""
    return max(state.bins.bins[-1].index for state in lane.book.keys.values() if state.bins.bins) + 1


def _judged(lane: Lane) -> float:
    """Keys judged per second."""
    keys, end = _spoke(lane), _end(lane)
    times = -(-JUDGED // len(keys))

    def judge() -> None:
        for _ in range(times):
            lane.cases.judge_keys(end, keys)

    return times * len(keys) / _cpu_s(judge)


def _memory(rule: Rule, state: bytes) -> int:
    """Bytes that a lane with that state holds."""
    tracemalloc.start()
    try:
        lane = _lane(rule, state)
        assert lane.book.keys
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def _cpu_s(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--companies", type=int, default=2000, help="how many companies are written about")
    parser.add_argument("--texts", type=int, default=6000, help="texts a day")
    parser.add_argument("--days", type=int, default=4, help="days, three at least; the last one is measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rule", choices=KINDS, default=KINDS[0], help="the kind of the one rule")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    found = report(list(opinions(args.companies, args.texts, args.days)), args.rounds, args.rule)
    if args.json:
        json.dump(found, sys.stdout, indent=1)
        print()
        return
    for name, value in found.items():
        print(f"{name:22} {value}")


if __name__ == "__main__":
    main()
