"""Numbers with their intervals, against formulas and simulations."""

import math
import warnings

import numpy as np
import pytest
import torch

from nalu import Estimate, estimate, rate

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 100), (100, 100), (1, 2), (7, 10), (93, 100), (500, 1000)])
def test_rate_has_wilsons_interval(k: int, n: int) -> None:
    z, p = 1.959963984540054, k / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    expected = (p, max(0.0, middle - half), min(1.0, middle + half), n)
    assert rate([True] * k + [False] * (n - k)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("values", [[1, 0, 1], [1.0, 0.0, 1.0], torch.tensor([True, False, True])])
def test_rate_takes_truth_values_of_any_make(values: object) -> None:
    assert rate(values).value == 2 / 3


@pytest.mark.parametrize("values", [[1.0, NAN], [0.5, 1], [2, 1]])
def test_rate_takes_nothing_else_for_truth(values: list) -> None:
    with pytest.raises(ValueError, match=r"expected a truth value for each replica, got (nan|0\.5|2)"):
        rate(values)


@pytest.mark.parametrize("of", [rate, estimate])
def test_no_replicas(of: object) -> None:
    with pytest.raises(ValueError, match="number of replicas: expected at least 1, got 0"):
        of([])


def test_bootstrap_covers_the_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    trials = [estimate(rng.normal(3, 2, size=50)) for _ in range(100)]
    covered = sum(trial.low <= 3 <= trial.high for trial in trials)
    assert 87 <= covered <= 99  # 95 +- 2 standard deviations, and percentile intervals are a little short
    width = np.mean([trial.high - trial.low for trial in trials])
    assert width == pytest.approx(2 * 1.96 * 2 / math.sqrt(50), rel=0.06)


def test_estimate_of_another_statistic_and_twice_the_same() -> None:
    values = np.random.default_rng(0).exponential(size=41)
    found = estimate(values, np.median)
    assert found.value == np.median(values) and found.n == 41
    assert found.low < found.value < found.high
    assert found == estimate(torch.tensor(values), np.median)


@pytest.mark.parametrize("values", [[4.0], [4.0] * 5, [INF] * 3, [NAN, NAN], [-INF, NAN]])
@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_a_single_replica_and_equal_ones_have_no_width(values: list[float], statistic: object) -> None:
    value = 4.0 if values[0] == 4 else INF
    assert estimate(values, statistic) == Estimate(value, value, value, len(values))


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_diverged_replica_is_as_far_off_as_can_be(bad: float) -> None:
    values = [*np.linspace(0, 1, 19), bad]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean, median = estimate(values), estimate(values, np.median)
    assert (mean.value, mean.high) == (INF, INF) and 0.3 < mean.low < 0.6  # a resample may leave it out
    assert median.value == np.median([*np.linspace(0, 1, 19), INF])
    assert 0.1 < median.low < median.value < median.high < 0.9


@pytest.mark.parametrize("statistic", [np.mean, np.median, np.min, np.max, np.std])
@pytest.mark.parametrize("values", [[1.0, 1.0, NAN], [1.0, INF], [1.0, NAN, NAN, NAN], [1.0, 2.0, INF, NAN]])
def test_no_end_of_an_interval_is_nan(values: list[float], statistic: object) -> None:
    found = estimate(values, statistic)
    assert found.low <= found.value <= found.high  # false for NaN


def test_most_replicas_diverged() -> None:
    assert estimate([1.0, 2.0] + [INF] * 18, np.median)[:3] == (INF, INF, INF)


def test_an_estimate_reads_well() -> None:
    assert str(Estimate(1.23456, 0.5, 20, 7)) == "1.23 [0.5, 20]"
    assert f"{Estimate(0.5, 0.25, 1, 7):.0%}" == "50% [25%, 100%]"
