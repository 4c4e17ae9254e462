"""How fast the embedded opinion store writes, and answers at a given size.

    python -m tests.benchmarks.store --texts 200000 [--json] [--path FILE]

Synthetic texts (zh and en by turns, about 200 characters, Zipf-distributed words), published evenly over a year.
Write: batches of 512, each its own transaction, as the index stage writes them. Reads: median and worst of 15 runs.
"""

import argparse
import json
import platform
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pipeline.database import Database
from pipeline.keys import entity_key
from pipeline.records import SENTIMENTS, Opinion, ScoredMention, Sentiment, TopicScore, stable_id
from pipeline.store.base import Filters, Search
from pipeline.store.sqlite import SqliteOpinionStore

BATCH = 512
START = datetime(2025, 1, 1, tzinfo=UTC)
YEAR_S = 365 * 86400
_WORDS = [stable_id("word", str(i))[: 3 + i % 6] for i in range(20_000)]
_HAN = [chr(0x4E00 + i * 6) for i in range(3_000)]
_ZH_NAMES = ["茅台", "平安", "比亚迪", "腾讯"]


def opinions(n: int, seed: int = 1) -> Iterator[Opinion]:
    """`n` opinions in time order; the same for the same seed."""
    rng = random.Random(seed)
    words = rng.choices(_WORDS, weights=[1 / (i + 1) for i in range(len(_WORDS))], k=200_000)
    han = rng.choices(_HAN, weights=[1 / (i + 10) for i in range(len(_HAN))], k=200_000)
    for i in range(n):
        at = START + timedelta(seconds=i * YEAR_S / n)
        from_ = rng.randrange(199_000)
        if i % 2:
            text = f"{rng.choice(_ZH_NAMES)}{''.join(han[from_ : from_ + 150])}"
        else:
            text = " ".join(words[from_ : from_ + 35])
        label = rng.choice(SENTIMENTS)
        feeling = Sentiment(label=label, negative=0.5, neutral=0.25, positive=0.25)
        entity = f"E{min(rng.randrange(200), rng.randrange(200))}.US"
        yield Opinion(
            post_id=stable_id("bench", str(i)), source=f"source {rng.randrange(50)}", text=text,
            language="zh" if i % 2 else "en", published_at=at, fetched_at=at, scored_at=at,
            story_id=stable_id("s", str(i)),
            sentiment=feeling, unsure=rng.random() < 0.1, model_version="bench",
            topics=(TopicScore(label=f"topic{rng.randrange(15)}", p=0.9),),
            entities=(ScoredMention(entity=entity, text="x", start=0, end=1, sentiment=feeling, basis="text"),),
        )  # fmt: skip


def write(store: SqliteOpinionStore, n: int) -> dict[str, float]:
    """Write `n` opinions; the making of them is not counted."""
    batch: list[Opinion] = []
    spent: list[float] = []

    def flush() -> None:
        began = time.perf_counter()
        rejected = store.write(batch)
        spent.append(time.perf_counter() - began)
        assert not rejected, rejected[0]
        batch.clear()

    for opinion in opinions(n):
        batch.append(opinion)
        if len(batch) == BATCH:
            flush()
    if batch:
        flush()
    return {"texts_per_s": n / sum(spent), "slowest_batch_ms": max(spent) * 1e3}


def reads(store: SqliteOpinionStore) -> dict[str, Callable[[], Any]]:
    """What a page asks, by name."""
    end = START + timedelta(seconds=YEAR_S)
    day = end - timedelta(days=1)
    common, rare = _WORDS[0], _WORDS[5_000]
    entity = Filters(entity="E3.US", sentiment="negative")
    return {
        "newest20_zh_2chars": lambda: store.search(Search("茅台")),
        "newest20_zh_2_common_chars": lambda: store.search(Search(_HAN[0] + _HAN[1])),
        "newest20_en_common": lambda: store.search(Search(common)),
        "newest20_en_rare": lambda: store.search(Search(rare)),
        "newest20_common_and_entity": lambda: store.search(Search(common, entity)),
        "newest20_entity": lambda: store.search(Search("", entity)),
        "newest20_all": lambda: store.search(Search()),
        "newest20_week_of_all": lambda: store.search(Search(common, Filters(start=day - timedelta(6), end=end))),
        "best20_zh_2chars": lambda: store.search(Search("茅台", order="best")),
        "best20_en_two_words": lambda: store.search(Search(f"{common} {_WORDS[7]}", order="best")),
        "chart_24h_all": lambda: store.bins(None, day, end),
        "chart_24h_entity": lambda: store.bins(entity_key("E3.US"), day, end),
        "chart_year_hourly_entity": lambda: store.bins(entity_key("E3.US"), START, end, 3600),
        "chart_year_daily_all": lambda: store.bins(None, START, end, 86400),
        "top_entities_24h": lambda: store.top_keys("entity", day, end),
        "stats": store.stats,
    }


def measure(path: Path, n: int) -> dict[str, Any]:
    """Everything that is printed."""
    db = Database(path)
    store = SqliteOpinionStore(db, clock=lambda: START)
    result: dict[str, Any] = {
        "texts": n, "sqlite": sqlite3.sqlite_version, "python": platform.python_version(),
        "machine": platform.machine(),
        "write": write(store, n),
    }  # fmt: skip
    result["file_mb"] = path.stat().st_size / 1e6
    for name, ask in reads(store).items():
        times = []
        for _ in range(15):
            began = time.perf_counter()
            ask()
            times.append((time.perf_counter() - began) * 1e3)
        result[name] = {"median_ms": statistics.median(times), "worst_ms": max(times)}
    db.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--path", type=Path, help="keep the database here (must not exist yet)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(args.path or Path(folder) / "bench.db", args.texts)
    if args.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        shown = "  ".join(f"{k} {v:,.1f}" for k, v in value.items()) if isinstance(value, dict) else value
        print(f"{name:28} {shown}")


if __name__ == "__main__":
    main()
