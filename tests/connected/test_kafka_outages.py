"""Kafka goes away and comes back, or was never there: sentences, no loss, and work goes on by itself."""

import contextlib
import threading
import time
from typing import Any

import pytest

from pipeline.bus.base import MESSAGE_LIMIT, TooLarge
from pipeline.errors import Retry, WindvaneError
from pipeline.graph import ORDERED, TOPICS, dlq
from tests.connected.kafka_help import QUICK, bus_on, numbers, publish, until
from tests.connected.servers.base import free_port

pytestmark = pytest.mark.connected

HASTY = QUICK._replace(request_s=2, deliver_s=4)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_broker_that_restarts_under_load_loses_nothing(stoppable_kafka: Any, how: str) -> None:
    """Producer and consumer as a worker runs them: Retry is waited out, everything else would fail the test."""
    sent: list[int] = []
    got: list[int] = []
    over = threading.Event()
    failed: list[BaseException] = []

    with bus_on(stoppable_kafka.address, QUICK) as bus:
        publish(bus, 0, 1)

        def produce() -> None:
            at = 0
            while not over.is_set():
                with contextlib.suppress(Retry):
                    publish(bus, at, 20)
                    sent.extend(range(at, at + 20))
                    at += 20
                time.sleep(0.02)

        def consume() -> None:
            consumer = bus.consumer("g", "t")
            while not over.is_set() or set(sent) - set(got):
                try:
                    polled = consumer.poll(100)
                    got.extend(numbers(polled))
                    consumer.commit(polled)
                except Retry as e:
                    consumer.rewind()
                    consumer.wait(min(e.after, 0.5))

        def guarded(work: Any) -> threading.Thread:
            def run() -> None:
                try:
                    work()
                except BaseException as e:
                    failed.append(e)

            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            return thread

        threads = [guarded(produce), guarded(consume)]
        for _ in range(2):
            before = until(lambda: len(sent) > 200 and len(sent))
            getattr(stoppable_kafka, how)()
            time.sleep(4)
            stoppable_kafka.start()
            until(lambda before=before: failed or len(sent) > before + 200)
        over.set()
        for thread in threads:
            thread.join(90)
        assert failed == []
        assert not any(thread.is_alive() for thread in threads)
        assert set(got) >= set(sent)
        assert until(lambda: bus.lag("g", "t") == 0)
        print(f"{how}: {len(sent)} sent, {len(got) - len(set(got))} came twice")


def test_while_it_is_down_every_verb_says_so_and_recovers(stoppable_kafka: Any) -> None:
    with bus_on(stoppable_kafka.address, HASTY, partitions=1) as bus:
        publish(bus, 0, 5)
        consumer = bus.consumer("g", "t")
        before = until(lambda: consumer.poll(5))
        stoppable_kafka.stop()
        with pytest.raises(Retry, match="did not answer"):
            publish(bus, 100, 5)
        with pytest.raises(Retry, match="did not answer"):
            bus.lag("g", "t")
        with pytest.raises(Retry, match="did not answer"):
            list(bus.read("t"))
        with pytest.raises(Retry, match="did not answer"):
            consumer.commit(before)
        for _ in range(3):
            with contextlib.suppress(Retry):
                assert consumer.poll(10) == []
        consumer.wait(0.5)
        stoppable_kafka.start()
        until(lambda: consumer.commit(before) or bus.committed("g", "t") == 5)
        until(lambda: publish(bus, 5, 5) or True)
        assert numbers(until(lambda: consumer.poll(10))) == [5, 6, 7, 8, 9]
        # what a failed publish left behind never arrives later
        assert numbers(list(bus.read("t"))) == list(range(10))


def test_a_wrong_address_is_a_sentence_and_leaves_no_thread_behind() -> None:
    address = f"127.0.0.1:{free_port()}"
    with bus_on(address, HASTY) as bus:
        consumer = bus.consumer("g", "t")
        threads = threading.active_count()
        for attempt in (lambda: publish(bus, 0, 1), lambda: consumer.poll(1), lambda: bus.lag("g", "t"), bus.version):
            began = time.monotonic()
            with pytest.raises(Retry, match=rf"{address} did not answer.*kafka\.servers"):
                attempt()
            assert time.monotonic() - began < HASTY.request_s + 4
        assert until(lambda: threading.active_count() <= threads, seconds=5)


def test_a_message_that_is_too_large_names_its_size_and_nothing_is_sent(kafka_server: Any) -> None:
    with bus_on(kafka_server.address, partitions=1) as bus:
        bus.publish("t", [("k", b"x" * (MESSAGE_LIMIT - 1))])
        with pytest.raises(TooLarge, match=rf"at most {MESSAGE_LIMIT:,} bytes.*{MESSAGE_LIMIT + 9:,}") as e:
            bus.publish("t", [("k", b"small"), ("k", b"x" * (MESSAGE_LIMIT + 8))])
        assert e.value.index == 1
        assert [len(m.value) for m in bus.read("t")] == [MESSAGE_LIMIT - 1]
        assert len(until(lambda: bus.consumer("g", "t").poll(10))) == 1


def test_topics_are_made_once_and_a_difference_is_said(kafka_server: Any) -> None:
    with bus_on(kafka_server.address, partitions=3) as bus:
        assert bus.ensure_topics() == []
        assert bus.ensure_topics() == []
        names = [*TOPICS, *ORDERED]
        made = {s.topic: s.partitions for s in bus.states([*names, *map(dlq, names)])}
        assert made == {t: 1 if t.endswith(".dlq") or t in (*ORDERED, "control") else 3 for t in made}
        assert len(made) == 2 * len(names)
        prefix = bus._settings.prefix
        with bus_on(kafka_server.address, partitions=4, retention_days=2, prefix=prefix) as other:
            remarks = other.ensure_topics()
        assert any("raw has 3 partitions; kafka.partitions is 4" in r for r in remarks)
        assert any("prepared keeps messages 7 days; the settings say 2 days" in r for r in remarks)


def test_an_ordered_topic_with_more_than_one_partition_is_refused(kafka_server: Any) -> None:
    with bus_on(kafka_server.address) as bus:
        name = bus._settings.prefix + "timeline"
        bus._admin.ask("a test", lambda admin: admin.create_topics({name: {"num_partitions": 2}}))
        with pytest.raises(WindvaneError, match=r"timeline: expected 1 partition.*found 2"):
            bus.ensure_topics()


def test_an_ordinary_member_is_refused_in_a_group_of_sole_readers(kafka_server: Any) -> None:
    with bus_on(kafka_server.address) as bus:
        publish(bus, 0, 1)
        sole = bus.consumer("g", "t", sole=True)
        assert until(lambda: sole.poll(1))
        with pytest.raises(WindvaneError, match="keeps this member out of its group"):
            bus.consumer("g", "t").poll(1)


def test_key_and_value_by_another_hand_are_empty_not_missing(kafka_server: Any) -> None:
    with bus_on(kafka_server.address, partitions=1) as bus:
        publish(bus, 0, 1)
        bus._publisher._connected().send(bus._settings.prefix + "t", key=b"\xff", value=None).get(10)
        assert [(m.key, m.value) for m in bus.read("t")] == [("key 0", b"0"), ("\ufffd", b"")]
