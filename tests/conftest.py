"""Order for the whole run."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests last: while Playwright's browser is open its event loop runs in the main thread, where no other
    test could start one of its own."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
