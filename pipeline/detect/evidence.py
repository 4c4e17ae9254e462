"""The proof that an alert carries: counts, what is usual, tests, stories. Every number names its base."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from pipeline.detect.bins import Bin, Heard
from pipeline.detect.config import BIN_S, HOUR_S
from pipeline.detect.judge import Verdict
from pipeline.detect.rules import Rule
from pipeline.detect.sentences import Facts, sentences
from pipeline.detect.tails import count_band
from pipeline.naming import Names
from pipeline.records import Evidence, Story

TOP = 5  # stories and sources shown
RISE_TIMES = 2.0  # the rise is dated by a CUSUM for a doubling (research A4)


class Held(NamedTuple):
    """The texts behind a verdict."""

    key: str
    bins: list[Bin]  # of the window
    before: list[Bin]  # of the day up to the end of the window, to date the rise
    text: Callable[[int], Heard]


def build(rule: Rule, verdict: Verdict, held: Held, names: Names) -> Evidence:
    """Evidence of a verdict. A silence has no texts in its window: those before it say when it began and who spoke."""
    silent = rule.kind == "silence"
    shown = [held.text(n) for b in (held.before if silent else held.bins) for n, counted, _ in b.texts if counted]
    told = {t.story for t in shown}
    copies = Counter(held.text(n).story for b in held.bins for n, _, _ in b.texts if held.text(n).story in told)
    usual = verdict.usual
    low, high = count_band(usual.mean, usual.phi)
    texts = rule.defaults.counted == "texts"
    negatives = sum(t.negative for t in shown if not silent) if texts else verdict.negatives
    stories = _stories(shown, copies)
    facts = Facts(
        verdict.window_h, negatives, verdict.total, low, high, usual.mean,
        negatives / max(verdict.total, 1), usual.share, verdict.voices, stories[0] if stories else None,
        verdict.days,
    )  # fmt: skip
    name_en, name_zh = names(held.key, "en"), names(held.key, "zh")
    sentence_en, sentence_zh = sentences(rule, name_en, name_zh, facts)
    return Evidence(
        window_s=verdict.window_h * HOUR_S,
        negatives=negatives,
        total=verdict.total,
        expected=round(usual.mean, 4),
        usual_low=low,
        usual_high=high,
        ratio=round(verdict.ratio, 4),
        share=round(facts.share, 4),
        usual_share=0.0 if texts else round(usual.share, 4),
        score_count=round(verdict.score_count, 3),
        score_share=round(verdict.score_share, 3),
        rise_began_at=datetime.fromtimestamp(_began(rule, verdict, held) * BIN_S, UTC),
        sources=verdict.voices,
        spread=sum(copies.values()),
        top_stories=() if silent else stories,
        top_sources=_most(t.voice for t in shown),
        model_version=max(shown, key=lambda t: (t.at, t.id)).model_version if shown else "",
        sentence_en=sentence_en,
        sentence_zh=sentence_zh,
        kind=rule.kind,
        counted=rule.defaults.counted,
        tests=rule.defaults.tests,
    )


def _began(rule: Rule, verdict: Verdict, held: Held) -> int:
    """The bin in which it began."""
    if rule.kind == "silence":
        return held.before[-1].index + 1 if held.before else verdict.first
    return rise_began(held.before, verdict.usual.mean / (verdict.end - verdict.first))


def rise_began(bins: Iterable[Bin], mean_per_bin: float) -> int:
    """First bin of the rise: the first negatives after the last zero of a Poisson CUSUM for a doubling."""
    score, began, last = 0.0, 0, 0
    for b in bins:
        if not b.negatives:
            continue
        quiet = max(0, b.index - last - 1) if last else 0
        score = max(0.0, score - (RISE_TIMES - 1.0) * mean_per_bin * (quiet + 1))
        if score == 0.0:
            began = b.index
        score += b.negatives * 0.6931471805599453  # ln 2
        last = b.index
    return began


def _stories(texts: list[Heard], copies: Counter[str]) -> tuple[Story, ...]:
    """The stories that spread furthest, newest first among equals; each by its first counted text."""
    first: dict[str, Heard] = {}
    for text in sorted(texts, key=lambda t: (t.at, t.id)):
        first.setdefault(text.story, text)
    ranked = sorted(first.values(), key=lambda t: (-copies[t.story], -t.at, t.id))[:TOP]
    return tuple(
        Story(
            story_id=t.story, title=t.title, source=t.source, url=t.url,
            published_at=datetime.fromtimestamp(t.at, UTC), copies=copies[t.story],
        )
        for t in ranked
    )  # fmt: skip


def _most(values: Iterable[str]) -> tuple[str, ...]:
    counts = Counter(values)
    return tuple(v for v, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP])
