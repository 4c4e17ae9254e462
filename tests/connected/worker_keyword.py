"""`python -m tests.connected.worker_keyword STAGE [--chokes-on WORD]`: `windvane worker STAGE` with the word-list
classifier, so that flows need no weights. Settings from the environment, as ever. --chokes-on: with a fault in it, to
be mended by starting it without: it raises at texts that hold the word."""

import sys
from collections.abc import Sequence

from models.contract import Prediction, Text
from models.keyword import KeywordClassifier
from pipeline.cli.common import load_settings, set_up_logs
from pipeline.programs.worker import run_worker


class Choking(KeywordClassifier):
    """Raises at a word."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self._word = word

    def predict(self, texts: Sequence[Text]) -> list[Prediction]:
        if any(self._word in text.text for text in texts):
            raise ValueError(f"cannot read {self._word!r}")
        return super().predict(texts)


def main() -> None:
    set_up_logs("json")
    _, stage, *more = sys.argv
    classifier = Choking(more[1]) if more[:1] == ["--chokes-on"] else KeywordClassifier()
    run_worker(load_settings(), stage, None, lambda _: classifier)


if __name__ == "__main__":
    main()
