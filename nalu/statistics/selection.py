"""Choosing one replica of many by its validation error, and what that gains."""

import numpy as np
from numpy.typing import ArrayLike

from nalu import checks
from nalu.statistics.estimates import Estimate


def chosen(validation: ArrayLike) -> int:
    """The index of the replica with the least validation error; one that diverged is never chosen before another.

    Raises:
        ValueError: no replicas.
    """
    return int(_order(_errors(validation))[0])


def success_of_chosen(validation: ArrayLike, success: ArrayLike, k: int) -> Estimate:
    """The chance that, of k replicas, the one with the least validation error is a success on test data.

    The k are drawn at random, with replacement, from those that were trained: the mean over all such draws, which needs
    no drawing. With its 95% percentile bootstrap interval over the trained replicas (2,000 resamples, fixed seed).

    Args:
        validation: each replica's validation error.
        success: whether each replica succeeds, which had no part in the choice.
        k: how many there are to choose from; 1 is a single run.

    Raises:
        ValueError: no replicas; different numbers of errors and successes; k below 1.
    """
    errors, success = _errors(validation), np.asarray(success, dtype=float).ravel()
    if len(errors) != len(success):
        raise ValueError(f"expected a success for each of {len(errors)} validation errors, got {len(success)}")
    checks.at_least(k, 1, "k")
    n = len(errors)
    # The best of k has rank i or a later one if all of them do, ((n - i) / n)^k; differences give each rank its chance.
    chance = -np.diff((np.arange(n, -1, -1) / n) ** k)
    resamples = np.random.default_rng(0).integers(n, size=(2_000, n))
    ranked = [success[sample[_order(errors[sample])]] for sample in resamples]
    low, high = np.quantile(np.asarray(ranked) @ chance, [0.025, 0.975])
    return Estimate(float(success[_order(errors)] @ chance), float(low), float(high), n)


def _errors(validation: ArrayLike) -> np.ndarray:
    errors = np.asarray(validation, dtype=float).ravel()
    checks.at_least(errors.size, 1, "number of replicas")
    return np.where(np.isfinite(errors), errors, np.inf)


def _order(errors: np.ndarray) -> np.ndarray:
    return np.argsort(errors, kind="stable")
