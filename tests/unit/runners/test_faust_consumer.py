"""Faust's events behind the bus contract: nothing is acknowledged before it is done, nor out of order."""

import asyncio
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("faust")

from pydantic import SecretStr

from pipeline.errors import WindvaneError
from pipeline.runners.faust_app import FaustConsumer, credentials
from pipeline.settings import KafkaSettings


class Event:
    def __init__(self, offset: int, acked: list[int], partition: int = 0) -> None:
        self.message = SimpleNamespace(partition=partition, offset=offset, key=b"k", value=b"%d" % offset)
        self._acked = acked

    def ack(self) -> None:
        self._acked.append(self.message.offset)


@given(st.lists(st.one_of(st.tuples(st.sampled_from(["put", "poll", "commit"]), st.integers(1, 4)),
                          st.just(("rewind", 0))), max_size=40))  # fmt: skip
def test_acknowledged_is_a_prefix_of_what_came(actions):
    async def history() -> None:
        consumer, acked = FaustConsumer("raw"), []
        consumer.assigned(frozenset({0}))
        came, position, flight = 0, 0, []
        for action, n in actions:
            match action:
                case "put":
                    for _ in range(n):
                        consumer.put(Event(came, acked))
                        came += 1
                case "poll":
                    polled = consumer.poll(n)
                    assert [m.offset for m in polled] == list(range(position, min(position + n, came)))
                    position += len(polled)
                    flight += polled
                case "commit" if flight:
                    done, flight = flight[:n], flight[n:]
                    consumer.commit(done)
                    await asyncio.sleep(0)
                    assert acked == list(range(done[-1].offset + 1))
                case "rewind":
                    consumer.rewind()
                    position, flight = len(acked), []
        assert acked == list(range(len(acked)))

    asyncio.run(history())


def test_a_rebalance_forgets_what_was_read_and_says_so():
    async def history() -> None:
        consumer, acked = FaustConsumer("raw"), []
        assert not consumer.owns()
        consumer.assigned(frozenset({0}))
        before = consumer.generation
        consumer.put(Event(0, acked))
        held = consumer.poll(10)
        consumer.assigned(frozenset())
        consumer.commit(held)
        await asyncio.sleep(0)
        assert acked == [], "another worker's now"
        assert consumer.poll(10) == []
        assert consumer.generation != before
        assert not consumer.owns()

    asyncio.run(history())


def test_credentials_follow_the_settings():
    assert credentials(KafkaSettings()) is None
    sasl = credentials(KafkaSettings(security="SASL_PLAINTEXT", username="u", password=SecretStr("p")))
    assert (sasl.username, sasl.mechanism.value) == ("u", "SCRAM-SHA-512")
    with pytest.raises(WindvaneError, match=r"kafka\.username and kafka\.password"):
        credentials(KafkaSettings(security="SASL_SSL"))
