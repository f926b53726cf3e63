"""The benchmark of a single unit: its task, how units train by their recipes, and what is told of it."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from helpers.plain_loop import InDouble, alone, assert_same
from pandas.testing import assert_frame_equal
from torch import Tensor, nn

import nalu
from nalu import INALU, NAU, NMU, NPU, NRU, UNITS, Benchmark, Fit, MulMCFC, RealNPU, fit
from nalu.book import tables
from nalu.book.tables import stored
from nalu.experiments import benchmarking
from nalu.experiments.benchmarking import benchmark, sparsity, summary
from nalu.recipe import Clip, Penalty, Recipe
from nalu.schedules import later
from nalu.tasks import Scaled, SingleModule, Task
from nalu.tasks.single_module import OPERATIONS, ranges
from nalu.training.replicas import Build

BEYOND = {
    "[-20, -10]": [(-40, -20)],
    "[-2, -1]": [(-6, -2)],
    "[-1.2, -1.1]": [(-6.1, -1.2)],
    "[-0.2, -0.1]": [(-2, -0.2)],
    "[-2, 2]": [(-6, -2), (2, 6)],
    "[0.1, 0.2]": [(0.2, 2)],
    "[1, 2]": [(2, 6)],
    "[1.1, 1.2]": [(1.2, 6)],
    "[10, 20]": [(20, 40)],
}
"""The published ranges of extrapolation, by the range of training."""

POSITIVE = ["[0.1, 0.2]", "[1, 2]", "[1.1, 1.2]", "[10, 20]"]

EXPECTED: dict[str, Callable[[float, float], float]] = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "a / b": lambda a, b: a / b,
}

FAST = Recipe(lr=0.1)
"""With it a NAU's weights are at their clamps, and its sums exact, within a few hundred steps."""

LEAST = {"seeds": [0], "steps": 1, "workers": 1}


class Own(nn.Module):
    """A reader's: y = x w, drawn by torch's own generator."""

    operations = ("a - b", "a + b")

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(in_features, out_features))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.w


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# The task.

