"""A key that speaks all the time says nothing, while the rest of the stream goes on: a feed died, a forum is down.

Judged once an hour, when the stream speaks again; a stream that is silent as a whole judges nothing, and what its
silence left empty is held against nobody.
"""

import math

from pipeline.detect.config import BINS_PER_HOUR
from pipeline.detect.judge import Asked, Judge, Verdict
from pipeline.detect.rules import Rule


def verdict(judge: Judge, rule: Rule, asked: Asked) -> Verdict | None:
    """The shortest window without a text that is too long to be chance: P(0) of the negative binomial."""
    for window_h in sorted(rule.windows):
        first, bins = asked.window(window_h)
        if first < asked.since or any(b.texts for b in bins):
            return None
        usual = judge.usual(asked, window_h)
        score = usual.mean / (usual.phi - 1.0) * math.log10(usual.phi)
        if usual.mean >= rule.least and score >= rule.score * asked.factor and _others(judge, first, asked, usual.mean):
            return Verdict(window_h, first, asked.end, 0, 0, usual, score, 0.0, 0, "S3")
    return None


def _others(judge: Judge, first: int, asked: Asked, own: float) -> bool:
    """The other texts of the stream came as usual: enough of them, and in every hour or nearly."""
    c, stream = judge.config, judge.baselines.stream
    hours = range(first // BINS_PER_HOUR, (asked.end - 1) // BINS_PER_HOUR + 1)
    usual = stream.usual(hours) - own
    return usual >= c.silence_min_others and stream.heard_in(hours) >= c.silence_others * usual


def over(asked: Asked) -> bool:
    """It speaks again: a text in the last hour."""
    return any(b.texts for b in asked.window(1)[1])
