"""The Single Module Arithmetic Task for any unit, in one call: how often does it learn an operation, and how fast?"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from nalu import checks
from nalu.book.tables import stored
from nalu.recipe import Recipe
from nalu.statistics.estimates import Estimate, estimate, rate
from nalu.tasks.single_module import OPERATIONS, SingleModule, ranges
from nalu.training import refusals
from nalu.training.fitting import fit
from nalu.training.metrics import mean_squared_error
from nalu.training.replicas import Build, Replicas, build
from nalu.training.watch import Watch

if TYPE_CHECKING:  # who draws no figure needs no matplotlib
    from matplotlib.figure import Figure

COLUMNS = ["unit", "operation", "range", "seed", "success", "solved_at", "sparsity", "best_step", "interpolation"]
COLUMNS += ["extrapolation", "diverged"]


@dataclass(frozen=True)
class Benchmark:
    """What a unit did.

    Attributes:
        table: a row for each operation, range and seed: `success` (whether the mean squared error in extrapolation at
            the best step is below that of a nearly perfect solution), `solved_at` (the first checkpoint at which it is,
            NaN without success), `sparsity` (the largest distance of a weight `W` from -1, 0 and 1 at the best step,
            NaN for units without `W`), `best_step` (the checkpoint of least error in interpolation), the mean squared
            errors there, and `diverged` (at the last checkpoint).
        replicas: the trained networks, by operation and range, in the order of the seeds; as they were in the end, or
            when they were retired.
        seconds: of training.
        network_steps: replicas times steps, whether or not a replica was retired on the way.
    """

    table: pd.DataFrame
    replicas: dict[tuple[str, str], Replicas]
    seconds: float
    network_steps: int

    def rates(self) -> pd.DataFrame:
        """The share of seeds that learn each operation from each range, with Wilson's 95% interval."""
        return rates(self.table)

    def intervals(self) -> pd.DataFrame:
        """For each operation and range: success with Wilson's interval, and of the runs with success, the mean step at
        which they were solved and the mean sparsity error, with bootstrap intervals. Text, to read."""
        return intervals(self.table)

    def beside(self, others: pd.DataFrame | None = None) -> pd.DataFrame:
        """The shares of this unit and of all others on the same operations: a row a unit, a column a range.

        Args:
            others: a table like this one; that of all units of the book, if not given. A unit of the same name stays
                what it is, and this one's name is marked.

        Raises:
            FileNotFoundError: the book's table is not there.
        """
        others = stored("single_module") if others is None else others
        others = others[others.operation.isin(self.table.operation)]
        known = set(others.unit)
        ours = self.table.assign(unit=[f"{name}, this run" if name in known else name for name in self.table.unit])
        both = pd.concat([ours, others])
        shares = both.assign(success=both.success.astype(float)).groupby(["operation", "unit", "range"], sort=False)
        grid = shares.success.mean().unstack("range")[list(dict.fromkeys(both.range))]
        return grid.assign(all=grid.mean(axis=1)).sort_values(["operation", "all"], ascending=[True, False])

    def figure(self, others: pd.DataFrame | None = None) -> "Figure":
        """What `beside` returns as a figure, a panel for each operation; its arguments and errors."""
        from nalu.book import plots  # here, for it sets the style of all figures

        grid = self.beside(others)
        operations = dict.fromkeys(grid.index.get_level_values("operation"))
        return plots.shares({operation: grid.xs(operation) for operation in operations})


