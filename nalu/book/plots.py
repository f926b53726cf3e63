"""The few kinds of figure of the book, in one style and with one colour for each unit.

Each says in words what it draws (`describe`), with its numbers. Importing this module sets the style.
"""

import random
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import stats

from nalu import checks
from nalu.book.descriptions import describe, listed, number
from nalu.statistics.estimates import Estimate

with checks.extra("plots", "figures"):
    import matplotlib.pyplot as plt
    import seaborn as sns
    from matplotlib.axes import Axes

plt.style.use(Path(__file__).with_name("style.mplstyle"))

FAMILIES: dict[str, tuple[str, ...]] = {
    "flat on both sides": ("Hardtanh", "Sigmoid", "Tanh", "ReLU6", "Softsign"),
    "flat on one side": ("ReLU", "Threshold", "Softplus", "ELU", "SELU"),
    "never flat in the long run": ("LeakyReLU", "PReLU", "Tanhshrink", "Softshrink", "Hardshrink"),
    "none, and arithmetic units": ("None", "NAC", "NALU"),
}
"""The activations by what they do far from zero, which decides how they extrapolate."""


class Colours(dict[str, tuple[float, float, float]]):
    """By name. A name without a colour gets one that depends on it alone, and is not like any that is listed."""

    def __missing__(self, name: str) -> tuple[float, float, float]:
        draw = random.Random(name)  # the same on every machine
        while True:
            (colour,) = sns.husl_palette(1, h=draw.random(), s=0.8, l=draw.uniform(0.35, 0.7))
            if all(np.linalg.norm(np.subtract(colour, other)) > 0.15 for other in self.values()):
                return colour


LISTED: dict[str, tuple[float, float, float]] = {
    **dict(zip(FAMILIES["flat on both sides"], sns.color_palette("Reds_d", 5), strict=True)),
    **dict(zip(FAMILIES["flat on one side"], sns.color_palette("YlOrBr_d", 5), strict=True)),
    **dict(zip(FAMILIES["never flat in the long run"], sns.color_palette("Blues_d", 5), strict=True)),
    "None": (0.35, 0.35, 0.35),
    "Linear": (0.35, 0.35, 0.35),
    "NAC": sns.color_palette("colorblind")[2],
    "NACMul": (0.56, 0.76, 0.24),
    "NAU": (0.0, 0.38, 0.28),
    "NALU": sns.color_palette("colorblind")[4],
    "INALU": (0.49, 0.18, 0.56),
    "GNALU": (0.69, 0.57, 0.86),
    "NMU": sns.color_palette("colorblind")[1],
    "SNMU": (0.96, 0.82, 0.12),
    "NRU": (0.55, 0.34, 0.04),
    "NMRU": (0.98, 0.74, 0.36),
    "RealNPU": sns.color_palette("colorblind")[0],
    "NPU": sns.color_palette("colorblind")[9],
    "MCFC": (0.62, 0.13, 0.26),
    "MulMCFC": (0.85, 0.44, 0.5),
    "SignedMulMCFC": (0.95, 0.66, 0.65),
    "LSTM": sns.color_palette("colorblind")[3],
    "RNN": sns.color_palette("YlOrBr_d", 5)[2],
}
COLOURS = Colours(LISTED)
"""One colour for each unit and activation, the same in the whole book; also for units that are not listed."""

STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
"""Line styles within a family, so that lines can be told apart without their colour."""


