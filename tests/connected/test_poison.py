"""Poison on real servers: all of it in the dead letters with reason and origin, none elsewhere; sent again after a
fix, it arrives."""

import json
import os
from pathlib import Path

import msgspec
import pytest

from pipeline.runners.letters import payload_text
from tests.connected import stream
from tests.connected.cluster import Cluster, Servers
from tests.connected.comparing import differences, embedded
from tests.connected.servers.base import Server

TEXTS = int(os.environ.get("WINDVANE_POISON_TEXTS", "1200"))
EVERY = 1000 if TEXTS > 10_000 else 100
WORD = "Zyxomma"  # what the broken classifier chokes on


@pytest.fixture
def servers(kafka_server: Server, elasticsearch_server: Server, postgres_server: Server) -> Servers:
    return Servers.of(kafka_server, elasticsearch_server, postgres_server)


@pytest.mark.timeout(3600 if TEXTS > 10_000 else 900)
def test_poison_is_in_the_dead_letters_and_nowhere_else_and_arrives_after_the_fix(
    servers: Servers, tmp_path: Path
) -> None:
    rows, bad = stream.poisoned(stream.rows(TEXTS), EVERY)
    choking = set()
    for n, row in enumerate(rows):
        if n % EVERY == EVERY // 4:
            row["text"] = f"{row['text']} {WORD} {n}"
            choking.add(row["id"])
    file = stream.write(tmp_path / "stream.jsonl", rows)
    opinions, _ = embedded(file, tmp_path / "embedded")  # with a classifier that chokes on nothing
    with Cluster(servers, tmp_path / "workers") as cluster:
        cluster.stores.bus.publish("raw", [("somebody", b"{not json"), ("somebody", b"\xff\xfe")])
        cluster.publish(file, wait=False)
        cluster.start("classify", arguments=["--chokes-on", WORD])
        cluster.start("prepare", "story", "index", "order", "detect", "record")
        cluster.wait_until_done(600 + TEXTS / 50)

        letters = cluster.dead_letters()
        of_raw = [d.letter for d in letters if d.letter.topic == "raw"]
        of_posts = [d.letter for d in letters if d.letter.topic == "posts"]
        assert len(letters) == len(of_raw) + len(of_posts) == len(bad) + 2 + len(choking)
        assert {json.loads(x.payload)["native_id"] for x in of_raw if "native_id" in x.payload} == bad
        without = {i: o for i, o in opinions.items() if WORD not in o["text"]}
        assert differences(cluster.opinions(), without) == []
        for letter in (d.letter for d in letters):
            assert letter.reason and letter.partition is not None and letter.offset is not None
            origin = next(iter(cluster.stores.bus.read(letter.topic, letter.offset, letter.partition)))
            assert letter.payload == payload_text(origin.value)
        assert all("Zyxomma" in letter.reason for letter in of_posts)

        listed = cluster.cli("dlq", "list", "--json")
        assert len(json.loads(listed.stdout)) == len(letters), listed.stderr
        cluster.stop("classify")
        cluster.start("classify")  # mended
        again = cluster.cli("dlq", "retry", *(d.id for d in letters if d.letter.topic == "posts"))
        assert again.returncode == 0 and f"{len(choking)} sent again" in again.stderr, again.stderr
        cluster.wait_until_done()
        assert differences(cluster.opinions(), opinions) == []
        assert len(cluster.dead_letters()) == len(of_raw)

        hopeless = cluster.cli("dlq", "retry", next(d.id for d in letters if d.letter.payload == "{not json"))
        assert hopeless.returncode == 1 and "cannot be sent as it is" in hopeless.stderr
        assert msgspec.json.decode(cluster.cli("status", "--json").stdout)["dead_letters"] == {"raw": len(of_raw)}
