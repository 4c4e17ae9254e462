"""One key, one moment: does the window before it hold more negatives, and a larger share, than chance explains?"""

from collections.abc import Callable
from typing import NamedTuple

from pipeline.detect.baseline import Baselines, Usual
from pipeline.detect.bins import Bin, KeyBins
from pipeline.detect.config import BINS_PER_HOUR, WINDOWS_H, DetectorConfig
from pipeline.detect.rules import Rule
from pipeline.detect.tails import count_score, share_score
from pipeline.records import Severity

SEVERITIES: tuple[Severity, ...] = ("S3", "S2", "S1")  # ascending


class Asked(NamedTuple):
    """What is judged: a key's bins up to `end` (exclusive, bin index), none before `since`, against its row `slot`."""

    bins: KeyBins
    slot: int
    end: int
    since: int  # the end of the last episode: its texts raise no second alarm
    factor: float  # scores asked, times the rule's; 2 for a new key
    voices: int  # distinct voices asked


class Verdict(NamedTuple):
    """The rule holds in this window."""

    window_h: int
    first: int  # first bin of the window
    end: int
    negatives: int
    total: int
    usual: Usual
    score_count: float
    score_share: float
    voices: int

    @property
    def ratio(self) -> float:
        return self.negatives / self.usual.mean

    @property
    def severity(self) -> Severity:
        """By effect and evidence (research A4)."""
        if self.ratio >= 8 and self.voices >= 10:
            return "S1"
        if self.ratio >= 4 or min(self.score_count, self.score_share) >= 6:
            return "S2"
        return "S3"


class Judge:
    """Holds what every judgement needs. `voice_of` gives the voice of a text number."""

    def __init__(self, config: DetectorConfig, baselines: Baselines, voice_of: Callable[[int], str]) -> None:
        self._c = config
        self._baselines = baselines
        self._voice_of = voice_of

    def verdict(self, rule: Rule, asked: Asked) -> Verdict | None:
        """The strongest window in which every gate and both tests of the rule pass; None when there is none."""
        best: Verdict | None = None
        for window_h in sorted(rule.windows_h, reverse=True):
            first, bins = self._window(asked, window_h)
            k = sum(b.negatives for b in bins)
            if k < rule.floor:
                break  # a shorter window holds no more
            found = self._test(rule, asked, window_h, (first, bins, k))
            if found and (best is None or _strength(found) > _strength(best)):
                best = found
        return best

    def _test(self, rule: Rule, asked: Asked, window_h: int, held: tuple[int, list[Bin], int]) -> Verdict | None:
        first, bins, k = held
        usual = self._baselines.usual(asked.slot, first, asked.end, WINDOWS_H.index(window_h))
        if k < self._c.min_ratio * usual.mean:
            return None
        least = rule.score * asked.factor
        by_count = count_score(k, usual.mean, usual.phi)
        if by_count < least:
            return None
        n = sum(b.total for b in bins)
        by_share = share_score(k, n, usual.share_a, usual.share_b)
        if by_share < least and not self._plain(least, (by_count, by_share), k / n, usual, k / usual.mean):
            return None
        voices = len(self.voices(bins))
        if voices < asked.voices:
            return None
        return Verdict(window_h, first, asked.end, k, n, usual, by_count, by_share, voices)

    def _plain(self, least: float, scores: tuple[float, float], now: float, usual: Usual, ratio: float) -> bool:
        """The count is proof by itself and the share says the same, though few texts cannot move a beta-binomial far,
        however bad they are (decision 5). `scores`: of count and share; `now`: the share."""
        c = self._c
        by_count, by_share = scores
        odds = now * (1 - usual.share) / max(usual.share * (1 - now), 1e-9)  # against the usual odds
        asked = least - c.plain_slope * (by_count - least)
        if now >= 1 / 2 and odds >= c.plain_odds:
            return by_share >= max(asked, c.plain_share_score)
        minor = now >= 1 / 3 and odds >= c.minor_odds and ratio >= c.minor_ratio
        return minor and by_share >= max(asked, c.minor_share_score)

    def quiet(self, rule: Rule, asked: Asked, longest_h: int) -> bool:
        """Both scores are below the exit score in every window of the rule up to `longest_h`."""
        for window_h in rule.windows_h:
            if window_h > longest_h:
                continue
            first, bins = self._window(asked, window_h)
            k = sum(b.negatives for b in bins)
            if not k:
                continue
            usual = self._baselines.usual(asked.slot, first, asked.end, WINDOWS_H.index(window_h))
            n = sum(b.total for b in bins)
            if (
                count_score(k, usual.mean, usual.phi) >= self._c.exit_score
                or share_score(k, n, usual.share_a, usual.share_b) >= self._c.exit_score
            ):
                return False
        return True

    def voices(self, bins: list[Bin]) -> set[str]:
        """Distinct voices among the negative texts, copies too."""
        return {self._voice_of(number) for b in bins for number, negative, _ in b.texts if negative}

    def _window(self, asked: Asked, window_h: int) -> tuple[int, list[Bin]]:
        first = asked.end - window_h * BINS_PER_HOUR
        return first, asked.bins.window(max(first, asked.since), asked.end)


def _strength(verdict: Verdict) -> float:
    return verdict.score_count + verdict.score_share
