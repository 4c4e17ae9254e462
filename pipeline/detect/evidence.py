"""The proof that an alert carries, and its one plain sentence in English and Chinese. Every number names its base."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from pipeline.detect.bins import Bin, Heard
from pipeline.detect.config import BIN_S, HOUR_S
from pipeline.detect.judge import Verdict
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


def build(verdict: Verdict, held: Held, names: Names) -> Evidence:
    """Evidence of a verdict."""
    negatives = [held.text(n) for b in held.bins for n, negative, _ in b.texts if negative]
    told = {t.story for t in negatives}
    copies = Counter(held.text(n).story for b in held.bins for n, _, _ in b.texts if held.text(n).story in told)
    usual = verdict.usual
    low, high = count_band(usual.mean, usual.phi)
    rise = rise_began(held.before, usual.mean / (verdict.end - verdict.first))
    facts = Facts(
        verdict.window_h, verdict.negatives, verdict.total, low, high,
        verdict.negatives / verdict.total, usual.share, verdict.voices,
    )  # fmt: skip
    return Evidence(
        window_s=verdict.window_h * HOUR_S,
        negatives=verdict.negatives,
        total=verdict.total,
        expected=round(usual.mean, 4),
        usual_low=low,
        usual_high=high,
        ratio=round(verdict.ratio, 4),
        share=round(facts.share, 4),
        usual_share=round(usual.share, 4),
        score_count=round(verdict.score_count, 3),
        score_share=round(verdict.score_share, 3),
        rise_began_at=datetime.fromtimestamp(rise * BIN_S, UTC),
        sources=verdict.voices,
        spread=sum(copies.values()),
        top_stories=_stories(negatives, copies),
        top_sources=_most(t.voice for t in negatives),
        model_version=max(negatives, key=lambda t: (t.at, t.id)).model_version,
        sentence_en=sentence_en(names(held.key, "en"), facts),
        sentence_zh=sentence_zh(names(held.key, "zh"), facts),
    )


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


def _stories(negatives: list[Heard], copies: Counter[str]) -> tuple[Story, ...]:
    """The stories that spread furthest, newest first among equals; each by its first negative text."""
    first: dict[str, Heard] = {}
    for text in sorted(negatives, key=lambda t: (t.at, t.id)):
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


class Facts(NamedTuple):
    """The numbers of the sentence."""

    hours: int
    negatives: int
    total: int
    low: int
    high: int
    share: float
    usual_share: float
    voices: int


def sentence_en(name: str, f: Facts) -> str:
    """E.g. "Boeing: 37 negative of 95 in the last 6 hours, from 12 voices; usually 8 to 15 negative. …"."""
    hours = "hour" if f.hours == 1 else f"{f.hours} hours"
    usual = f"{f.high} at most" if f.low == 0 else f"{f.low} to {f.high}"
    voices = "1 voice" if f.voices == 1 else f"{f.voices} voices"
    return (
        f"{name}: {f.negatives} negative of {f.total} in the last {hours}, from {voices}; usually {usual} negative. "
        f"Negative share {_percent(f.share)}, usually {_percent(f.usual_share)}."
    )


def sentence_zh(name: str, f: Facts) -> str:
    """E.g. "恒大：过去6小时37篇负面（共95篇，12个发布者），平时8到15篇；负面占比39%，平时12%。"."""
    usual = f"最多{f.high}篇" if f.low == 0 else f"{f.low}到{f.high}篇"
    return (
        f"{name}：过去{f.hours}小时{f.negatives}篇负面（共{f.total}篇，{f.voices}个发布者），平时{usual}；"
        f"负面占比{_percent(f.share)}，平时{_percent(f.usual_share)}。"
    )


def _percent(x: float) -> str:
    return f"{x:.0%}" if x >= 0.01 else f"{x:.1%}"
