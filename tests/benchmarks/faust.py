"""`python -m tests.benchmarks.faust`: events per second of the Faust stages, beside the same loop on a plain consumer;
and of `story`, the other stage that one worker does alone.

Needs the three servers (WINDVANE_TEST_KAFKA and so on; `make servers` starts them). Texts are those of
tests/flow/texts.py, the classifier is the word list: what is measured is the way of a message, not the model.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from models.keyword import KeywordClassifier
from pipeline.compose import Stores, open_servers
from pipeline.compose_workers import build_loop
from pipeline.graph import WORKERS, node
from pipeline.records import Post, Raw, encode
from pipeline.settings import ElasticsearchSettings, KafkaSettings, PostgresSettings, Settings
from pipeline.stages.classify import Classify
from tests.benchmarks.store import opinions

T = datetime(2026, 1, 5, tzinfo=UTC)


def settings_of(run: str) -> Settings:
    """A run of its own on the test servers."""
    return Settings(
        kafka=KafkaSettings(servers=os.environ["WINDVANE_TEST_KAFKA"], prefix=f"bench-{run}.", partitions=1),
        elasticsearch=ElasticsearchSettings(url=os.environ["WINDVANE_TEST_ELASTICSEARCH"], index=f"bench-{run}"),
        postgres=PostgresSettings(url=os.environ["WINDVANE_TEST_POSTGRES"]),  # type: ignore[arg-type]
    )


def raws(count: int) -> Iterator[Raw]:
    """Texts a minute apart, each its own story."""
    names = ("Apple", "Tesla", "腾讯控股", "贵州茅台", "Boeing")
    for n in range(count):
        name = names[n % len(names)]
        words = (
            f"{name} shares {'fall' if n % 3 else 'rise'} as investors weigh report number {uuid.UUID(int=n)} on {name}"
        )
        at = T + timedelta(minutes=n)
        yield Raw(source=f"s{n % 40}", text=words, native_id=str(n), fetched_at=at, published=at.isoformat())


def publish(stores: Stores, stage: str, count: int) -> None:
    """What the stage reads. `story` gets texts of their own words: a template filled in is all near-duplicates."""
    if stage == "prepare":
        values = [encode(raw) for raw in raws(count)]
    elif stage == "story":
        values = [encode(post(o.post_id, o.source, o.text, o.published_at)) for o in opinions(count)]
    else:
        posts = [post(str(raw.native_id), raw.source, raw.text, raw.fetched_at) for raw in raws(count)]
        values = [encode(o) for o in Classify(KeywordClassifier(), lambda: T)(posts)]
    stores.bus.publish(node(stage, WORKERS).reads, [("k", value) for value in values])


def post(id_: str, source: str, text: str, at: datetime) -> Post:
    """A prepared text that one watch holds."""
    return Post(post_id=id_, source=source, text=text, language="en", fetched_at=at, published_at=at, story_id=id_,
                watches=("w",))  # fmt: skip


def plain_rate(settings: Settings, stage: str, count: int) -> float:
    """The stage's loop on a kafka-python consumer, in this process."""
    stores = open_servers(settings)
    publish(stores, stage, count)
    loop = build_loop(settings, stores, stage)
    while not (first := loop.step()):
        pass  # joining, putting state back
    done, began = first, time.monotonic()
    while done < count:
        done += loop.step()
    seconds = time.monotonic() - began
    loop.close()
    stores.close()
    return (count - first) / seconds


def faust_rate(settings: Settings, stage: str, count: int) -> float:
    """The worker itself, in a process of its own, by the offsets that it commits."""
    stores = open_servers(settings)
    publish(stores, stage, count)
    at = node(stage, WORKERS)
    env = os.environ | {
        "WINDVANE_KAFKA__SERVERS": settings.kafka.servers or "",
        "WINDVANE_KAFKA__PREFIX": settings.kafka.prefix,
        "WINDVANE_KAFKA__PARTITIONS": "1",
        "WINDVANE_ELASTICSEARCH__URL": settings.elasticsearch.url or "",
        "WINDVANE_ELASTICSEARCH__INDEX": settings.elasticsearch.index,
        "WINDVANE_POSTGRES__URL": settings.postgres.url.get_secret_value() if settings.postgres.url else "",
    }
    worker = subprocess.Popen([sys.executable, "-m", "tests.connected.worker_keyword", stage], env=env,
                              stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        first: tuple[float, int] | None = None
        while True:
            done, now = stores.bus.committed(at.group, at.reads), time.monotonic()
            if done and first is None:
                first = (now, done)
            if done >= count:
                break
            time.sleep(0.05)
        assert first is not None
        return (count - first[1]) / max(now - first[0], 1e-9)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)
        stores.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    missing = [n for n in ("KAFKA", "ELASTICSEARCH", "POSTGRES") if f"WINDVANE_TEST_{n}" not in os.environ]
    if missing:
        print(f"skipped: set WINDVANE_TEST_{', WINDVANE_TEST_'.join(missing)} (`make servers` prints them)")
        return
    found: dict[str, dict[str, float]] = {}
    for stage in ("prepare", "detect"):
        run = uuid.uuid4().hex[:8]
        faust = faust_rate(settings_of(f"{run}f"), stage, args.count)
        plain = plain_rate(settings_of(f"{run}p"), stage, args.count)
        found[stage] = {
            "faust": round(faust),
            "plain": round(plain),
            "ratio": round(faust / plain, 2),
        }
    found["story"] = {"plain": round(plain_rate(settings_of(f"{uuid.uuid4().hex[:8]}s"), "story", args.count))}
    if args.json:
        print(json.dumps(found))
    else:
        for stage, row in found.items():
            beside = f"; Faust {row['faust']} ({row['ratio']}x)" if "faust" in row else ""
            print(f"{stage}: plain consumer {row['plain']} events/s{beside}")


if __name__ == "__main__":
    main()
