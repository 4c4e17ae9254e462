"""Two classify workers share the load; one is killed (SIGKILL, not started again); the other takes over.

python -m tests.benchmarks.takeover [--texts 4000] [--rounds 3] [--json]

Servers as in tests/connected: those of the environment (WINDVANE_TEST_KAFKA, …), else own ones. Per round:

missed_s      from the kill until the group has given the dead worker's partitions to the other (the session's time
              to run out, and a rebalance)
caught_up_s   from the kill until all that was waiting in them is classified
twice         texts classified by both: those of the batch that was published and not committed
lost          texts that never came out
"""

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.connected import stream
from tests.connected.cluster import Cluster, Servers
from tests.connected.servers.find import KINDS, find

TEXTS_PER_S = 300  # they come at this pace: enough that a killed worker is likely to be in the middle of a batch


def one_round(servers: Servers, folder: Path, texts: int, seed: int) -> dict[str, Any]:
    file = stream.write(folder / "stream.jsonl", stream.rows(texts, seed=seed))
    with Cluster(servers, folder / "workers", WINDVANE_WORKER__IDLE_S="20") as cluster:
        cluster.start("prepare", "story", "classify", "classify", "index", "order", "detect", "record")
        cluster.wait_for(lambda: sorted(map(len, cluster.shares("classify").values())) == [2, 2], 300, "even shares")
        cluster.publish(file, wait=False, seconds=texts / TEXTS_PER_S)
        cluster.wait_for(lambda: cluster.opinions_made() > texts / 4, 300, "a quarter of the texts")
        shares = cluster.shares("classify")
        orphaned = set(shares[cluster.kill("classify", again=False).log.name])
        killed = time.monotonic()
        cluster.wait_for(lambda: orphaned <= owned(cluster), 120, "the other to take over")
        missed = time.monotonic() - killed
        bus = cluster.stores.bus
        waiting = {p: bus.end("posts", p) for p in orphaned}
        cluster.wait_for(
            lambda: all(bus.committed("classify", "posts", p) >= end for p, end in waiting.items()), 120, "catching up"
        )
        caught_up = time.monotonic() - killed
        cluster.wait_until_done()
        made = Counter(o["post_id"] for o in cluster.read("opinions"))
        return {
            "missed_s": round(missed, 1),
            "caught_up_s": round(caught_up, 1),
            "twice": sum(n > 1 for n in made.values()),
            "lost": texts - len(cluster.opinions()),
        }


def owned(cluster: Cluster) -> set[int]:
    """Partitions that living classify workers have."""
    return {p for share in cluster.shares("classify").values() for p in share}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        found = {key: find(KINDS[key], os.environ) for key in ("kafka", "elasticsearch", "postgres")}
        for server in found.values():
            stack.callback(server.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = Servers.of(*found.values())
        rounds = []
        for n in range(options.rounds):
            (folder / str(n)).mkdir()
            rounds.append(one_round(servers, folder / str(n), options.texts, n))
            if not options.json:
                print(f"round {n + 1}: {rounds[-1]}", flush=True)
    if options.json:
        print(json.dumps(rounds))


if __name__ == "__main__":
    main()
