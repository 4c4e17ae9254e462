"""The two tests, as scores: -log10 of an upper tail probability. Scalars in, because only few windows get this far."""

import math

import numpy as np
from scipy.special import betainc, betaln, gammaln, logsumexp

MAX_SCORE = 300.0  # below this p is not representable


def count_score(k: int, mean: float, phi: float) -> float:
    """How surprising `k` or more negatives are where `mean` are usual, with variance `phi` times the mean.

    Negative binomial upper tail: P(X >= k) = I_q(k, r), r = mean / (phi - 1), q = (phi - 1) / phi
    (equal to scipy.stats.nbinom.sf(k - 1, r, 1 / phi)). 0 for k = 0.
    """
    if k <= 0:
        return 0.0
    p = float(betainc(k, mean / (phi - 1.0), (phi - 1.0) / phi))
    return MAX_SCORE if p <= 10**-MAX_SCORE else -math.log10(p)


def share_score(k: int, n: int, a: float, b: float) -> float:
    """How surprising `k` or more negatives of `n` texts are where the share is Beta(a, b).

    Beta-binomial upper tail (equal to scipy.stats.betabinom.sf(k - 1, n, a, b)). 0 for k = 0.
    """
    if k <= 0:
        return 0.0
    x = np.arange(k, n + 1)
    log_choose = gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1)
    log_p = logsumexp(log_choose + betaln(x + a, n - x + b) - betaln(a, b))
    return float(min(MAX_SCORE, max(0.0, -log_p / math.log(10))))


def count_band(mean: float, phi: float, tail: float = 0.025) -> tuple[int, int]:
    """The usual band: the smallest interval of counts that leaves at most `tail` on each side."""
    r, q = mean / (phi - 1.0), (phi - 1.0) / phi

    def above(k: int) -> float:  # P(X > k)
        return float(betainc(k + 1, r, q))

    most = 1
    while above(most) > tail:
        most *= 2
    low, high = 0, most
    while low < high:  # smallest k with P(X > k) <= tail
        middle = (low + high) // 2
        low, high = (low, middle) if above(middle) <= tail else (middle + 1, high)
    left, right = 0, high
    while left < right:  # smallest k with P(X <= k) > tail
        middle = (left + right) // 2
        if 1.0 - above(middle) > tail:
            right = middle
        else:
            left = middle + 1
    return left, high
