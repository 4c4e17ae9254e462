"""The bus on a real Kafka passes the contract; every test has topics and groups of its own, by their prefix."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipeline.bus.base import Bus
from pipeline.bus.kafka import KafkaBus
from tests.connected.kafka_help import QUICK, settings_for
from tests.contract.bus_contract import BusContract

pytestmark = pytest.mark.connected


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
            opened.append(KafkaBus(settings, QUICK))
            return opened[-1]

        yield open_bus
        for bus in opened:
            bus.close()