def benchmark(
    unit: Callable[..., nn.Module],
    operation: str | Iterable[str] | None = None,
    *,
    seeds: Iterable[int] = range(25),
    steps: int = 50_000,
    recipe: Recipe | None = None,
    batch: int = 128,
    retire: bool = True,
    workers: int | None = None,
) -> Benchmark:
    """Train a unit of two inputs and one output on an operation, from nine ranges and 25 seeds each.

    Mistry, Farrahi & Hare 2022, section 5: two numbers from a narrow range, one module, fresh batches, Adam, 50,000
    steps; the checkpoint of least error on new points of the range is judged by its error on points beyond it.

    Args:
        unit: a class whose instances are made by `unit(in_features, out_features)`; a keyword argument `generator` is
            passed where it takes one, else torch's global one is seeded.
        operation: one or several of a + b, a - b, a * b, a / b; those of `unit.operations`, if not given.
        seeds: of the replicas for each range. The same seed draws the same random numbers for all ranges.
        steps: updates of each replica; the table looks at it each thousand, at least ten times.
        recipe: how to train; what `unit.recipe(operation)` returns, or else Adam with a rate of 1e-3.
        retire: leave out replicas on which nothing more depends: they diverged, or their error in interpolation is
            exactly zero, which no later checkpoint can be better than. It saves time, and changes neither what is a
            success nor when it was solved.
        workers: threads; as many as there are cores, if not given.

    Raises:
        TypeError: something else than a class with two sizes.
        ValueError: an unknown operation; none given, and none named by the unit; a unit that returns another shape than
            (batch, 1) for one of (batch, 2), or nothing finite on any range, or that cannot be trained so; no seeds.
    """
    name = getattr(unit, "__name__", None)
    if not callable(unit) or isinstance(unit, nn.Module) or name is None:
        raise TypeError(f"unit: expected a class of modules with two sizes, got {unit!r}")
    operations = getattr(unit, "operations", None) if operation is None else operation
    if operations is None:
        raise ValueError(f"operation: expected one of {', '.join(OPERATIONS)}, for {name} names none, got none")
    if not isinstance(operations, Iterable):
        raise TypeError(f"operation: expected one or several of {', '.join(OPERATIONS)}, got {operations!r}")
    operations = [operations] if isinstance(operations, str) else list(operations)
    for each in operations:
        checks.one_of(each, list(OPERATIONS), "operation")
    checks.at_least(len(operations), 1, "number of operations")
    checks.distinct(operations, "operations")
    if not isinstance(seeds, Iterable):
        raise TypeError(f"seeds: expected some whole numbers, one for each replica of a range, got {seeds!r}")
    seeds = list(seeds)
    checks.at_least(len(seeds), 1, "number of seeds")
    checks.at_least(steps, 1, "steps")
    make = partial(unit, 2, 1)
    measures = _try(make, name, operations)
    recipes = {each: recipe_for(unit, each) if recipe is None else recipe for each in operations}
    for each in recipes.values():  # before the first of several operations is trained
        refusals.recipe(each, steps, name)
    checkpoints = max(10, round(steps / 1_000))
    watch = Watch(
        checkpoints=checkpoints, error=mean_squared_error, measures=measures, retire=decided if retire else None
    )
    train = partial(_one, {name: make}, watch=watch, batch=batch, workers=workers)
    for each in operations:  # two replicas and one step, so that no error is left for later
        _trial(name, lambda each=each: train(each, recipes[each], seeds=seeds[:2], steps=1))
    runs = [train(each, recipes[each], seeds=seeds, steps=steps) for each in operations]
    return Benchmark(
        pd.concat([run.table for run in runs], ignore_index=True),
        {key: part for run in runs for key, part in run.replicas.items()},
        sum(run.seconds for run in runs),
        sum(run.network_steps for run in runs),
    )


def recipe_for(unit: Callable[..., nn.Module], operation: str) -> Recipe:
    """How a unit is trained on an operation where nothing else is asked: what `unit.recipe` says, or else Adam alone.

    Raises:
        TypeError: its `recipe` is no static method of an operation.
    """
    if not hasattr(unit, "recipe"):
        return Recipe()
    try:
        return unit.recipe(operation)
    except TypeError as error:
        raise TypeError(
            f"{unit.__name__}: expected recipe to be a static method of the operation, got: {error}"
        ) from error


def _trial(name: str, train: Callable[[], object]) -> None:
    try:
        train()
    except RuntimeError as error:  # of vmap; what is wrong with the settings is a TypeError or ValueError
        raise ValueError(
            f"{name}: expected a unit that can be trained in a stack of replicas, whose equation takes no branch on "
            f"its numbers and draws none, got: {error}"
        ) from error


def _one(
    models: Mapping[str, Build],
    operation: str,
    recipe: Recipe,
    *,
    watch: Watch,
    batch: int,
    seeds: Sequence[int],
    steps: int,
    workers: int | None,
) -> Benchmark:
    tasks = ranges(operation, batch)
    watch = replace(watch, tests={key: task.tests() for key, task in tasks.items()})
    run = fit(models, tasks, recipe, seeds=seeds, steps=steps, watch=watch, workers=workers)
    table = summary(run.table.rename(columns={"model": "unit", "task": "range"}), tasks)
    table.insert(1, "operation", operation)
    replicas = {(operation, key): part for (_, key), part in run.replicas.items()}
    return Benchmark(table[COLUMNS], replicas, run.seconds, run.network_steps)


