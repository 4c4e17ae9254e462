"""A real Chromium over a seeded world. Without a Chromium the tests are skipped, and say so."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request, sync_playwright

from tests.browser.seed import World, seeded, served

# --no-sandbox: Chromium refuses to run as root with it; the rest keeps it from calling out by itself.
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

PATIENCE_MS = 90_000  # a page is not judged by how busy the machine is


def chromium() -> str | None:
    """Debian's Chromium, another one on the path, or Playwright's own."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    with sync_playwright() as p:
        own = p.chromium.executable_path
    return own if Path(own).exists() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("no Chromium found: apt-get install chromium fonts-noto-cjk, or playwright install chromium")
    with sync_playwright() as p:
        launched = p.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def world() -> World:
    return seeded()


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with served(world.deps) as address:
        yield address


Opened = tuple[Page, list[str]]


@pytest.fixture
def visit(browser: Browser, url: str) -> Iterator[Callable[..., Opened]]:
    """Open a path; gives the page and the list of what went wrong: console errors, exceptions, outside requests."""
    contexts: list[BrowserContext] = []

    def open_page(path: str = "/", width: int = 1400, address: str = url, **options: Any) -> Opened:
        options = {"locale": "en-GB", "timezone_id": "Asia/Shanghai", **options}
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        wrong: list[str] = []

        def on_console(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                wrong.append(f"console: {message.text}")

        def on_request(request: Request) -> None:
            if not request.url.startswith((address, "data:")):
                wrong.append(f"request to {request.url}")

        def on_error(error: Error) -> None:
            wrong.append(f"exception: {error}")

        page.on("console", on_console)
        page.on("pageerror", on_error)
        page.on("request", on_request)
        page.goto(address + path)
        page.wait_for_selector("html[data-ready=yes]")
        return page, wrong

    yield open_page
    folder = os.environ.get("WINDVANE_SCREENSHOTS")  # look at what the tests saw
    for i, context in enumerate(contexts):
        if folder:
            for page in context.pages:
                page.screenshot(path=Path(folder) / f"{os.getpid()}-{i}.png", full_page=True)
        context.close()
