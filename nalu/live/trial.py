"""Chapter 7's benchmark in the page: a unit, an operation and a range, trained while the reader looks on."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pandas as pd
import torch

from nalu import checks
from nalu.live.front import STYLE, module
from nalu.live.single_module import TOLD, Told, program, row_digest, task
from nalu.statistics.estimates import rate
from nalu.tasks.single_module import OPERATIONS, RANGES
from nalu.training.replicas import Replicas, build
from nalu.units import UNITS, Unit

with checks.extra("plots", "widgets that train"):
    import anywidget
    import traitlets
    from ipywidgets.widgets.trait_types import CByteMemoryView

    from nalu.book import plots
    from nalu.book.descriptions import description
    from nalu.book.sliders import picture

NETWORKS = """\
# {seeds} networks: {unit}, trained to compute {operation} from {range} in a page of the book.
# This needs the package of the book.
import torch
from nalu import {unit}

weights = torch.tensor({weights}, dtype=torch.float32)
networks = [{unit}(2, 1) for _ in weights]
for network, row in zip(networks, weights):
    torch.nn.utils.vector_to_parameters(row, network.parameters())

print(networks[0](torch.tensor([[3.0, 4.0]])))
"""

TRAINING = """\
# {unit}, trained to compute {operation} from {range}, as in a page of the book: the same rows, digit by digit.
# This needs the package of the book.
from nalu import {unit}, benchmark
from nalu.live.single_module import row_digest

run = benchmark({unit}, "{operation}", seeds=range({seeds}), steps={steps})
rows = run.table[run.table.range == "{range}"]
assert row_digest(rows) == {digest}, "not the rows of the page"
rows
"""

Share = tuple[str, str, str]
"""A unit, an operation and a range, by their names in `nalu.benchmark`."""


class Trial(anywidget.AnyWidget):
    """A unit on an operation of the Single Module Arithmetic Task (Mistry et al. 2022), from a range of the reader's
    choice: as by `nalu.benchmark`, to the same digits.

    Args:
        stored: the table that it is compared with, of `nalu.benchmark`; its seeds are 0, 1, 2, ...
        reported: the share of seeds with success that a paper tells.
        where: the paper.
        units: that the reader can choose from.
        steps: of each run.
        seeds: the most that can be trained.
        first: what is shown first.

    Attributes:
        table: a row for each replica that the reader trained last, in a notebook, with the columns of
            `nalu.benchmark`; those that are stored of `first`, until there is something.
        networks: these replicas.

    Raises:
        ValueError: `first` is not among the units, operations and ranges; fewer than 25 seeds; and what
            `nalu.live.single_module.program` raises.
        RuntimeError: there are no networks as yet.
    """

    _esm = module("trial")
    _css = STYLE
    task = traitlets.Dict().tag(sync=True)
    programs = traitlets.Dict().tag(sync=True)
    columns = traitlets.Dict().tag(sync=True)
    stored = traitlets.Dict().tag(sync=True)
    reported = traitlets.Dict().tag(sync=True)
    where = traitlets.Unicode().tag(sync=True)
    code = traitlets.Dict({"networks": NETWORKS, "training": TRAINING}).tag(sync=True)
    still = traitlets.Unicode().tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)
    rows = traitlets.List().tag(sync=True)
    trained = CByteMemoryView(b"").tag(sync=True)  # as it comes from a page

    def __init__(
        self,
        stored: pd.DataFrame,
        *,
        reported: Mapping[Share, float] | None = None,
        where: str = "",
        units: Sequence[type[Unit]] = UNITS,
        steps: int = 50_000,
        seeds: int = 100,
        first: Share = ("NMU", "a * b", "[-2, -1]"),
    ) -> None:
        names = {unit.__name__: unit for unit in units}
        keys = [f"[{low:g}, {high:g}]" for low, high in RANGES]
        for chosen, known in zip(first, (list(names), list(OPERATIONS), keys), strict=True):
            checks.one_of(chosen, known, "first")
        checks.at_least(seeds, 25, "seeds")
        columns: Told = {}
        with ThreadPoolExecutor() as pool:  # one traces while others compile
            make = partial(program, told=columns, steps=steps, seeds=range(seeds))
            programs = dict(zip(names, pool.map(make, names.values()), strict=True))
        own = stored[stored.unit.isin(names)].sort_values("seed", kind="stable")
        summary: dict[str, dict[str, list]] = {name: {op: [None] * len(keys) for op in OPERATIONS} for name in names}
        for (unit, op, key), rows in own.groupby(["unit", "operation", "range"], sort=False):
            summary[unit][op][keys.index(key)] = [int(rows.success.sum()), len(rows), row_digest(rows)]
        shares: dict[str, dict[str, list]] = {}
        for (unit, op, key), share in (reported or {}).items():
            shares.setdefault(unit, {}).setdefault(op, [None] * len(keys))[keys.index(key)] = share
        unit, op, key = first
        rows = own[(own.unit == unit) & (own.operation == op) & (own.range == key)]
        super().__init__(
            task=task(steps, range(seeds)),
            programs=programs,
            columns=dict(sorted(columns.items())),
            stored=summary,
            reported=shares,
            where=where,
            still=_still(own[(own.operation == op) & (own.range == key)], first),
            settings={"unit": unit, "operation": op, "range": keys.index(key), "seeds": 25},
            rows=rows[["seed", *TOLD]].astype(object).where(rows.notna(), None).to_dict("records"),
        )
        self._names = names

    @property
    def table(self) -> pd.DataFrame:
        low, high = list(RANGES)[self.settings["range"]]
        own = {"unit": self.settings["unit"], "operation": self.settings["operation"], "range": f"[{low:g}, {high:g}]"}
        rows = pd.DataFrame(self.rows, columns=["seed", *TOLD]).assign(**own)
        numbers = {name: float for name in ("solved_at", "sparsity", "interpolation", "extrapolation")}
        return rows[[*own, "seed", *TOLD]].astype(numbers)

    @property
    def networks(self) -> Replicas:
        if not len(self.trained):
            raise RuntimeError("expected networks that the page has trained, got none: let it train some first")
        make = partial(self._names[self.settings["unit"]], 2, 1)
        made = Replicas([build(make, row["seed"]) for row in self.rows])
        return made.of(torch.from_numpy(np.frombuffer(self.trained, np.float32).reshape(-1, len(made)).copy()))


def _still(rows: pd.DataFrame, first: Share) -> str:
    """The picture for where nothing trains: the stored shares of all units, from one range."""
    _, op, key = first
    shares = rows.groupby("unit", sort=False).success.apply(lambda each: rate(each.to_numpy(dtype=bool)))
    figure, axes = plots.plt.subplots(figsize=(5.6, 0.6 + 0.22 * len(shares)))
    at = np.arange(len(shares))[::-1]
    values, lows, highs, _ = (np.array(part) for part in zip(*shares, strict=True))
    axes.errorbar(values, at, xerr=[values - lows, highs - values], fmt="o", markersize=4, linewidth=1, color="C0")
    axes.set(
        yticks=at, yticklabels=shares.index, xlim=(-0.03, 1.03), xlabel=f"share of seeds that learn {op} from {key}"
    )
    plots.describe(
        figure,
        f"How many of {len(rows) // len(shares)} seeds learn {op} from {key}, with intervals: "
        + ", ".join(f"{name} {share.value:.0%}" for name, share in shares.items()),
    )
    plots.plt.close(figure)
    return picture(figure, description(figure), figure.get_tightbbox().padded(0.1), dpi=144)
