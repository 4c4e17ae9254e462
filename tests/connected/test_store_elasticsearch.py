"""The opinion store on a real Elasticsearch passes the contract; every test has an alias of its own."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipeline.settings import ElasticsearchSettings
from pipeline.store import es_months
from pipeline.store.base import OpinionStore
from pipeline.store.elasticsearch import ElasticsearchOpinionStore
from pipeline.store.es_client import Connection
from tests.contract.store_contract import INDEXED_AT, OpinionStoreContract

pytestmark = pytest.mark.connected


@contextmanager
def an_alias(url: str, **more: Any) -> Iterator[ElasticsearchSettings]:
    """Settings with an alias that nobody uses; its indices and template are gone in the end."""
    settings = ElasticsearchSettings(url=url, index=f"test-{uuid.uuid4().hex[:12]}", **more)
    yield settings
    connection = Connection(settings)
    es_months.drop(connection, [h.name for h in es_months.existing(connection, settings.index)])
    connection.request("DELETE", f"/_index_template/{settings.index}", allow=(404,))
    connection.close()


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
