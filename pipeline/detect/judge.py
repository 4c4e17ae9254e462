"""One key, one moment: does the window before it hold what the rule asks for? The kinds that test against the usual are
here; those that do not (message, static) and silence are in plain.py and silence.py."""

from collections.abc import Callable
from typing import NamedTuple

from pipeline.detect.baseline import Baselines, Usual
from pipeline.detect.bins import Bin, KeyBins
from pipeline.detect.config import BINS_PER_HOUR, WINDOWS_H, DetectorConfig
from pipeline.detect.peaks import Past
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
    running: bool  # an episode of the rule is under way
    past: Past

    def window(self, window_h: int) -> tuple[int, list[Bin]]:
        """The first bin of the window, and its bins that count."""
        first = self.end - window_h * BINS_PER_HOUR
        return first, self.bins.window(max(first, self.since), self.end)


class Verdict(NamedTuple):
    """The rule holds in this window. `negatives` is what is counted: all texts for volume_surge and silence."""

    window_h: int
    first: int  # first bin of the window
    end: int
    negatives: int
    total: int
    usual: Usual
    score_count: float  # 0: not asked
    score_share: float  # 0: not asked
    voices: int
    severity: Severity
    days: tuple[int, int] | None = None  # volume_surge: so many of the days before were as busy, of so many

    @property
    def ratio(self) -> float:
        return self.negatives / self.usual.mean


class Judge:
    """Holds what every judgement needs. `voice_of` gives the voice of a text number."""

    def __init__(self, config: DetectorConfig, baselines: Baselines, voice_of: Callable[[int], str]) -> None:
        self.config = config
        self.baselines = baselines
        self._voice_of = voice_of

    def verdict(self, rule: Rule, asked: Asked) -> Verdict | None:
        """The strongest window in which every gate and test of the rule passes; None when there is none."""
        best: Verdict | None = None
        fewest = self.config.min_negatives if rule.kind == "negative_share" else rule.least
        for window_h in sorted(rule.windows, reverse=True):
            first, bins = asked.window(window_h)
            k = sum([b.negatives for b in bins])  # a list: this is most of the work, and a third faster
            if k < fewest:
                break  # a shorter window holds no more
            found = self._test(rule, asked, window_h, (first, bins, k))
            if found and (best is None or _strength(found) > _strength(best)):
                best = found
        return best

    def _test(self, rule: Rule, asked: Asked, window_h: int, held: tuple[int, list[Bin], int]) -> Verdict | None:
        first, bins, k = held
        tests = rule.defaults.tests
        usual = self.usual(asked, window_h)
        least = rule.score * asked.factor
        by_count = by_share = 0.0
        if "count" in tests:
            if k < usual.mean * (self.config.surge_ratio if rule.kind == "volume_surge" else self.config.min_ratio):
                return None
            by_count = count_score(k, usual.mean, usual.phi)
            if by_count < least:
                return None
        days = None
        if rule.kind == "volume_surge" and (days := self._rare(asked, window_h, k)) is None:
            return None
        n = sum([b.total for b in bins])
        if "share" in tests:
            by_share = share_score(k, n, usual.share_a, usual.share_b)
            if "count" not in tests:
                if n < rule.least or by_share < least or _odds(k / n, usual.share) < self.config.min_odds:
                    return None
            elif by_share < least and not self._plain(least, (by_count, by_share), k / n, usual, k / usual.mean):
                return None
        voices = len(self.voices(bins))
        if rule.defaults.voices and voices < asked.voices:
            return None
        severity = _severity(rule, k / usual.mean, voices, (by_count, by_share))
        return Verdict(window_h, first, asked.end, k, n, usual, by_count, by_share, voices, severity, days)

    def _rare(self, asked: Asked, window_h: int, k: int) -> tuple[int, int] | None:
        """(days that were as busy, days known) where the first are few enough; where fewer are known, fewer may be."""
        busier, days = asked.past.busier(window_h, k), asked.past.days
        few = busier * self.config.surge_days <= self.config.surge_busier * days
        return (busier, days) if few else None

    def _plain(self, least: float, scores: tuple[float, float], now: float, usual: Usual, ratio: float) -> bool:
        """The count is proof by itself and the share says the same, though few texts cannot move a beta-binomial far,
        however bad they are (decision 5). `scores`: of count and share; `now`: the share."""
        c = self.config
        by_count, by_share = scores
        odds = _odds(now, usual.share)
        asked = least - c.plain_slope * (by_count - least)
        most, many = now >= 1 / 2, ratio >= c.many_ratio
        agreed = [
            (most and odds >= c.plain_odds, max(asked, c.plain_share_score)),
            (now >= 1 / 3 and many and odds >= c.minor_odds, max(asked, c.minor_share_score)),
            (most and many and odds >= c.flood_odds and by_count >= c.flood_count_score, c.flood_share_score),
        ]
        return any(holds and by_share >= enough for holds, enough in agreed)

    def quiet(self, rule: Rule, asked: Asked, longest_h: int) -> bool:
        """The scores that the kind asks are below the exit score in every window of the rule up to `longest_h`."""
        tests, least = rule.defaults.tests, self.config.exit_score
        for window_h in rule.windows:
            if window_h > longest_h:
                continue
            _, bins = asked.window(window_h)
            k = sum(b.negatives for b in bins)
            if not k:
                continue
            usual = self.usual(asked, window_h)
            n = sum(b.total for b in bins)
            if "count" in tests and count_score(k, usual.mean, usual.phi) >= least:
                return False
            if "share" in tests and share_score(k, n, usual.share_a, usual.share_b) >= least:
                return False
        return True

    def usual(self, asked: Asked, window_h: int) -> Usual:
        """What a window of so many hours usually holds; its dispersion is that of the next longer one that is kept."""
        number = next(i for i, w in enumerate(WINDOWS_H) if w >= window_h)
        first = asked.end - window_h * BINS_PER_HOUR
        return self.baselines.usual(asked.slot, first, asked.end, number)

    def voices(self, bins: list[Bin]) -> set[str]:
        """Distinct voices among the counted texts, copies too."""
        return {self._voice_of(number) for b in bins for number, negative, _ in b.texts if negative}


def _odds(now: float, usual: float) -> float:
    """The odds of a share against the usual odds."""
    return now * (1 - usual) / max(usual * (1 - now), 1e-9)


def _severity(rule: Rule, ratio: float, voices: int, scores: tuple[float, float]) -> Severity:
    """By effect and evidence (research A4); a kind with one test has that one's score alone."""
    if ratio >= 8 and voices >= 10 and "count" in rule.defaults.tests:
        return "S1"
    strong = 6.0 if rule.defaults.counted == "negatives" else 12.0
    passed = [s for s, test in zip(scores, ("count", "share"), strict=True) if test in rule.defaults.tests]
    if (ratio >= 4 and "count" in rule.defaults.tests) or min(passed) >= strong:
        return "S2"
    return "S3"


def _strength(verdict: Verdict) -> float:
    return verdict.score_count + verdict.score_share
