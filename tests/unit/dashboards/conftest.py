"""One seeded world for all (reading) tests of the page, and a client that is this machine's browser."""

from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient

from dashboards.app import create_app
from tests.browser.seed import World, seeded

BASE = "http://127.0.0.1:8710"


@pytest.fixture(scope="session")
def world() -> World:
    return seeded()


@pytest.fixture(scope="session")
def client(world: World) -> Iterator[TestClient]:
    with TestClient(create_app(world.deps), base_url=BASE) as c:
        yield c


@pytest.fixture
def fresh() -> Callable[[], tuple[World, TestClient]]:
    """A world of its own, empty of texts, for tests that change things."""

    def make() -> tuple[World, TestClient]:
        world = seeded(empty=True)
        return world, TestClient(create_app(world.deps), base_url=BASE)

    return make
