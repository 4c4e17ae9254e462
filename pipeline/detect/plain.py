"""The kinds that ask nothing of the past: one text of an important source (message), the user's own number (static)."""

from typing import Literal

from pipeline.detect.judge import Asked, Judge, Verdict
from pipeline.detect.rules import Rule

_NEWS_H = 1  # while a message's episode runs, only texts of the last hour keep it up
_TEXT_H = 24  # a text that came late is still told, for a day


def message(judge: Judge, rule: Rule, asked: Asked) -> Verdict | None:
    """One negative text is enough; the lens has left only sure ones of important sources."""
    return _verdict(judge, rule, asked, _NEWS_H if asked.running else _TEXT_H, 1)


def static(judge: Judge, rule: Rule, asked: Asked) -> Verdict | None:
    """So many negatives, or such a share of at least `floor` texts, within the window."""
    window_h = rule.windows[0]
    if rule.count is not None:
        return _verdict(judge, rule, asked, window_h, rule.count)
    found = _verdict(judge, rule, asked, window_h, 1)
    if found is None or found.total < rule.least or found.negatives / found.total < (rule.share or 1.0):
        return None
    return found


def _verdict(judge: Judge, rule: Rule, asked: Asked, window_h: int, least: int) -> Verdict | None:
    first, bins = asked.window(window_h)
    k = sum(b.negatives for b in bins)
    if k < least:
        return None
    severity: Literal["S2", "S3"] = "S2" if rule.kind == "message" else "S3"
    n, voices = sum(b.total for b in bins), len(judge.voices(bins))
    return Verdict(window_h, first, asked.end, k, n, judge.usual(asked, window_h), 0.0, 0.0, voices, severity)
