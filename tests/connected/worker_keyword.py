"""`python -m tests.connected.worker_keyword STAGE`: `windvane worker STAGE` with the word-list classifier, so that
flows need no weights. Settings from the environment, as ever."""

import sys

from models.keyword import KeywordClassifier
from pipeline.cli.common import load_settings, set_up_logs
from pipeline.programs.worker import run_worker


def main() -> None:
    set_up_logs("json")
    run_worker(load_settings(), sys.argv[1], None, lambda _: KeywordClassifier())


if __name__ == "__main__":
    main()
