"""The opinion store on a real Elasticsearch passes the contract; every test has an alias of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pipeline.store.base import OpinionStore
from pipeline.store.elasticsearch import ElasticsearchOpinionStore
from tests.connected.elasticsearch_alias import an_alias
from tests.contract.store_contract import INDEXED_AT, OpinionStoreContract

pytestmark = pytest.mark.connected


class TestElasticsearchStore(OpinionStoreContract):
    @pytest.fixture(autouse=True)
    def _address(self, elasticsearch_server) -> None:
        self.address = elasticsearch_server.address

    @contextmanager
    def fresh(self) -> Iterator[Callable[[], OpinionStore]]:
        opened: list[ElasticsearchOpinionStore] = []
        with an_alias(self.address) as settings:

            def open_store() -> OpinionStore:
                opened.append(ElasticsearchOpinionStore(settings, clock=lambda: INDEXED_AT))
                return opened[-1]

            yield open_store
            for store in opened:
                store.close()
