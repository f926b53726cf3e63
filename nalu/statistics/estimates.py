"""Numbers over replicas, each with its 95% confidence interval."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from nalu import checks


class Estimate(NamedTuple):
    """A number measured over n replicas, and its 95% confidence interval."""

    value: float
    low: float
    high: float
    n: int

    def __format__(self, spec: str) -> str:
        spec = spec or ".3g"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def __str__(self) -> str:
        return format(self)


def rate(successes: ArrayLike) -> Estimate:
    """The share of replicas that succeeded, with Wilson's interval, which also holds near 0 and 1.

    Args:
        successes: a truth value for each replica.

    Raises:
        ValueError: no replicas; values that are not truth values, such as NaN, which Python takes for true.
    """
    successes = np.asarray(successes).ravel()
    n = checks.at_least(successes.size, 1, "number of replicas")
    if not np.isin(successes, (False, True)).all():
        raise ValueError(
            f"expected a truth value for each replica, got {successes[~np.isin(successes, (False, True))][0]}"
        )
    successes = successes.astype(bool)
    ci = stats.binomtest(int(successes.sum()), n).proportion_ci(method="wilson")
    return Estimate(float(successes.mean()), float(ci.low), float(ci.high), n)


def estimate(values: ArrayLike, statistic: Callable[..., float] = np.mean) -> Estimate:
    """A statistic of one value a replica, with its percentile bootstrap interval (10,000 resamples, fixed seed).

    Args:
        values: one a replica. Diverged replicas count: a NaN or an infinity of either sign is taken as plus infinity,
            as far off as can be. A mean with one of them is infinite; a median still says what a typical replica does.
            The interval of a single replica, which says nothing of others, has no width.
        statistic: such as np.mean or np.median; takes an axis. Where it is undefined for infinities, it is infinite.

    Raises:
        ValueError: no replicas.
    """
    values = np.asarray(values, dtype=float).ravel()
    n = checks.at_least(values.size, 1, "number of replicas")
    values = np.where(np.isfinite(values), values, np.inf)

    def defined(sample: np.ndarray, axis: int) -> np.ndarray:
        return np.nan_to_num(statistic(sample, axis=axis), nan=np.inf, posinf=np.inf, neginf=-np.inf)

    with np.errstate(invalid="ignore"):
        value = float(defined(values, axis=0))
        if (values == values[0]).all():  # also a single one
            return Estimate(value, value, value, n)
        resampled = stats.bootstrap(
            (values,),
            defined,
            n_resamples=10_000,
            method="percentile",
            axis=0,
            rng=np.random.default_rng(0),
            batch=1_000,
        ).bootstrap_distribution
    # scipy's own interval interpolates between neighbours, and between two infinities that gives NaN.
    low, high = (np.quantile(resampled, q, method=how) for q, how in ((0.025, "lower"), (0.975, "higher")))
    return Estimate(value, float(low), float(high), n)