def decided(rows: pd.DataFrame) -> Bool[np.ndarray, " replica"]:
    """Of which replicas all later checkpoints can be left out: those that diverged, or have no error to lose."""
    lost = rows.diverged & ~np.isfinite(rows.interpolation)  # after a batch alone without a finite loss, all can go on
    return (lost | (rows.interpolation == 0)).to_numpy()


def summary(table: pd.DataFrame, tasks: Mapping[str, SingleModule]) -> pd.DataFrame:
    """From a row for each checkpoint to one for each replica; see `Benchmark.table`.

    Args:
        table: with columns unit, range, seed, step, interpolation, extrapolation, diverged, and sparsity where known.
        tasks: by their range.
    """
    thresholds = {key: task.threshold() for key, task in tasks.items()}
    rows = []
    for (unit, key, seed), group in table.groupby(["unit", "range", "seed"], observed=True, sort=False):
        solved = (group.extrapolation < thresholds[key]).to_numpy()
        best = int(np.where(np.isfinite(group.interpolation), group.interpolation, np.inf).argmin())
        success = bool(solved[best])
        at = group.iloc[best]
        rows.append(
            {
                "unit": unit,
                "range": key,
                "seed": seed,
                "success": success,
                "solved_at": group.step.iloc[int(solved.argmax())] if success else np.nan,
                "sparsity": at.get("sparsity", np.nan),
                "best_step": at.step,
                "interpolation": at.interpolation,
                "extrapolation": at.extrapolation,
                "diverged": bool(group.diverged.iloc[-1]),
            }
        )
    return pd.DataFrame(rows)


def rates(table: pd.DataFrame) -> pd.DataFrame:
    """The share of seeds with success for each unit, operation and range: columns `rate`, `low`, `high`, `seeds`."""
    groups = table.groupby(["unit", "operation", "range"], sort=False, observed=True).success
    estimates: dict[tuple, Estimate] = {key: rate(values.to_numpy(dtype=bool)) for key, values in groups}
    index = pd.MultiIndex.from_tuples(estimates, names=["unit", "operation", "range"])
    return pd.DataFrame(list(estimates.values()), index=index).set_axis(["rate", "low", "high", "seeds"], axis=1)


def overall(table: pd.DataFrame) -> Estimate:
    """The share of all runs with success, over all ranges. Its interval resamples seeds, which the ranges share."""
    return estimate(table.groupby("seed").success.mean())


def intervals(table: pd.DataFrame) -> pd.DataFrame:
    """See `Benchmark.intervals`; a dash where no run is a success, or no weights are known."""
    rows = {}
    for key, group in table.groupby(["unit", "operation", "range"], sort=False, observed=True):
        solved = group[group.success.astype(bool)]
        rows[key] = {
            "success": format(rate(group.success.to_numpy(dtype=bool)), ".2f"),
            "solved at": format(estimate(solved.solved_at), ",.0f") if len(solved) else "–",
            "sparsity error": format(estimate(solved.sparsity), ".1e") if solved.sparsity.count() else "–",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["unit", "operation", "range"])


def sparsity(network: nn.Module) -> Float[Tensor, ""]:
    """The largest distance of any of a unit's weights W from the nearest of -1, 0 and 1 (Madsen & Johansen 2020)."""
    size = network.W.abs()
    return torch.minimum(size, (1 - size).abs()).amax()


def _try(make: Build, name: str, operations: list[str]) -> dict[str, Callable[[nn.Module], Tensor]]:
    """Raise where a unit cannot be trained, before hours are spent; return what of it can be measured."""
    try:
        network = build(make, 0)
    except TypeError as error:
        raise TypeError(f"{name}: expected a class that is made with two sizes, got: {error}") from error
    if not isinstance(network, nn.Module):
        raise TypeError(f"{name}: expected a class of modules, got {type(network).__name__} from {name}(2, 1)")
    refusals.kinds(network, name)
    finite = False
    for task in ranges(operations[0], batch=4).values():
        x, _ = task.draw(torch.Generator().manual_seed(0), 1)
        try:
            with torch.no_grad():
                y = network(x[0])
        except RuntimeError as error:
            raise ValueError(f"{name}: expected a unit of inputs of shape (4, 2), got: {error}") from error
        if not isinstance(y, Tensor) or y.shape != (4, 1):
            got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise ValueError(f"{name}: expected outputs of shape (4, 1) for inputs of shape (4, 2), got {got}")
        finite |= bool(y.isfinite().all())
    if not finite:
        raise ValueError(f"{name}: expected finite outputs on one of the nine ranges at least, got none")
    return {"sparsity": sparsity} if isinstance(getattr(network, "W", None), Tensor) else {}
