"""`python -m tests.flow.replay_keyword FILE DATA_DIR`: `windvane replay` with the word-list classifier, so that flows
need no weights. A process of its own, because the kill tests kill it."""

import sys
from pathlib import Path

from models.keyword import KeywordClassifier
from pipeline.compose import build_embedded, entity_table, open_embedded, sole_runner, subscribe_defaults
from pipeline.programs.replay import Replayed, replay
from pipeline.settings import Settings
from pipeline.sources.files import file_source


def run(file: Path, data_dir: Path) -> Replayed:
    settings = Settings(data_dir=data_dir)
    with sole_runner(data_dir):
        stores = open_embedded(data_dir)
        subscribe_defaults(stores.control, settings.deliver)
        embedded = build_embedded(settings, stores, entity_table(settings), KeywordClassifier())
        embedded.start()
        done = replay(embedded, stores, file_source(file), speed=0, report=lambda sent: None)
        embedded.stop()
        stores.close()
    return done


if __name__ == "__main__":
    print(run(Path(sys.argv[1]), Path(sys.argv[2])))
