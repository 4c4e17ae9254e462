"""Deliveries beside a running pipeline: the dispatcher on a thread of its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.beside import beside
from pipeline.compose import Stores
from pipeline.deliver.build import build_dispatcher, vault_of
from pipeline.settings import Settings


@contextmanager
def deliver_while(stores: Stores, settings: Settings, page: str) -> Iterator[None]:
    """Send what is due until the block ends, then once more what is due at once; the rest is sent by the next run."""
    dispatcher = build_dispatcher(stores.control, settings.deliver, stores.clock, page, vault_of(settings))
    with beside(dispatcher.run, "deliver", join_s=30) as thread:
        yield
    while not thread.is_alive() and dispatcher.run_once():
        pass
