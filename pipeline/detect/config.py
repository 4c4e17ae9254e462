"""Every constant of the detector, in one place, each with its reason. Spec: docs/alerts.md."""

from typing import Any

import msgspec

BIN_S = 300  # five minutes of event time
HOUR_S = 3600
DAY_S = 86400
BINS_PER_HOUR = HOUR_S // BIN_S
CELLS = 48  # weekday or weekend x hour of the day
WINDOWS_H = (1, 6, 24)  # the windows that dispersion is kept for; a rule watches some or all of them


class DetectorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults of the detector. Hours are hours of event time; scores are -log10 p."""

    # time
    lateness_s: int = 600  # a bin closes when a text this much later is seen: feeds lag by minutes
    allowed_late_s: int = DAY_S  # a bin can still change for a day; then it is final and may be learned
    outage_h: int = 26  # a silence of the whole stream longer than a day (and a margin) is missing data, not zeros
    retire_days: int = 28  # four half-lives without a text: the prior of the pool knows as much as the key

    # counting
    copied_columns: int = 40  # a longer text that comes again was copied; a shorter one may be written twice

    # level and season (research A4)
    half_life_h: float = 168.0  # a week: follows slow change, remembers a weekend
    prior_level_weight: float = 0.5  # the prior is worth half a negative ...
    prior_level_h: float = 6.0  # ... and at most six hours, or a busy key would look unusual for days
    season_shrink_h: float = 5.0  # kappa = 60 bins: five hours of one cell count as much as the pooled profile
    floor: float = 0.25  # added to every expected window, so that a silent key is never judged against zero
    clip_sd: float = 4.0  # learned counts are winsorised at mu + 4 sd + 1, so that a burst does not become usual
    keep_peaks: bool = False  # the fullest windows of each key are remembered: where all texts are counted
    unclipped_h: int = 0  # a key's first so many hours are learned as they are: counts of all texts start from nothing
    episode_unlearned_h: int = 72  # an episode is not learned, but after three days it is the new normal

    # dispersion per window
    phi_start: float = 2.0  # real counts: variance at least twice the mean
    phi_min: float = 1.05
    phi_settle_h: int = 48  # a key's level must settle before its surprises say anything about dispersion
    phi_prior_h: int = 48  # phi_start counts as two days of evidence
    phi_memory_h: int = 333  # 4 000 bins: two weeks
    phi_clip: float = 16.0  # one window cannot raise phi more than sixteenfold of itself

    # share of negatives
    share_prior: float = 20.0  # the pool's share counts as 20 texts
    share_memory: float = 100.0  # a share is half forgotten after a week or after so many texts, whichever is longer:
    # a key with a text a day is known by its last months, not by its pool
    pool_memory: float = 2000.0  # the same for the shares of pools
    rho_start: float = 0.02  # how much the share itself moves from window to window, before it is learned ...
    rho_prior: float = 4000.0  # ... worth ten windows of 20 texts (counted in pairs of texts)
    rho_min: float = 0.01  # no real stream measured less (crypto news .02, tweets .04, forum .04 to .1)
    rho_clip: float = 16.0  # one window's surprise counts at most this many times its variance
    share_start: float = 0.15  # share before anything is known, worth share_start_weight texts
    share_start_weight: float = 50.0
    pool_level: float = 0.02  # negatives per key and hour before anything is known, worth pool_level_weight_h
    pool_level_weight_h: float = 240.0

    # gates
    min_negatives: int = 5  # K
    min_voices: int = 3  # distinct voices; fewer where the stream has fewer, see `voices_needed`
    min_ratio: float = 2.0  # K / M
    # where the count passes by more than it must, the share may fall short by this part of the excess (decision 5) ...
    plain_slope: float = 0.6
    plain_share_score: float = 1.1  # ... if most texts are negative, at these times the usual odds, ...
    plain_odds: float = 2.5  # (odds, so that a forum that always grumbles can turn too)
    minor_share_score: float = 1.4  # ... or a third are, at these, ...
    minor_odds: float = 3.0
    many_ratio: float = 10.0  # ... and so many times the usual number of negatives;
    flood_count_score: float = 5.0  # most are, at so many times the usual number, and the count is beyond doubt:
    flood_share_score: float = 0.7  # the share hardly has to move
    flood_odds: float = 2.0
    panel_days: int = 7  # the stream's voices are those of the last week
    warmup_h: int = 48  # a stream never fires in its first two days
    new_key_factor: float = 2.0  # a key's first two days need twice the scores

    # single tests (kinds.py)
    min_odds: float = 2.0  # negative_share: the share's odds against the usual ones
    surge_days: int = 14  # volume_surge: of the two weeks before (as long as dispersion remembers) ...
    surge_busier: int = 1  # ... so many days at most may have been as busy: one, so that a giant hides nothing
    surge_ratio: float = 1.5  # K / M of a surge: rarity says what is news, this only that it is more than a little
    silence_others: float = 0.5  # silence: the other texts must be at least this part of their usual number ...
    silence_min_others: float = 20.0  # ... and be known to be at least so many

    # a new model version
    hold_h: int = 96  # negative_* rules wait: a day until its hours are final, three days of learning
    hold_keep: float = 0.1  # what the old version's hours still weigh then

    # roll-up
    thin_per_day: float = 2.0  # fewer usual negatives a day: no spike of one entity can be told from chance

    # episodes
    exit_score: float = 1.5
    exit_heard_h: int = 2  # hours in which the stream spoke and the key was quiet
    certain_negative: float = 0.5  # below this a feeling is unsure and never counts as negative

    def voices_needed(self, panel: int) -> int:
        """How many voices must be negative where `panel` voices speak: a majority, three at most.

        Three of three outlets would mean "all of them"; see docs/decisions.
        """
        return min(self.min_voices, panel // 2 + 1)


def plain(config: DetectorConfig) -> dict[str, Any]:
    """The constants by name, as `windvane doctor` and the docs show them."""
    return msgspec.structs.asdict(config)
