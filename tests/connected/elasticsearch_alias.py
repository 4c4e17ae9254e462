"""An alias of its own for each test on a shared Elasticsearch."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.settings import ElasticsearchSettings
from pipeline.store import es_months
from pipeline.store.es_client import Connection


@contextmanager
def an_alias(url: str, **more: Any) -> Iterator[ElasticsearchSettings]:
    """Settings with an alias that nobody uses; its indices and template are gone in the end."""
    settings = ElasticsearchSettings(url=url, index=f"test-{uuid.uuid4().hex[:12]}", **more)
    try:
        yield settings
    finally:
        drop_alias(settings)


def drop_alias(settings: ElasticsearchSettings) -> None:
    """Its indices and its template go."""
    connection = Connection(settings)
    es_months.drop(connection, [h.name for h in es_months.existing(connection, settings.index)])
    connection.request("DELETE", f"/_index_template/{settings.index}", allow=(404,))
    connection.close()
