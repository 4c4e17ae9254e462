"""`python -m tests.connected.publish_file FILE SECONDS`: `windvane replay FILE --to kafka`, settings from the
environment, at a speed that spreads the file over so many seconds. SECONDS = --by-source: as fast as it goes, each text
keyed by its own source, as a crawl does, over all partitions of `raw`."""

import json
import sys
from datetime import datetime
from pathlib import Path

from pipeline.cli.common import load_settings, set_up_logs
from pipeline.programs.publish import publish_file
from pipeline.programs.worker import open_patiently
from pipeline.runners.feeding import Feeder, in_batches
from pipeline.settings import Settings
from pipeline.sources.files import file_source


def main() -> None:
    set_up_logs("json")
    settings, file, how = load_settings(), Path(sys.argv[1]), sys.argv[2]
    if how == "--by-source":
        by_source(settings, file)
        return
    seconds = float(how)
    speed = span_s(file) / seconds if seconds else 0
    print(publish_file(settings, file, speed, lambda done, text: None))


def span_s(file: Path) -> float:
    """From the first text's time to the last one's."""
    lines = file.read_bytes().splitlines()
    first, last = (datetime.fromisoformat(json.loads(lines[n])["ts"]) for n in (0, -1))
    return (last - first).total_seconds()


def by_source(settings: Settings, file: Path) -> None:
    stores = open_patiently(settings)
    feeder = Feeder(stores.bus, stores.control, stores.unit_of_work)
    for items, position in in_batches(file_source(file).items(None), 20):
        feeder.publish(items, "source:spread", position)
    stores.close()


if __name__ == "__main__":
    main()
