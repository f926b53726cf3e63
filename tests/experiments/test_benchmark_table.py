"""The benchmark's table: a row for each replica, which tells of what was trained, whoever was retired."""

import itertools
import math

import pandas as pd
import pytest
from helpers.single_module import BEYOND, FAST, Trained
from pandas.testing import assert_frame_equal
from torch import nn

from nalu import NAU, NRU, Fit, MulMCFC
from nalu.experiments.benchmarking import benchmark
from nalu.recipe import Recipe
from nalu.tasks.single_module import ranges


def expected_row(rows: list[dict], threshold: float) -> dict[str, object]:
    """From a replica's checkpoints to its row of the table."""
    finite = [row for row in rows if math.isfinite(row["interpolation"])]
    best = min(finite, key=lambda row: row["interpolation"]) if finite else rows[0]
    solved = [row["step"] for row in rows if row["extrapolation"] < threshold]
    success = best["step"] in solved
    return {
        **{"unit": best["model"], "range": best["task"], "seed": best["seed"], "best_step": best["step"]},
        **{name: best.get(name, math.nan) for name in ("sparsity", "interpolation", "extrapolation")},
        **{"success": success, "solved_at": solved[0] if success else math.nan, "diverged": rows[-1]["diverged"]},
    }


COLUMNS = ["unit", "operation", "range", "seed", "success", "solved_at", "sparsity", "best_step", "interpolation"]
COLUMNS += ["extrapolation", "diverged"]


@pytest.mark.parametrize(
    ("unit", "operations", "recipe"),
    [(NAU, ["a - b", "a + b"], FAST), (NRU, ["a / b"], None), (MulMCFC, ["a * b"], None)],
)
def test_a_row_for_each_operation_range_and_seed(
    unit: type[nn.Module], operations: list[str], recipe: Recipe | None, fits: list[Fit]
) -> None:
    seeds = [4, 0, 2]
    run = benchmark(unit, operations, seeds=iter(seeds), steps=300, recipe=recipe, retire=False, workers=1)
    assert list(run.table) == COLUMNS and run.table.index.equals(pd.RangeIndex(len(operations) * 27))
    order = list(itertools.product([unit.__name__], operations, BEYOND, seeds))
    assert list(run.table[COLUMNS[:4]].itertuples(index=False, name=None)) == order
    assert run.table.success.dtype == run.table.diverged.dtype == bool
    expected = []
    for operation, done in zip(operations, fits, strict=True):
        for (_, task, _), rows in done.table.groupby(["model", "task", "seed"], observed=True, sort=False):
            assert rows.step.tolist() == list(range(0, 301, 30))
            row = expected_row(rows.to_dict("records"), ranges(operation)[task].threshold())
            expected.append({"operation": operation, **row})
    assert_frame_equal(run.table, pd.DataFrame(expected)[COLUMNS], check_dtype=False, check_exact=True)
    assert run.table.success.nunique() == (1 if unit is MulMCFC else 2)
    assert run.network_steps == len(run.table) * 300 and run.seconds == sum(done.seconds for done in fits)
    assert list(run.replicas) == [(operation, task) for operation in operations for task in BEYOND]


def test_errors_and_weights_in_the_end_are_those_of_the_networks(fits: list[Fit]) -> None:
    """In evaluation mode, in which an NRU is another function."""
    run = benchmark(NRU, "a / b", seeds=[4, 0], steps=20, retire=False, workers=1)
    last = fits[0].table[fits[0].table.step == 20].set_index(["task", "seed"])
    for name, task in ranges("a / b").items():
        for r, seed in enumerate([4, 0]):
            network = run.replicas["a / b", name][r]
            assert not network.training
            for kind, (x, y) in task.tests().items():
                error = (network(x) - y).square().mean().item()
                rounding = (3e-7 * y).square().mean().item()  # what a few units in the last place amount to
                assert last[kind][name, seed] == pytest.approx(error, rel=1e-4, abs=rounding)
            far = max(min(abs(w), abs(1 - abs(w))) for w in network.W.flatten().tolist())
            assert last.sparsity[name, seed] == pytest.approx(far, rel=1e-5)


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(("steps", "checkpoints"), [(20, 10), (10_400, 10), (25_400, 25), (50_000, 50)])
def test_it_looks_each_thousand_steps_and_at_least_ten_times(steps: int, checkpoints: int) -> None:
    with pytest.raises(Trained) as settings:
        benchmark(NAU, "a + b", steps=steps)
    assert settings.value.args[0]["watch"].checkpoints == checkpoints


# Retiring, and threads.


def assert_same_tables(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """But for errors and weights in the last digits, for float32 rounds a smaller stack in another way."""
    measured = ["sparsity", "interpolation", "extrapolation"]
    assert_frame_equal(one.drop(columns=measured), other.drop(columns=measured), check_exact=True)
    assert_frame_equal(one[measured], other[measured], rtol=1e-4)


EARLY = {
    "exact": (NAU, "a - b", FAST),
    "diverged": (MulMCFC, "a * b", None),
}
"""Where some replicas, but not all, are retired because there is no error left, or no number."""


@pytest.mark.parametrize("why", EARLY)
def test_retiring_changes_no_result(why: str, fits: list[Fit]) -> None:
    unit, operation, recipe = EARLY[why]
    whole, part = (
        benchmark(unit, operation, seeds=[4, 0, 2], steps=300, recipe=recipe, retire=retire, workers=1).table
        for retire in (False, True)
    )
    assert_same_tables(whole, part)
    full, short = (done.table for done in fits)
    last = short.groupby(["task", "seed"], observed=True).tail(1)
    retired = last[last.step < 300]
    assert len(full) == 27 * 11 and 0 < len(retired) < 27
    assert (retired.diverged if why == "diverged" else retired.interpolation == 0).all()


@pytest.mark.slow
def test_more_threads_change_no_result() -> None:
    one, two = (
        benchmark(NAU, "a - b", seeds=[4, 0, 2], steps=300, recipe=FAST, workers=workers).table for workers in (1, 2)
    )
    assert_same_tables(one, two)
