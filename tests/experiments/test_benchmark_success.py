"""When a unit has learned an operation: the summary of a replica, from its checkpoints to a row."""

import math
from collections.abc import Callable

import pandas as pd
import pytest
import torch
from helpers.single_module import BEYOND, LEAST, Own
from pandas.testing import assert_frame_equal
from torch import Tensor, nn

from nalu import NAU, NMU
from nalu.experiments import benchmarking
from nalu.experiments.benchmarking import benchmark, sparsity, summary
from nalu.recipe import Recipe
from nalu.tasks.single_module import ranges

NAN, INF = math.nan, math.inf

GOOD, BAD = 6e-7, 7e-7  # a sum from [1, 2] is solved below 6.67e-7


def checkpoints(
    interpolation: list[float], extrapolation: list[float], name: str = "[1, 2]", **more: list
) -> pd.DataFrame:
    steps = [10 * k for k in range(len(interpolation))]
    columns = {"step": steps, "interpolation": interpolation, "extrapolation": extrapolation, "diverged": False, **more}
    return pd.DataFrame({"unit": "Own", "range": name, "seed": 3, **columns})


@pytest.mark.parametrize(
    ("interpolation", "extrapolation", "success", "solved_at", "best_step"),
    [
        ([3, 2, 1], [BAD, BAD, BAD], False, NAN, 20),
        ([3, 2, 1], [BAD, BAD, GOOD], True, 20, 20),
        ([3, 2, 1], [BAD, GOOD, GOOD], True, 10, 20),
        ([3, 2, 1], [GOOD, BAD, GOOD], True, 0, 20),
        ([3, 2, 1], [BAD, GOOD, BAD], False, NAN, 20),
        ([3, 1, 2], [BAD, BAD, GOOD], False, NAN, 10),
        ([3, 1, 2], [BAD, GOOD, BAD], True, 10, 10),
        ([2, 1, 1], [BAD, BAD, GOOD], False, NAN, 10),
        ([2, 0, 0], [BAD, GOOD, BAD], True, 10, 10),
        ([NAN, 2, NAN], [GOOD, BAD, GOOD], False, NAN, 10),
        ([NAN, 2, NAN], [NAN, GOOD, NAN], True, 10, 10),
        ([INF, 2, -INF], [GOOD, BAD, GOOD], False, NAN, 10),
        ([NAN, NAN, NAN], [NAN, NAN, NAN], False, NAN, 0),
    ],
)
def test_success_is_judged_at_the_best_step(
    interpolation: list, extrapolation: list, success: bool, solved_at: float, best_step: int
) -> None:
    table = summary(checkpoints(interpolation, extrapolation), ranges("a + b"))
    best = best_step // 10
    row = {
        **{"unit": "Own", "range": "[1, 2]", "seed": 3, "success": success, "solved_at": solved_at, "sparsity": NAN},
        **{"best_step": best_step, "interpolation": interpolation[best], "extrapolation": extrapolation[best]},
        "diverged": False,
    }
    assert_frame_equal(table, pd.DataFrame([row]), check_exact=True, check_dtype=False)


def test_each_range_has_its_own_threshold_which_is_no_success_yet() -> None:
    tasks = ranges("a + b")
    limits = {name: tasks[name].threshold() for name in ("[10, 20]", "[1, 2]", "[0.1, 0.2]")}  # the largest first
    names = list(limits)
    for error, solved in [(1e-6, 1), (6e-7, 2), (4e-8, 3), (limits["[10, 20]"], 0), (limits["[1, 2]"], 1)]:
        table = summary(pd.concat([checkpoints([1.0], [error], name) for name in names]), tasks)
        assert table.range.tolist() == names and table.range[table.success].tolist() == names[:solved]


@pytest.mark.parametrize(("diverged", "in_the_end"), [([False, True], True), ([True, False], False)])
def test_divergence_is_that_in_the_end_and_the_weights_are_those_at_the_best_step(
    diverged: list[bool], in_the_end: bool
) -> None:
    table = summary(checkpoints([1, 2], [BAD, BAD], diverged=diverged, sparsity=[0.1, 0.2]), ranges("a + b"))
    assert table.diverged.tolist() == [in_the_end] and table.sparsity.tolist() == [0.1]


@pytest.mark.parametrize(
    ("W", "expected"),
    [([0.0, 1, -1], 0), ([0.3, 0.9], 0.3), ([-0.7, 1], 0.3), ([0.5], 0.5), ([1.4, 0.1], 0.4), ([-2.6], 1.6)],
)
def test_sparsity_is_the_largest_distance_from_minus_one_zero_and_one(W: list[float], expected: float) -> None:
    network = nn.Module()
    network.W = nn.Parameter(torch.tensor([W]))
    assert sparsity(network).item() == pytest.approx(expected, abs=1e-6)


def test_sparsity_of_units_with_and_without_W() -> None:
    table = benchmark(fixed(NAU, [0.9, -0.35]), "a + b", recipe=Recipe(lr=1e-12), **LEAST).table
    assert table.sparsity.tolist() == pytest.approx([0.35] * 9, abs=1e-6)
    assert benchmark(Own, "a + b", **LEAST).table.sparsity.isna().all()


def test_decided_is_what_diverged_or_is_exact() -> None:
    rows = checkpoints([0.0, 1e-30, NAN, 1.0, INF], [0.0] * 5, diverged=[False, False, True, True, False])
    assert benchmarking.decided(rows).tolist() == [True, False, True, False, False]


# Units with weights set by hand.


def fixed(unit: type[nn.Module], W: list[float]) -> type[nn.Module]:
    """The unit with weights set by hand."""

    class Fixed(unit):
        def __init__(self, *sizes: int, generator: torch.Generator) -> None:
            super().__init__(*sizes, generator=generator)
            with torch.no_grad():
                self.W.copy_(torch.tensor([W]))

    return Fixed


def dividing(off: float) -> type[nn.Module]:
    class Dividing(nn.Module):
        def __init__(self, *sizes: int) -> None:
            super().__init__()
            self.off = nn.Parameter(torch.tensor(off))

        def forward(self, x: Tensor) -> Tensor:
            return (1 - self.off) * x[..., :1] / ((1 + self.off) * x[..., 1:])

    return Dividing


NEARLY: dict[str, tuple[Callable[[float], type[nn.Module]], list[str]]] = {
    "a + b": (lambda off: fixed(NAU, [1 - off, 1 - off]), []),
    "a * b": (lambda off: fixed(NMU, [1 - off, 1 - off]), ["[0.1, 0.2]"]),
    "a / b": (dividing, []),
}
"""Units that are off by so much, and where that is no failure: an NMU's error is small where its inputs are near 1."""


@pytest.mark.parametrize("operation", NEARLY)
@pytest.mark.parametrize("off", [0.5e-4, 2e-4])
def test_nearly_perfect_units_fall_on_the_right_side_of_the_threshold(operation: str, off: float) -> None:
    make, forgiving = NEARLY[operation]
    table = benchmark(make(off), operation, recipe=Recipe(lr=1e-12), **LEAST).table
    assert table.range[table.success].tolist() == (list(BEYOND) if off < 1e-4 else forgiving)
