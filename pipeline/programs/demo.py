"""`windvane demo`: three synthetic bilingual weeks through the whole pipeline, with the page open."""

import json
import os
import sys
import tempfile
import threading
import time
import urllib.request
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from pipeline.cli.common import console, print_json
from pipeline.compose import Stores
from pipeline.programs.page import Page, web_deps
from pipeline.programs.replay import replay
from pipeline.programs.running import Running, running, served
from pipeline.runners.embedded import Embedded
from pipeline.settings import Settings
from pipeline.sources.files import file_source

CHECK_LIMIT_S = 120.0


def sample() -> Path:
    """The synthetic sample that ships with Windvane."""
    return Path(str(files("pipeline") / "demo" / "sample.jsonl.gz"))


def demo_settings(settings: Settings) -> Settings:
    """The settings with the demo's invented companies added to the built-in ones."""
    aliases = Path(str(files("pipeline") / "demo" / "aliases.csv"))
    return settings.model_copy(update={"prepare": settings.prepare.model_copy(update={"aliases": aliases})})


@contextmanager
def scratch_folder(data_dir: Path | None) -> Iterator[Path]:
    """The folder given, or a temporary one that is removed afterwards."""
    if data_dir is not None:
        yield data_dir
        return
    with tempfile.TemporaryDirectory(prefix="windvane-demo-") as folder:
        yield Path(folder)


@contextmanager
def demonstration(settings: Settings) -> Iterator[tuple[Running, Page]]:
    """The pipeline and its page, started."""
    with running(settings) as now:
        page = Page(web_deps(now.stores, now.table.names, "demo", settings), settings.web)
        with served(page, now.stores, settings):
            yield now, page


def run_demo(settings: Settings, speed: float, open_page: bool) -> None:
    """Replay with the page open, then keep the page until Ctrl-C."""
    with demonstration(settings) as ((stores, embedded, _), page):
        console.print(f"Windvane 风向标 is at [bold]{page.url}[/]  (synthetic texts; Ctrl-C stops it)")
        if open_page:
            webbrowser.open(page.url)
        done = _replay(stores, embedded, speed)
        console.print(
            f"{done.texts} texts in {done.seconds:.0f} s, {done.alerts} alerts. The page stays open until Ctrl-C."
        )
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            console.print("Stopped.")


def check_demo(settings: Settings) -> int:
    """Until the first alert can be read over HTTP: prints it with the seconds since the program started. Exit code."""
    with demonstration(settings) as ((stores, embedded, _), page):
        feeder = threading.Thread(target=_replay, args=(stores, embedded, 0), daemon=True)
        feeder.start()
        alerts: list[dict[str, Any]] = []
        while not alerts and since_program_start() < CHECK_LIMIT_S:
            time.sleep(0.1)
            embedded.check()
            alerts = _alerts(page.url)
        took = since_program_start()
        embedded.stop()
        feeder.join()
    if alerts:
        print_json({"first_alert_s": round(took, 2), "alert": min(alerts, key=lambda alert: alert["fired_at"])})
        return 0
    sys.stderr.write(f"windvane: no alert within {CHECK_LIMIT_S:.0f} s of the start; see `windvane doctor`.\n")
    return 1


def _alerts(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}api/alerts", timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)["items"]
    return found


def _replay(stores: Stores, embedded: Embedded, speed: float) -> Any:
    source = file_source(sample())
    return replay(stores=stores, embedded=embedded, source=source, speed=speed, report=lambda sent: None)


def since_program_start() -> float:
    """Seconds since this process was started by the system, imports included (Linux), else since this module was."""
    try:
        started = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, IndexError):
        return time.monotonic() - _IMPORTED


_IMPORTED = time.monotonic()
