"""A pipeline on a data folder, started; and, where wanted, the page and the deliveries beside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pipeline.beside import beside
from pipeline.compose import (
    Stores,
    build_classifier,
    build_embedded,
    build_trimmer,
    entity_table,
    open_embedded,
    sole_runner,
    subscribe_defaults,
)
from pipeline.deliver.build import vault_of
from pipeline.prepare.entities import EntityTable
from pipeline.programs.deliveries import deliver_while
from pipeline.programs.page import Page
from pipeline.runners.embedded import Embedded
from pipeline.settings import Settings


class Running(NamedTuple):
    """What a program works with while the pipeline runs."""

    stores: Stores
    embedded: Embedded
    table: EntityTable


@contextmanager
def running(settings: Settings) -> Iterator[Running]:
    """The only pipeline on this data folder, its state rebuilt and its stages started; stopped at the end."""
    with sole_runner(settings.data_dir):
        stores = open_embedded(settings.data_dir)
        try:
            subscribe_defaults(stores.control, settings.deliver, vault_of(settings))
            table = entity_table(settings)
            embedded = build_embedded(settings, stores, table, build_classifier(settings.model))
            embedded.start()
            try:
                with beside(
                    build_trimmer(settings, stores).run, "trim", join_s=60
                ):  # only now: the stages have their state back
                    yield Running(stores, embedded, table)
            finally:
                embedded.stop()
        finally:
            stores.close()


@contextmanager
def served(page: Page, stores: Stores, settings: Settings, *, open_page: bool = False) -> Iterator[None]:
    """The page answers and deliveries go out until the block ends."""
    page.start(open_page=open_page)
    try:
        with deliver_while(stores, settings, page.url):
            yield
    finally:
        page.stop()