THRESHOLDS = {
    "a + b": [3.66e-5, 6.67e-7, 5.73e-7, 5.37e-8, 6.67e-7, 5.38e-8, 6.67e-7, 5.56e-7, 3.67e-5],
    "a - b": [3.66e-5, 6.67e-7, 5.73e-7, 5.37e-8, 6.67e-7, 5.38e-8, 6.67e-7, 5.56e-7, 3.67e-5],
    "a * b": [3.48e-2, 1.20e-5, 9.38e-6, 8.78e-8, 1.20e-5, 8.79e-8, 1.20e-5, 8.87e-6, 3.49e-2],
    "a / b": [4.67e-8, 5.78e-8, 8.36e-8, 1.48e-7, 5.77e-8, 1.48e-7, 5.78e-8, 8.28e-8, 4.66e-8],
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_thresholds_of_a_nearly_perfect_solution(operation: str) -> None:
    tasks = ranges(operation)
    assert list(tasks) == list(BEYOND)
    found = [task.threshold() for task in tasks.values()]
    assert found == pytest.approx(THRESHOLDS[operation], rel=0.03)
    assert tasks["[1, 2]"].threshold(1e-5) == pytest.approx(0.01 * tasks["[1, 2]"].threshold(), rel=1e-3)


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


def test_points_come_from_the_published_ranges() -> None:
    for (name, halves), task in zip(BEYOND.items(), ranges("a + b").values(), strict=True):
        assert name == f"[{task.low:g}, {task.high:g}]"
        for kind, within in {"interpolation": [(task.low, task.high)], "extrapolation": halves}.items():
            x, _ = task.tests()[kind]
            assert x.shape == (10_000, 2) and torch.equal(x, task.tests()[kind][0])
            count = 0
            for low, high in (torch.tensor(q, dtype=torch.float32).T for q in itertools.product(within, repeat=2)):
                inside = (x - low) / (high - low)
                inside = inside[((inside >= -1e-5) & (inside <= 1 + 1e-5)).all(1)]
                count += len(inside)
                assert len(inside) == pytest.approx(10_000 / len(within) ** 2, rel=0.1)
                assert (inside.amin(0) < 0.01).all() and (inside.amax(0) > 0.99).all()
                assert ((inside.mean(0) - 0.5).abs() < 0.03).all()  # five standard errors
            assert count == 10_000


@pytest.mark.parametrize("operation", OPERATIONS)
def test_targets_are_the_operation_of_the_two_numbers(operation: str) -> None:
    for task in ranges(operation).values():
        for x, y in task.tests(20).values():
            assert y.shape == (20, 1)
            assert y[:, 0].tolist() == pytest.approx([EXPECTED[operation](a, b) for a, b in x.tolist()], 1e-4, 1e-5)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_training_draws_the_same_noise_for_all_ranges(operation: str) -> None:
    noise = torch.rand(3, 5, 2, generator=seeded())
    for task in ranges(operation, batch=5).values():
        assert isinstance(task, Task) and isinstance(task, Scaled) and task.fresh and not task.shared
        x, y = task.draw(seeded(), 3)
        torch.testing.assert_close(x, task.low + (task.high - task.low) * noise, rtol=1e-5, atol=1e-5)
        expected = [EXPECTED[operation](a, b) for a, b in x.flatten(0, 1).tolist()]
        assert y.flatten().tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("operation", ["a * b", "a / b"])
def test_no_input_is_exactly_zero(operation: str) -> None:
    steps, task = 4, SingleModule(operation, -2, 2, batch=2**20)
    drawn = ((seed, torch.rand(steps, 2**20, 2, generator=seeded(seed))) for seed in range(40))
    seed, u = next((seed, u) for seed, u in drawn if (u == 0.5).any())  # the middle of the range
    x, y = task.draw(seeded(seed), steps)
    assert torch.equal(x[u != 0.5], -2 + 4 * u[u != 0.5]) and x[u == 0.5].abs().max() < 1e-6
    assert (x != 0).all() and y.isfinite().all()
    for step in u:  # as the engine scales it
        x, y = task.examples(step, *(torch.tensor(end) for end in task.scales))
        assert (x != 0).all() and y.isfinite().all()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_range_of_a_readers_own(operation: str) -> None:
    task = SingleModule(operation, 3, 4, beyond=((4, 5),), batch=7)
    assert task.draw(seeded(), 2)[0].shape == (2, 7, 2)
    x, y = task.tests(50)["extrapolation"]
    assert x.shape == (50, 2) and x.min() >= 4 and x.max() <= 5
    assert y[0].item() == pytest.approx(EXPECTED[operation](*x[0].tolist()), rel=1e-5)
    assert 0 < task.threshold() < 1e-4


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"operation": "a ^ 2"}, ValueError, r"unknown operation 'a \^ 2': expected one of a \+ b, a - b, a \* b"),
        ({"low": 2, "high": 1}, ValueError, "the range of the inputs: expected a range with low < high, .* got 2 to 1"),
        ({"high": math.inf}, ValueError, "the range of the inputs: .* both finite, got 1 to inf"),
        ({"low": "1"}, TypeError, "the range of the inputs: expected numbers, got '1' to 2"),
        ({"batch": 0}, ValueError, "batch: expected at least 1, got 0"),
        ({"low": 0}, ValueError, r"beyond: expected a range of extrapolation for \[0, 2\], .* got none"),
        ({"beyond": ((3, 2),)}, ValueError, "the range of extrapolation: expected .* low < high, .* got 3 to 2"),
        *(
            ({"operation": "a / b", "low": low, "high": high, "beyond": ((5, 6),)}, ValueError,
             rf"a / b: expected a range of divisors without zero, got \[{low}, {high}\]")
            for low, high in [(-2, 1), (0, 2), (-2, 0)]
        ),
        ({"beyond": (4, 5)}, TypeError, r"beyond: expected pairs of numbers, such as \(\(2, 6\),\), got \(4, 5\)"),
        ({"operation": "a / b", "beyond": ((2, 3), (-1, 1))}, ValueError, r"divisors without zero, got \[-1, 1\]"),
    ],
)  # fmt: skip
def test_bad_tasks(settings: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SingleModule(**{"operation": "a + b", "low": 1, "high": 2, **settings})


# The law, for units as they are trained here.

SOME = ["[-0.2, -0.1]", "[-2, 2]", "[10, 20]"]

STEPS, BATCH, SEEDS = 130, 6, [3, 8]
"""More steps than are drawn in one block; the penalties of all recipes are on in the end."""


def some(operation: str, batch: int = 128) -> dict[str, SingleModule]:
    return {name: task for name, task in ranges(operation, batch).items() if name in SOME}


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Benchmark]:
    """The benchmark in float64, on some ranges."""
    monkeypatch.setattr(benchmarking, "ranges", some)
    monkeypatch.setattr(benchmarking, "fit", partial(fit, dtype=torch.float64))
    return partial(benchmark, seeds=SEEDS, steps=STEPS, batch=BATCH, retire=False, workers=1)


