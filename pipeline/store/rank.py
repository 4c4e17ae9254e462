"""Best match first: BM25 over the newest matches, in Python, so that its cost has a bound at any size.

FTS5's own bm25() first counts every hit of every word in the whole index (200 ms for 55 000 hits).
"""

import math
from collections.abc import Sequence

from pipeline.store.words import words

CANDIDATES = 2000  # the newest so many matches are ranked; older ones do not compete

_K1, _B = 1.2, 0.75


def scores(units: Sequence[tuple[str, ...]], texts: Sequence[str], frequency: Sequence[float]) -> list[float]:
    """BM25 of each text. `frequency` is the share of all texts that hold the unit, per unit, in (0, 1]."""
    weights = [math.log(1 + 1 / f) for f in frequency]
    patterns = [f" {' '.join(unit)} " for unit in units]
    held = [words(text) for text in texts]
    mean = sum(map(len, held)) / max(1, len(held)) or 1.0
    result = []
    for tokens in held:
        # single spaces between words would be shared by neighbours ("x x"), and count() takes each once
        line = f" {' '.join(tokens)} "
        norm = _K1 * (1 - _B + _B * len(tokens) / mean)
        score = 0.0
        for weight, pattern in zip(weights, patterns, strict=True):
            n = line.count(pattern)
            score += weight * n * (_K1 + 1) / (n + norm)
        result.append(score)
    return result
