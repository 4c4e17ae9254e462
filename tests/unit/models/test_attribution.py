"""Shapley values on games whose answer is known."""

from itertools import permutations
from math import factorial

import numpy as np
import pytest

from models.attribution import Coalitions, Floats, Game, occlusion, plan, shapley


def additive(worth: list[float], start: float = 0.0) -> Game:
    return lambda coalitions: start + coalitions @ np.array(worth)


def tangled(n: int, seed: int) -> Game:
    """Players that matter, help and hinder each other, in pairs and in threes."""
    rng = np.random.default_rng(seed)
    alone, pairs, threes = rng.normal(size=n), rng.normal(size=(n, n)), rng.normal(size=(n, n, n)) / 4

    def play(coalitions: Coalitions) -> Floats:
        z = coalitions.astype(np.float64)
        return z @ alone + np.einsum("mi,mj,ij->m", z, z, pairs) + np.einsum("mi,mj,mk,ijk->m", z, z, z, threes)

    return play


def by_definition(game: Game, n: int) -> Floats:
    """The mean over all orders of what a player adds on coming in."""
    worth = np.zeros(n)
    for order in permutations(range(n)):
        present = np.zeros((n + 1, n), dtype=bool)
        for i, player in enumerate(order):
            present[i + 1 :, player] = True
        worth[list(order)] += np.diff(game(present))
    return worth / factorial(n)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_with_enough_plays_the_values_are_those_of_the_definition(n: int) -> None:
    game = tangled(n, seed=n)
    found = shapley(game, n, 2**n, np.random.default_rng(0))
    assert found.plays == 2**n
    np.testing.assert_allclose(found.weights, by_definition(game, n), atol=1e-9)


@pytest.mark.parametrize("plays", [0, 60, 200])
def test_players_that_do_not_interact_come_out_exact_from_few_plays(plays: int) -> None:
    worth = [*np.linspace(-2, 3, 30)]
    found = shapley(additive(worth, 1.5), 30, plays, np.random.default_rng(3))
    np.testing.assert_allclose(found.weights, worth, atol=1e-9)
    np.testing.assert_allclose(found.without, 1.5 + sum(worth) - np.array(worth))
    assert found.plays <= max(plays, 62) and found.empty == 1.5


def test_weights_sum_to_what_all_together_change_however_few_the_plays() -> None:
    game = tangled(20, seed=1)
    for plays in (0, 41, 100, 777):
        found = shapley(game, 20, plays, np.random.default_rng(plays))
        assert found.weights.sum() == pytest.approx(found.full - found.empty)


def test_more_plays_come_nearer() -> None:
    game = tangled(9, seed=2)
    exact = shapley(game, 9, 2**9, np.random.default_rng(0)).weights

    def error(plays: int) -> float:
        runs = [shapley(game, 9, plays, np.random.default_rng(seed)).weights - exact for seed in range(20)]
        return float(np.sqrt(np.mean(np.square(runs))))

    few, some, many = error(20), error(60), error(240)
    assert few > 1.5 * some > 2 * many, (few, some, many)


def test_a_pair_that_matters_only_together_shares_the_credit_and_leaving_one_out_counts_it_twice() -> None:
    game: Game = lambda c: (c[:, 0] & c[:, 1]).astype(np.float64)  # noqa: E731
    np.testing.assert_allclose(shapley(game, 4, 16, np.random.default_rng(0)).weights, [0.5, 0.5, 0, 0], atol=1e-9)
    np.testing.assert_allclose(occlusion(game, 4).weights, [1, 1, 0, 0])


def test_two_that_say_the_same_share_the_credit_and_leaving_one_out_sees_neither() -> None:
    game: Game = lambda c: (c[:, 0] | c[:, 1]).astype(np.float64)  # noqa: E731
    np.testing.assert_allclose(shapley(game, 4, 16, np.random.default_rng(0)).weights, [0.5, 0.5, 0, 0], atol=1e-9)
    np.testing.assert_allclose(occlusion(game, 4).weights, 0, atol=1e-9)


def test_no_players_is_no_fault() -> None:
    for found in (shapley(additive([], 2.0), 0, 10, np.random.default_rng(0)), occlusion(additive([], 2.0), 0)):
        assert len(found.weights) == 0 and found.full == found.empty == 2.0


@pytest.mark.parametrize("n, plays", [(2, 2), (5, 30), (12, 94), (13, 60), (48, 382)])
def test_a_plan_holds_each_coalition_once_with_its_complement_and_keeps_to_the_plays(n: int, plays: int) -> None:
    coalitions, weights = plan(n, plays, np.random.default_rng(1))
    rows = {row.tobytes() for row in coalitions}
    assert len(rows) == len(coalitions) == len(weights) <= max(plays, 2 * n)
    assert all((~row).tobytes() in rows for row in coalitions)
    assert set(coalitions.sum(axis=1)) <= set(range(1, n))
    assert (weights > 0).all()
