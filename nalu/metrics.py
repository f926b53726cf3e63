"""Numbers over replicas, each with its 95% confidence interval."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import stats
from torch import Tensor

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
        ValueError: no replicas.
    """
    successes = np.asarray(successes, dtype=bool).ravel()
    n = checks.at_least(successes.size, 1, "number of replicas")
    ci = stats.binomtest(int(successes.sum()), n).proportion_ci(method="wilson")
    return Estimate(float(successes.mean()), float(ci.low), float(ci.high), n)


def estimate(values: ArrayLike, statistic: Callable[..., float] = np.mean) -> Estimate:
    """A statistic of one value a replica, with its percentile bootstrap interval (10,000 resamples, fixed seed).

    Args:
        values: one a replica. Diverged replicas count: with a NaN or an infinity among the values, a mean is infinite;
            a median still says what a typical replica does.
        statistic: such as np.mean or np.median; takes an axis.

    Raises:
        ValueError: no replicas.
    """
    values = np.asarray(values, dtype=float).ravel()
    n = checks.at_least(values.size, 1, "number of replicas")
    values = np.where(np.isfinite(values), values, np.inf)  # a diverged replica is as far off as can be
    value = float(statistic(values, axis=0))
    if n == 1 or np.ptp(values[np.isfinite(values)], axis=0) == 0 or not np.isfinite(values).any():
        return Estimate(value, value, value, n)
    with np.errstate(invalid="ignore"):
        ci = stats.bootstrap(
            (values,),
            statistic,
            n_resamples=10_000,
            method="percentile",
            axis=0,
            rng=np.random.default_rng(0),
            batch=1_000,
        ).confidence_interval
    return Estimate(value, float(ci.low), float(ci.high), n)


def mean_absolute_error(
    outputs: Float[Tensor, "replica batch out"], targets: Float[Tensor, "batch out"]
) -> Float[Tensor, " replica"]:
    """Each replica's mean absolute error, in the unit of the targets; NaN where a replica has diverged.

    Raises:
        ValueError: outputs and targets of different shapes.
    """
    if outputs.shape[1:] != targets.shape:
        raise ValueError(f"expected outputs of shape (replicas, {tuple(targets.shape)}), got {tuple(outputs.shape)}")
    return (outputs - targets).abs().flatten(1).mean(1)