def curves(
    axes: Axes,
    x: ArrayLike,
    values: Mapping[str, Float[np.ndarray, "replica point"]],
    statistic: str = "mean",
) -> None:
    """A line for each model: a statistic over its replicas at each x, in a band of its 95% bootstrap interval.

    Args:
        x: one number a point.
        values: by model, one row a replica.
        statistic: "mean" or "median".
    """
    reduce = {"mean": np.mean, "median": np.median}[statistic]
    x = np.asarray(x).ravel()
    places = sorted({0, len(x) // 2, len(x) - 1})
    said = []
    for (name, rows), style in zip(values.items(), STYLES * len(values), strict=False):
        low, high = rows.min(0), rows.max(0)
        if len(rows) > 1:
            # At points where all replicas agree there is nothing to resample.
            same = low == high
            ci = stats.bootstrap(
                (rows[:, ~same],), reduce, axis=0, n_resamples=1_000, method="percentile", rng=np.random.default_rng(0)
            ).confidence_interval
            low[~same], high[~same] = ci.low, ci.high
        colour, line = COLOURS[name], reduce(rows, axis=0)
        axes.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0)
        axes.plot(x, line, color=colour, linestyle=style, label=name)
        said.append(f"{name} {', '.join(number(line[place]) for place in places)}")
    describe(axes, f"{statistic} at {', '.join(number(x[place]) for place in places)}: {'; '.join(said)}")


def dots(axes: Axes, estimates: Mapping[str, Estimate], label: str) -> None:
    """A dot with its interval for each model, the largest on top, on a logarithmic axis."""
    order = sorted(estimates, key=lambda name: estimates[name].value)
    for row, name in enumerate(order):
        e = estimates[name]
        axes.plot([e.low, e.high], [row, row], color=COLOURS[name], linewidth=3, alpha=0.5, solid_capstyle="butt")
        axes.plot(e.value, row, "o", color=COLOURS[name])
    axes.set_yticks(range(len(order)), order)
    axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.grid(axis="y", visible=False)
    describe(axes, f"{label}, largest first: {listed({name: estimates[name].value for name in reversed(order)})}")


def strips(axes: Axes, values: Mapping[str, ArrayLike], chosen: Mapping[str, int], limits: tuple[float, float]) -> None:
    """A row of dots for each model, a dot a replica, on a logarithmic axis; a bar at the median, a ring at one chosen.

    What lies outside `limits`, or has diverged, is drawn at the edge.

    Args:
        values: by model, one number a replica. A variant of a unit ("NAC, stored") has the unit's colour.
        chosen: by model, the index of the replica to ring.
    """
    low, high = limits
    medians = {}
    for row, (name, numbers) in enumerate(values.items()):
        numbers = np.nan_to_num(np.asarray(numbers, dtype=float), nan=np.inf).clip(low, high)
        colour = COLOURS[name.split(",")[0]]
        heights = row + np.linspace(-0.3, 0.3, len(numbers))  # in the order of the seeds, so that none hides another
        axes.plot(numbers, heights, "o", color=colour, markersize=3, alpha=0.45, markeredgewidth=0)
        medians[name] = np.median(numbers)
        axes.plot([medians[name]] * 2, [row - 0.4, row + 0.4], color=colour, linewidth=2.5)
        if name in chosen:
            r = chosen[name]
            axes.plot(numbers[r], heights[r], "o", mfc="none", mec="0.1", markersize=8, markeredgewidth=1.5)
    axes.set_yticks(range(len(values)), list(values))
    axes.set(xscale="log", xlim=(low / 2, high * 2), ylim=(len(values) - 0.4, -0.6))
    axes.grid(axis="y", visible=False)
    describe(axes, f"median {'; '.join(f'{name} {_within(limits, value)}' for name, value in medians.items())}")


def _within(limits: tuple[float, float], value: float) -> str:
    """A number that was drawn at the edge if it lies beyond."""
    beyond = " or less" if value <= limits[0] else " or more" if value >= limits[1] else ""
    return number(value) + beyond


def strip_panels(
    values: Mapping[tuple[str, str], ArrayLike],
    chosen: Mapping[tuple[str, str], int],
    *,
    limits: tuple[float, float],
    threshold: float,
    label: str,
) -> plt.Figure:
    """`strips` for several tasks, a panel each, two in a row, with a dashed line at a threshold.

    Args:
        values: by task and model, one number a replica.
        chosen: by task and model, the index of the replica to ring.
        label: what the numbers are.
    """
    tasks = list(dict.fromkeys(task for task, _ in values))
    figure, grid = panels(2, tasks, height=2.1, sharex=True, sharey=True)
    for axes, name in zip(grid, tasks, strict=False):
        of_task = [{model: what for (task, model), what in all_.items() if task == name} for all_ in (values, chosen)]
        strips(axes, *of_task, limits)
        axes.axvline(threshold, color="0.3", linestyle="--", linewidth=1)
    for axes in grid[-2:]:
        axes.set_xlabel(label)
    within = {model: [] for _, model in values}
    for (_, model), numbers in values.items():
        within[model].extend(np.asarray(numbers) <= threshold)
    shares = ", ".join(f"{model} {np.mean(each):.0%}" for model, each in within.items())
    describe(figure, f"Share of replicas not beyond the dashed line at {number(threshold)} {label}: {shares}")
    return figure


def shares(grids: Mapping[str, pd.DataFrame], columns: int = 2) -> plt.Figure:
    """Shares between 0 and 1 as coloured cells with their number in percent, a panel for each grid.

    Only what is all is 100, and only what is none is 0.

    Args:
        grids: by title, a row and a column for each cell.
        columns: panels in a row, at most.
    """
    columns = min(columns, len(grids))
    rows = -(-len(grids) // columns)
    tallest = max(len(grid) for grid in grids.values())
    figure, all_axes = plt.subplots(rows, columns, figsize=(7, (0.6 + 0.2 * tallest) * rows), squeeze=False)
    for axes, (title, grid) in zip(all_axes.flat, grids.items(), strict=False):
        percent = (100 * grid).round().clip(1, 99).where((grid > 0) & (grid < 1), 100 * grid)
        sns.heatmap(
            grid, ax=axes, vmin=0, vmax=1, cmap="crest", cbar=False, annot=percent, fmt=".0f",
            annot_kws={"size": 7}, linewidths=0.5,
        )  # fmt: skip
        axes.set(title=title, xlabel="", ylabel="")
        axes.tick_params(left=False, bottom=False, labelsize=7)
        axes.tick_params(axis="y", rotation=0)
        axes.tick_params(axis="x", rotation=90)
        describe(axes, f"mean of each row, in percent: {listed((100 * grid).mean(axis=1))}")
    return figure


def learning(table: pd.DataFrame, columns: Sequence[str]) -> plt.Figure:
    """How numbers change in training: the median over replicas, in a band of its 95% interval, on logarithmic axes.

    What lies outside of 1e-12 to 1e12, or has diverged, is drawn at the edge. A replica that was retired stays where it
    was.

    Args:
        table: as `nalu.fit` returns it.
        columns: the numbers, a panel each; a row of panels for each task.
    """
    tasks = dict(iter(table.groupby("task", observed=True))) if "task" in table else {"": table}
    titles = [f"{task}, {column}" if task else column for task in tasks for column in columns]
    figure, grid = panels(len(columns), titles, sharex=True)
    for axes, (task, column) in zip(grid, product(tasks, columns), strict=True):
        numbers = tasks[task][column].astype(float)
        rows = tasks[task].assign(shown=numbers.where(np.isfinite(numbers), np.inf).clip(1e-12, 1e12))
        by_step = rows.pivot(index=["model", "seed"], columns="step", values="shown").ffill(axis=1)
        models = by_step.groupby("model", observed=True, sort=False)
        curves(axes, by_step.columns, {name: of.to_numpy() for name, of in models}, "median")
        axes.set(yscale="log")
    for axes in grid[-len(columns) :]:
        axes.set_xlabel("steps")
    grid[0].legend()
    return figure


def training_range(axes: Axes, low: float, high: float) -> None:
    """Shade what the models saw in training."""
    axes.axvspan(low, high, color="0.5", alpha=0.15, linewidth=0, label="_training range")


def panels(
    columns: int, titles: Sequence[str], height: float = 2.6, **settings: object
) -> tuple[plt.Figure, list[Axes]]:
    """Small multiples with a title each, in so many columns, 7 inches wide."""
    rows = -(-len(titles) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(7, height * rows), squeeze=False, **settings)
    for axes, title in zip(grid.flat, titles, strict=False):
        axes.set_title(title)
    return figure, list(grid.flat)