def rules(recipe: Recipe) -> dict[str, object]:
    """What a recipe prescribes, as arguments of the plain loop."""
    return {name: value for name, value in vars(recipe).items() if name == "lr" or value != vars(Recipe())[name]}


def lone(make: Build, operation: str, name: str, **rules: object) -> nn.Module:
    """The network of the second seed on a range."""
    task = some(operation)[name]
    return alone(make, InDouble(operation, task.low, task.high, batch=BATCH), SEEDS[1], STEPS, **rules)


def plain(make: Build, operation: str, **rules: object) -> dict[str, nn.Module]:
    return {name: lone(make, operation, name, **rules) for name in SOME}


def made(unit: type[nn.Module]) -> Build:
    return partial(unit, 2, 1)


def assert_alone(run: Benchmark, operation: str, networks: dict[str, nn.Module]) -> None:
    for name, network in networks.items():
        assert_same(run.replicas[operation, name][1], network)


def differ(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks are further apart than the law allows."""
    vectors = (nn.utils.parameters_to_vector(network.parameters()) for network in (one, other))
    return not torch.allclose(*vectors, rtol=1e-8, atol=1e-8, equal_nan=True)


LAWFUL = [(unit, unit.operations[-1]) for unit in UNITS] + [(NPU, "a * b"), (RealNPU, "a * b")]
"""Only these two have another recipe for another operation."""


@pytest.mark.parametrize(("unit", "operation"), LAWFUL)
def test_units_train_by_their_recipe_as_if_they_were_alone(
    unit: type[nn.Module], operation: str, train: Callable
) -> None:
    recipe = rules(unit.recipe(operation))
    networks = plain(made(unit), operation, **recipe)
    assert_alone(train(unit, operation), operation, networks)
    for rule in set(recipe) - {"lr", "restart"}:  # a restart would come later than these steps
        others = {name: value for name, value in recipe.items() if name != rule}
        changed = (differ(networks[name], lone(made(unit), operation, name, **others)) for name in SOME)
        assert any(changed), f"{rule} changes nothing here"


def test_an_inalu_starts_anew_where_its_loss_stays_high(train: Callable) -> None:
    recipe = INALU.recipe("a - b")
    sooner = replace(recipe, restart=replace(recipe.restart, after=30))
    networks = plain(made(INALU), "a - b", **rules(sooner))
    assert_alone(train(INALU, "a - b", recipe=sooner), "a - b", networks)
    late = plain(made(INALU), "a - b", **rules(recipe))
    assert [name for name in SOME if differ(networks[name], late[name])] == ["[-2, 2]", "[10, 20]"]


def test_a_recipe_that_is_given_is_used_in_the_place_of_the_units(train: Callable) -> None:
    given = Recipe(lr=5e-3, penalty=Penalty(later(0.3, 0.2), below=2.0), clip=Clip(0.5, 0.2))
    networks = plain(made(NAU), "a + b", **rules(given))
    assert_alone(train(NAU, "a + b", recipe=given), "a + b", networks)
    units = plain(made(NAU), "a + b", **rules(NAU.recipe("a + b")))
    assert all(differ(networks[name], units[name]) for name in SOME)


def test_a_unit_without_a_recipe_trains_by_adam_alone(train: Callable) -> None:
    def make(generator: torch.Generator) -> nn.Module:
        torch.manual_seed(generator.initial_seed())  # for the plain loop; the engine does so itself
        return Own(2, 1)

    assert_alone(train(Own, "a + b"), "a + b", plain(make, "a + b", lr=1e-3))


# From start to end.


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[Fit]:
    """What `fit` returned to the benchmark, but for the one step that it tries first."""
    kept = []

    def watched(*models_and_tasks: object, steps: int, **settings: object) -> Fit:
        run = fit(*models_and_tasks, steps=steps, **settings)
        if steps > 1:
            kept.append(run)
        return run

    monkeypatch.setattr(benchmarking, "fit", watched)
    return kept


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


class Trained(BaseException):
    """Holds what `fit` was told."""


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is trained for more than the one step that is tried first."""

    def refuse(*models_and_tasks: object, steps: int, **settings: object) -> Fit:
        if steps > 1:
            raise Trained(settings)
        return fit(*models_and_tasks, steps=steps, **settings)

    monkeypatch.setattr(benchmarking, "fit", refuse)


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(("steps", "checkpoints"), [(20, 10), (10_400, 10), (25_400, 25), (50_000, 50)])
def test_it_looks_each_thousand_steps_and_at_least_ten_times(steps: int, checkpoints: int) -> None:
    with pytest.raises(Trained) as settings:
        benchmark(NAU, "a + b", steps=steps)
    assert settings.value.args[0]["watch"].checkpoints == checkpoints


# The summary of a replica.

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


# Retiring, and processes.


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


def test_decided_is_what_diverged_or_is_exact() -> None:
    rows = checkpoints([0.0, 1e-30, NAN, 1.0, INF], [0.0] * 5, diverged=[False, False, True, True, False])
    assert benchmarking.decided(rows).tolist() == [True, False, True, False, False]


@pytest.mark.slow
def test_more_threads_change_no_result() -> None:
    one, two = (
        benchmark(NAU, "a - b", seeds=[4, 0, 2], steps=300, recipe=FAST, workers=workers).table for workers in (1, 2)
    )
    assert_same_tables(one, two)


# A reader's own unit.


def test_the_benchmark_is_public() -> None:
    assert nalu.benchmark is benchmark and {"Benchmark", "benchmark"} <= set(nalu.__all__)


def test_a_unit_that_draws_from_torchs_own_generator() -> None:
    tables = []
    for seed in (1, 2):
        before = torch.manual_seed(seed).get_state()
        tables.append(benchmark(Own, "a + b", seeds=[4, 0], steps=2, workers=1).table)
        assert torch.equal(torch.get_rng_state(), before)
    assert_frame_equal(*tables, check_exact=True)
    table = tables[0]
    assert set(table.unit) == {"Own"} and table.groupby("range").interpolation.nunique().eq(2).all()


def test_a_module_of_torch() -> None:
    table = benchmark(nn.Linear, "a + b", recipe=FAST, **{**LEAST, "steps": 300}).table
    assert set(table.unit) == {"Linear"} and table.sparsity.isna().all() and table.interpolation.lt(1).all()


def test_a_unit_that_takes_any_keyword_is_given_none() -> None:
    class Wrapped(NAU):
        def __init__(self, *sizes: int, **others: object) -> None:
            super().__init__(*sizes)  # draws the same from torch's own generator, which has the same seed
            assert not others

    table = benchmark(Wrapped, "a + b", **LEAST).table
    expected = benchmark(NAU, "a + b", **LEAST).table.assign(unit="Wrapped")
    assert_frame_equal(table, expected, check_exact=True)


def test_its_operations_unless_others_are_asked_for() -> None:
    assert benchmark(Own, **LEAST).table.operation.tolist() == ["a - b"] * 9 + ["a + b"] * 9
    assert benchmark(Own, iter(["a * b"]), **LEAST).table.operation.tolist() == ["a * b"] * 9


# Shares.


def outcomes(unit: str, operation: str, **successes: str) -> pd.DataFrame:
    """A table with the seeds' successes on ranges of these names, as 1 or 0."""
    rows = [
        {"unit": unit, "operation": operation, "range": name, "seed": seed, "success": each == "1"}
        for name, row in successes.items()
        for seed, each in enumerate(row)
    ]
    return pd.DataFrame(rows)


def of(*tables: pd.DataFrame) -> Benchmark:
    return Benchmark(pd.concat(tables, ignore_index=True), {}, 0.0, 0)


def wilson(k: int, n: int) -> tuple[float, float]:
    z = 1.959963984540054
    middle, half = k + z * z / 2, z * math.sqrt(k * (n - k) / n + z * z / 4)
    return (middle - half) / (n + z * z), (middle + half) / (n + z * z)


def test_rates_have_wilsons_interval() -> None:
    found = of(outcomes("Own", "a - b", wide="1101", narrow="00"), outcomes("Own", "a + b", wide="111")).rates()
    assert list(found.columns) == ["rate", "low", "high", "seeds"]
    assert found.index.names == ["unit", "operation", "range"]
    expected = {("a - b", "wide"): (3, 4), ("a - b", "narrow"): (0, 2), ("a + b", "wide"): (3, 3)}
    assert found.index.tolist() == [("Own", *key) for key in expected]
    for row, (k, n) in zip(found.itertuples(index=False), expected.values(), strict=True):
        assert row == pytest.approx((k / n, *wilson(k, n), n), abs=1e-12)


def test_intervals_of_success_and_of_the_runs_that_succeed() -> None:
    table = of(outcomes("Own", "a - b", wide="1101", narrow="00"), outcomes("Own", "a + b", wide="11")).table
    table["solved_at"] = np.where(table.success, 12_000, 3_000)
    table["sparsity"] = np.where(table.success, 1e-5, 0.4)
    table.loc[table.operation == "a + b", "sparsity"] = NAN
    found = Benchmark(table, {}, 0.0, 0).intervals()
    assert found.index.names == ["unit", "operation", "range"]
    at, near = "12,000 [12,000, 12,000]", "1.0e-05 [1.0e-05, 1.0e-05]"
    expected = {
        ("a - b", "wide"): (3, 4, at, near),
        ("a - b", "narrow"): (0, 2, "–", "–"),
        ("a + b", "wide"): (2, 2, at, "–"),
    }
    assert found.index.tolist() == [("Own", *key) for key in expected]
    assert list(found.columns) == ["success", "solved at", "sparsity error"]
    for row, (k, n, *texts) in zip(found.itertuples(index=False), expected.values(), strict=True):
        low, high = wilson(k, n)
        assert list(row) == [f"{k / n:.2f} [{low:.2f}, {high:.2f}]", *texts]


OURS = of(outcomes("Own", "a - b", wide="10", narrow="00"), outcomes("Own", "a + b", wide="11", narrow="10"))

OTHERS = pd.concat(
    [
        outcomes("NAC", "a - b", narrow="0000", wide="0000"),
        outcomes("NAU", "a - b", narrow="11", wide="1110"),
        outcomes("NAU", "a + b", narrow="11", wide="00"),
        outcomes("NAU", "a * b", narrow="11", wide="11"),
        outcomes("Own", "a - b", narrow="11", wide="10"),
        outcomes("Own", "a * b", narrow="11", wide="11"),
    ]
).assign(solved_at=0)

BESIDE = {
    ("a + b", "Own, this run"): [1.0, 0.5, 0.75],
    ("a + b", "NAU"): [0.0, 1.0, 0.5],
    ("a - b", "NAU"): [0.75, 1.0, 0.875],
    ("a - b", "Own"): [0.5, 1.0, 0.75],
    ("a - b", "Own, this run"): [0.5, 0.0, 0.25],
    ("a - b", "NAC"): [0.0, 0.0, 0.0],
}


def assert_beside(grid: pd.DataFrame, expected: dict[tuple[str, str], list[float]] = BESIDE) -> None:
    assert grid.index.names == ["operation", "unit"] and list(grid.columns) == ["wide", "narrow", "all"]
    assert grid.index.tolist() == list(expected)
    np.testing.assert_allclose(grid, list(expected.values()))


def test_beside_others_on_the_same_operations_only() -> None:
    before = OTHERS.copy()
    assert_beside(OURS.beside(OTHERS))
    assert_frame_equal(OTHERS, before)


def test_a_name_of_its_own_is_not_marked() -> None:
    expected = {
        (operation, unit.removesuffix(", this run")): row for (operation, unit), row in BESIDE.items() if unit != "Own"
    }
    assert_beside(OURS.beside(OTHERS[OTHERS.unit != "Own"]), expected)


def test_beside_the_units_of_the_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "single_module.csv"
    monkeypatch.setattr(tables, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match=f"expected the stored results at {path}, got no file; `make paper`"):
        OURS.beside()
    path.write_text("# made by hand\n" + OTHERS.to_csv(index=False))
    assert_frame_equal(stored("single_module"), OTHERS.reset_index(drop=True))
    assert_beside(OURS.beside())


def test_a_figure_has_a_panel_for_each_operation() -> None:
    figure = OURS.figure(OTHERS)
    assert [axes.get_title("left") for axes in figure.axes] == ["a + b", "a - b"]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["Own, this run", "NAU"]
    plt.close(figure)


# Bad input, refused before anything is trained.


class OneSize(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()


class ByKeyword(nn.Module):
    def __init__(self, *, in_features: int, out_features: int) -> None:
        super().__init__()


def three(in_features: int, out_features: int) -> int:
    return 3


def giving(output: Callable[[Tensor], object]) -> type[nn.Module]:
    class Giving(Own):
        def forward(self, x: Tensor) -> object:
            return output(x)

    return Giving


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("unit", "error", "message"),
    [
        (NAU(2, 1), TypeError, r"unit: expected a class of modules with two sizes, got NAU\(2, 1\)"),
        ("NAU", TypeError, "unit: expected a class of modules with two sizes, got 'NAU'"),
        (None, TypeError, "unit: expected a class of modules with two sizes, got None"),
        (partial(NAU), TypeError, "unit: expected a class of modules with two sizes, got functools.partial"),
        (OneSize, TypeError, "OneSize: expected a class that is made with two sizes, got: .* positional argument"),
        (ByKeyword, TypeError, "ByKeyword: expected a class that is made with two sizes, got: .* positional argument"),
        (three, TypeError, r"three: expected a class of modules, got int from three\(2, 1\)"),
        (giving(lambda x: x), ValueError, r"Giving: expected outputs of shape \(4, 1\) .* \(4, 2\), got \(4, 2\)"),
        (giving(lambda x: x.sum(-1)), ValueError, r"Giving: expected outputs of shape \(4, 1\) .*, got \(4,\)"),
        (giving(lambda x: (x[:, :1],)), ValueError, r"Giving: expected outputs of shape \(4, 1\) .*, got tuple"),
        (giving(lambda x: x[:, :1] * NAN), ValueError, "Giving: expected finite outputs on one of the .* got none"),
    ],
)  # fmt: skip
def test_what_is_no_unit(unit: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        benchmark(unit, "a + b")


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"operation": "a ^ 2"}, ValueError, r"unknown operation 'a \^ 2': expected one of a \+ b, a - b, .* a / b"),
        ({"operation": ["a + b", "sum"]}, ValueError, "unknown operation 'sum': expected one of"),
        ({"operation": None}, ValueError, r"operation: expected one of a \+ b, .*, for Linear names none, got none"),
        ({"operation": []}, ValueError, "number of operations: expected at least 1, got 0"),
        ({"operation": ["a + b", "a - b", "a + b"]}, ValueError, r"operations: expected each once, got a \+ b more"),
        ({"operation": 3}, TypeError, r"operation: expected one or several of a \+ b, .*, got 3"),
        ({"seeds": 3}, TypeError, "seeds: expected some whole numbers, .*, got 3"),
        ({"steps": 0}, ValueError, "steps: expected at least 1, got 0"),
        ({"steps": "9"}, TypeError, "steps: expected a whole number, got '9'"),
        ({"recipe": {"lr": 0.1}}, TypeError, r"Linear: recipe: expected a Recipe \(nalu\.Recipe\), got {'lr': 0.1}"),
        ({"seeds": []}, ValueError, "number of seeds: expected at least 1, got 0"),
        ({"batch": 0}, ValueError, "batch: expected at least 1, got 0"),
    ],
)  # fmt: skip
def test_bad_settings(settings: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        benchmark(nn.Linear, **{"operation": "a + b", **settings})


class Branching(Own):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.sum() > 0 else 2 * super().forward(x)


class Drawing(Own):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * torch.rand_like(x))


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("unit", [Branching, Drawing])
def test_what_no_stack_can_train(unit: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match=f"{unit.__name__}: expected a unit that can be trained in a stack .* got: "):
        benchmark(unit, "a + b")


class OfNegatives(Own):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward((-x).log())


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("unit", [MulMCFC, OfNegatives])
def test_what_is_undefined_on_some_ranges_is_a_unit(unit: type[nn.Module]) -> None:
    with pytest.raises(Trained):
        benchmark(unit, "a * b")


def test_a_unit_may_be_undefined_on_some_ranges() -> None:
    table = benchmark(MulMCFC, **LEAST).table
    assert table.range[~table.diverged].tolist() == POSITIVE
    assert table.interpolation.notna().equals(~table.diverged)
