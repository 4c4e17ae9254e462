"""The two tests against scipy's own distributions."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.detect.tails import MAX_SCORE, count_band, count_score, share_score


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.floats(0.25, 300), st.floats(1.05, 20))
def test_count_is_the_negative_binomial_tail(k: int, mean: float, phi: float) -> None:
    p = stats.nbinom.sf(k - 1, mean / (phi - 1), 1 / phi)
    if p > 1e-200:
        assert count_score(k, mean, phi) == pytest.approx(-math.log10(p), rel=1e-6, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(0, 300), st.floats(0.5, 30), st.floats(0.5, 50))
def test_share_is_the_beta_binomial_tail(k: int, more: int, a: float, b: float) -> None:
    n = k + more
    p = math.fsum(stats.betabinom.pmf(range(k, n + 1), n, a, b))
    assert share_score(k, n, a, b) == pytest.approx(max(0.0, -math.log10(p)), rel=1e-4, abs=1e-6)


def test_nothing_is_never_surprising() -> None:
    assert count_score(0, 0.25, 1.05) == 0
    assert share_score(0, 0, 3, 17) == 0
    assert share_score(0, 50, 3, 17) == 0


def test_the_unbelievable_has_a_score() -> None:
    assert count_score(10**6, 0.25, 1.05) == MAX_SCORE


@settings(max_examples=60, deadline=None)
@given(st.floats(0.25, 3000), st.floats(1.05, 20))
def test_the_band_leaves_a_fortieth_on_each_side(mean: float, phi: float) -> None:
    low, high = count_band(mean, phi)
    usual = stats.nbinom(mean / (phi - 1), 1 / phi)
    assert usual.sf(high) <= 0.025 and (high == 0 or usual.sf(high - 1) > 0.025)
    assert usual.cdf(low) > 0.025 and (low == 0 or usual.cdf(low - 1) <= 0.025)
