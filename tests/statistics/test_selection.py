"""Choosing by validation error, against counting every draw."""

from itertools import product

import numpy as np
import pytest

from nalu.statistics.selection import chosen, success_of_chosen

ERRORS = [0.3, np.nan, 0.1, 0.7, np.inf]
SUCCESS = [False, True, True, False, True]


def test_the_least_error_is_chosen_and_a_diverged_replica_last() -> None:
    assert chosen(ERRORS) == 2 and chosen([np.nan, 5.0]) == 1 and chosen([np.nan]) == 0


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_chance_is_that_over_all_draws(k: int) -> None:
    finite = np.where(np.isfinite(ERRORS), ERRORS, [0, 9, 0, 0, 10])  # ties of diverged replicas go by their order
    draws = list(product(range(5), repeat=k))
    expected = np.mean([SUCCESS[min(draw, key=lambda r: finite[r])] for draw in draws])
    found = success_of_chosen(ERRORS, SUCCESS, k)
    assert found.value == pytest.approx(expected) and found.low <= found.value <= found.high and found.n == 5


def test_more_to_choose_from_helps_where_the_error_tells() -> None:
    rng = np.random.default_rng(0)
    success = rng.random(200) < 0.1
    telling, silent = np.where(success, 0.0, 1.0) + rng.random(200), rng.random(200)
    assert success_of_chosen(telling, success, 1).value == pytest.approx(success.mean())
    assert success_of_chosen(telling, success, 64).value > 0.99
    plain = success_of_chosen(silent, success, 8)
    assert plain.low < success.mean() < plain.high


def test_the_interval_narrows_with_the_square_root_of_the_replicas() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for n in (100, 1600):
        e = success_of_chosen(rng.random(n), rng.random(n) < 0.5, 1)
        widths.append(e.high - e.low)
    assert 3 < widths[0] / widths[1] < 5.4


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="number of replicas: expected at least 1, got 0"):
        chosen([])
    with pytest.raises(ValueError, match="expected a success for each of 2 validation errors, got 3"):
        success_of_chosen([1, 2], [True] * 3, 1)
    with pytest.raises(ValueError, match="k: expected at least 1, got 0"):
        success_of_chosen([1, 2], [True] * 2, 0)
