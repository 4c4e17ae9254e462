"""`python -m tests.connected.worker_failing prepare FILE`: the prepare worker as it is, with a bus that fails in a way
that nobody foresaw at the third batch a process publishes. FILE counts the failures, so that only the first DEATHS
processes fail: how much a process does before its third batch depends on the machine, and what was not committed is
done again, so that a worker which always failed might never come to an end."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.cli.common import load_settings, set_up_logs
from pipeline.compose_workers import build_loop
from pipeline.graph import WORKERS, node
from pipeline.programs.worker import open_patiently
from pipeline.runners.faust_app import FaustConsumer, build_app, run_app

FAILS_AT = 3
DEATHS = 2


class FailingBus:
    """The bus, but for that."""

    def __init__(self, bus: Any, deaths: Path) -> None:
        self._bus = bus
        self._deaths = deaths
        self._published = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bus, name)

    def publish(self, topic: str, entries: Sequence[tuple[str, bytes]]) -> None:
        self._published += 1
        if self._published == FAILS_AT and (died := deaths_in(self._deaths)) < DEATHS:
            self._deaths.write_text(str(died + 1))
            raise ZeroDivisionError("nobody foresaw this")
        self._bus.publish(topic, entries)


def deaths_in(file: Path) -> int:
    return int(file.read_text()) if file.exists() else 0


def main() -> None:
    set_up_logs("json")
    settings, stage = load_settings(), sys.argv[1]
    stores = open_patiently(settings)
    failing: Any = FailingBus(stores.bus, Path(sys.argv[2]))
    consumer = FaustConsumer(node(stage, WORKERS).reads)
    loop = build_loop(settings, replace(stores, bus=failing), stage, consumer)
    with TemporaryDirectory() as folder:
        run_app(build_app(settings.kafka, node(stage, WORKERS), consumer, Path(folder)), loop.run)


if __name__ == "__main__":
    main()
