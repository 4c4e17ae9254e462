"""Order and time for the whole run."""

import pytest
from hypothesis import settings

# a busy machine is no failure: hypothesis' own limit of 200 ms an example fails there at random
settings.register_profile("windvane", deadline=None)
settings.load_profile("windvane")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: while Playwright's browser is open its event loop runs in the main thread, where no other
    test could start one of its own."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
