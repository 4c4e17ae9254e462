"""`windvane run` and `windvane serve`: texts as they appear, and the page."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from pipeline.cli.common import console
from pipeline.compose import Stores, entity_table
from pipeline.control.tiers import put_tiers
from pipeline.programs.page import Page, web_deps
from pipeline.programs.replay import position_name, resume
from pipeline.programs.running import running, served
from pipeline.programs.stopping import stopping
from pipeline.runners.embedded import LATENESS, Embedded
from pipeline.settings import FeedSettings, Settings
from pipeline.sources.base import Source
from pipeline.sources.feeds import FeedSource, load_feeds
from pipeline.sources.stdin import StdinSource

log = structlog.get_logger(__name__)

ADVANCE_S = 30.0  # how often an idle stream's clock moves on, so that bins close without new texts


def run_live(settings: Settings, feeds: Path | None, stdin: bool, *, allow_remote: bool, open_page: bool) -> None:
    """Until stopped. Each source goes on after its stored position, where it has one."""
    with stopping() as stop:
        feed_source = _feed_source(settings.feeds, feeds, stop) if feeds else None
        sources: list[Source] = [feed_source] if feed_source else []
        if stdin:
            sources.append(StdinSource(sys.stdin.buffer))
        with running(settings) as (stores, embedded, table):
            if feed_source:
                put_tiers(stores.control, feed_source.tiers)
            deps = web_deps(stores, table.names, "live", settings, silent_sources=_silent(feed_source, stores))
            page = Page(deps, settings.web, allow_remote=allow_remote)
            with served(page, stores, settings, open_page=open_page):
                console.print(f"Windvane 风向标 is at [bold]{page.url}[/]  (Ctrl-C stops it)")
                _watch(embedded, stores, sources, stop)


def _feed_source(settings: FeedSettings, feeds: Path, stop: threading.Event) -> FeedSource:
    return FeedSource(load_feeds(feeds, settings.allow_private), stop, settings.contact, settings.allow_private)


def _silent(feeds: FeedSource | None, stores: Stores) -> Callable[[], list[str]]:
    return lambda: [h.name for h in feeds.silent(stores.clock())] if feeds else []


def _watch(embedded: Embedded, stores: Stores, sources: list[Source], stop: threading.Event) -> None:
    """Read every source on a thread of its own; move the detector's clock while all is quiet."""
    failures: list[BaseException] = []

    def read(source: Source) -> None:
        try:
            for _ in embedded.feed(resume(stores, source), position_name(source), batch=1):
                if stop.is_set():
                    break
        except BaseException as e:
            failures.append(e)
            stop.set()

    readers = [threading.Thread(target=read, args=(s,), name=s.name, daemon=True) for s in sources]
    for reader in readers:
        reader.start()
    while not stop.wait(ADVANCE_S if any(r.is_alive() for r in readers) else 0.1):
        embedded.check()
        if embedded.behind() == 0:
            embedded.advance(stores.clock() - LATENESS)
            if not any(r.is_alive() for r in readers):
                log.info("every source has ended; the page stays until Ctrl-C")
                stop.wait()
    if failures:
        raise failures[0]


def serve_only(settings: Settings, stores: Stores, *, allow_remote: bool, open_page: bool) -> None:
    """The page over what is there, until stopped."""
    deps: Any = web_deps(stores, entity_table(settings).names, "replay", settings)
    page = Page(deps, settings.web, allow_remote=allow_remote)
    with stopping() as stop:
        page.start(open_page=open_page)
        console.print(f"Windvane 风向标 is at [bold]{page.url}[/]  (Ctrl-C stops it)")
        stop.wait()
        page.stop()
        stores.close()
