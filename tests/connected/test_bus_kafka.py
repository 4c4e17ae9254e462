"""The bus on a real Kafka passes the contract; every test has topics and groups of its own, by their prefix."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipeline.bus.base import Bus
from pipeline.bus.kafka import KafkaBus
from pipeline.bus.kafka_options import Timing
from pipeline.settings import KafkaSettings
from tests.contract.bus_contract import BusContract

pytestmark = pytest.mark.connected


def settings_for(address: str, **more: object) -> KafkaSettings:
    """A Kafka as nobody has used it: no topics, no groups."""
    return KafkaSettings.model_validate({"servers": address, "prefix": f"test-{uuid.uuid4().hex[:12]}.", **more})


class TestKafkaBus(BusContract):
    patience = 3

    @pytest.fixture(autouse=True)
    def _server(self, kafka_server: Any) -> None:
        self.address = kafka_server.address

    @contextmanager
    def fresh(self) -> Iterator[Callable[[], Bus]]:
        settings = settings_for(self.address, partitions=2)  # the contract's one key, "k", then lies in partition 0
        opened: list[KafkaBus] = []

        def open_bus() -> Bus:
            opened.append(KafkaBus(settings, Timing(poll_s=0.3, fetch_s=0.1, join_s=2)))
            return opened[-1]

        yield open_bus
        for bus in opened:
            bus.close()
