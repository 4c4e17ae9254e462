"""Who of n players made a game's result, from few plays of it. Pure numpy; knows nothing of texts.

`shapley` estimates Shapley values by weighted least squares over sampled coalitions, each drawn with its complement
(Kernel SHAP: Lundberg & Lee 2017, https://arxiv.org/abs/1705.07874; pairs: Covert & Lee 2021,
https://arxiv.org/abs/2012.01536). The small and the large coalitions, which weigh most, are played in full as far as
the plays reach; so a game whose players do not interact comes out exact, and so does any game of few players.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Coalitions = NDArray[np.bool_]  # [M, n]: who takes part in each of M plays
Floats = NDArray[np.float64]
Game = Callable[[Coalitions], Floats]  # [M, n] -> the result of each play, [M]


class Attribution(NamedTuple):
    """What each of n players is worth. For `shapley` the weights sum to `full` - `empty`."""

    weights: Floats  # [n]
    without: Floats  # [n]: the result with only that player away
    full: float  # the result with all
    empty: float  # the result with none
    plays: int


def shapley(game: Game, n: int, plays: int, rng: np.random.Generator) -> Attribution:
    """Shapley values of n players from about `plays` plays (never fewer than 2n + 2; exact when 2**n is enough)."""
    if n == 0:
        return _nobody(game)
    coalitions, weights = plan(n, plays - 2, rng)
    ends = np.array([[True] * n, [False] * n])
    results = game(np.concatenate([ends, coalitions]))
    full, empty, rest = float(results[0]), float(results[1]), results[2:]
    if n == 1:
        return Attribution(np.array([full - empty]), np.array([empty]), full, empty, 2)
    solved = _solve(coalitions.astype(np.float64), rest - empty, weights, full - empty)
    return Attribution(solved, _without(coalitions, rest), full, empty, len(results))


def occlusion(game: Game, n: int) -> Attribution:
    """Leave one out: each player's weight is what the full game loses without them. n + 2 plays."""
    if n == 0:
        return _nobody(game)
    results = game(np.concatenate([np.array([[True] * n, [False] * n]), ~np.eye(n, dtype=bool)]))
    full, empty, without = float(results[0]), float(results[1]), results[2:]
    return Attribution(full - without, without, full, empty, len(results))


def plan(n: int, plays: int, rng: np.random.Generator) -> tuple[Coalitions, Floats]:
    """Coalitions to play (neither empty nor full, no two equal) and their weights in the least squares.

    Sizes are taken in pairs (s, n - s) from the outside in: a pair is played in full while chance would be expected to
    draw each of its coalitions anyway; what is left of the plays is drawn by Kernel SHAP's weights, with complements.
    """
    parts: list[Coalitions] = []
    weights: list[Floats] = []
    left = plays
    sizes = list(range(1, n // 2 + 1))
    while sizes:
        size = sizes[0]
        masses = [_mass(n, s) for s in sizes]
        count = comb(n, size) * (1 if 2 * size == n else 2)
        if size > 1 and left * masses[0] / sum(masses) < count:
            break
        found = _all_of_size(n, size)
        parts.append(found)
        weights.append(np.full(len(found), masses[0] / len(found)))
        left -= len(found)
        sizes.pop(0)
    if sizes and left >= 2:
        drawn, times = _draw(n, sizes, left // 2, rng)
        parts.append(drawn)
        weights.append(times * (sum(_mass(n, s) for s in sizes) / times.sum()))
    if not parts:
        return np.zeros((0, n), dtype=bool), np.zeros(0)
    return np.concatenate(parts), np.concatenate(weights)


def _mass(n: int, size: int) -> float:
    """Kernel SHAP's weight of all coalitions of `size` and of their complements."""
    return (n - 1) / (size * (n - size)) * (1 if 2 * size == n else 2)


def _all_of_size(n: int, size: int) -> Coalitions:
    """Every coalition of `size`, and their complements where these are of another size."""
    chosen = np.zeros((comb(n, size), n), dtype=bool)
    for row, players in enumerate(combinations(range(n), size)):
        chosen[row, list(players)] = True
    return chosen if 2 * size == n else np.concatenate([chosen, ~chosen])


def _draw(n: int, sizes: list[int], pairs: int, rng: np.random.Generator) -> tuple[Coalitions, Floats]:
    """At most `pairs` coalitions of the given sizes with their complements; how often each was drawn."""
    chances = np.array([_mass(n, s) for s in sizes])
    drawn: dict[bytes, int] = {}
    for size in rng.choice(sizes, size=pairs, p=chances / chances.sum()):
        row = np.zeros(n, dtype=bool)
        row[rng.choice(n, size=size, replace=False)] = True
        for one in (row, ~row):
            drawn[one.tobytes()] = drawn.get(one.tobytes(), 0) + 1
    rows = np.frombuffer(b"".join(drawn), dtype=bool).reshape(-1, n)
    return rows, np.array(list(drawn.values()), dtype=np.float64)


def _solve(z: Floats, y: Floats, weights: Floats, total: float) -> Floats:
    """The x that makes weights · (z x - y)² smallest among those that sum to `total`."""
    weighted = z * weights[:, None]
    inverse = np.linalg.pinv(z.T @ weighted)
    free = inverse @ (weighted.T @ y)
    ones = inverse.sum(axis=1)
    return np.asarray(free - ones * (free.sum() - total) / ones.sum(), dtype=np.float64)


def _without(coalitions: Coalitions, results: Floats) -> Floats:
    """The results of the plays in which exactly one player was away, by player."""
    rows = np.flatnonzero((~coalitions).sum(axis=1) == 1)
    without = np.empty(coalitions.shape[1])
    without[np.argmin(coalitions[rows], axis=1)] = results[rows]
    return without


def _nobody(game: Game) -> Attribution:
    result = float(game(np.zeros((1, 0), dtype=bool))[0])
    return Attribution(np.zeros(0), np.zeros(0), result, result, 1)
