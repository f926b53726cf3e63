"""What training left: a table, the networks, and what is often asked of them."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from torch import nn

from nalu.engine.kernel import Kernel
from nalu.statistics import selection
from nalu.statistics.estimates import estimate
from nalu.training.replicas import Replicas
from nalu.training.watch import COLUMNS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Fit:
    """What training left.

    Attributes:
        table: a row for each model, seed and checkpoint, in this order: `model`, `seed`, `step` (updates done so far),
            `loss` (on the last training batch), `diverged` (a parameter or the loss is not finite), and for each test
            set the error in a column of its name, and each measure. With several tasks, a column `task` follows the
            model's. A replica that was retired has no rows after that.
        replicas: the trained networks by model, in the order of the seeds; with several tasks, by (model, task).
        seconds: wall-clock time of the training.
        network_steps: replicas times steps, whether or not a replica was retired on the way.
        engines: which way each model was trained: "native", by C made for it; or "torch" and why.
        kernels: of the models that have C, what it is: `kernels[name].body` is made for the model, `source` is all.
    """

    table: pd.DataFrame
    replicas: dict[str, Replicas] | dict[tuple[str, str], Replicas]
    seconds: float
    network_steps: int
    engines: dict[str, str]
    kernels: dict[str, Kernel]

    @property
    def keys(self) -> list[str]:
        """The columns that tell what was trained: model, and task where there are several."""
        return ["model", "task"] if "task" in self.table else ["model"]

    @property
    def watched(self) -> list[str]:
        """The columns of errors and measures."""
        return [name for name in self.table if name not in COLUMNS]

    @property
    def last(self) -> pd.DataFrame:
        """The last row of each replica."""
        return self.table.drop_duplicates([*self.keys, "seed"], keep="last").reset_index(drop=True)

    def groups(self) -> dict[Hashable, pd.DataFrame]:
        """The last rows by model, or by (model, task), in the order of the replicas."""
        keys = self.keys if len(self.keys) > 1 else self.keys[0]
        groups = self.last.groupby(keys, observed=True, sort=False)
        return {key: rows.reset_index(drop=True) for key, rows in groups}

    def chosen(self, column: str) -> pd.DataFrame:
        """Of each model, or (model, task), the last row of the replica with the least number in a column, such as an
        error in validation; one that diverged comes after all others. `place` is where it is among the replicas."""
        rows = []
        for group in self.groups().values():
            place = selection.chosen(group[column].astype(float).where(~group.diverged, np.inf))
            rows.append(group.iloc[[place]].assign(place=place))
        return pd.concat(rows).set_index(self.keys)

    def estimates(self, *columns: str, statistic: Callable[..., float] = np.mean) -> pd.DataFrame:
        """For each model, or (model, task), a statistic of the last rows in some columns (all errors and measures, if
        not given), with its 95% interval over replicas: see `nalu.estimate`."""
        groups = self.groups()
        found = {
            column: {key: estimate(rows[column], statistic) for key, rows in groups.items()}
            for column in columns or self.watched
        }
        return pd.DataFrame(found).rename_axis(self.keys)

    def network(self, model: str, seed: int, task: str | None = None) -> nn.Module:
        """One trained network, as an ordinary module of its own.

        Raises:
            KeyError: no such model, seed or task was trained.
        """
        key = model if task is None else (model, task)
        if key not in self.replicas:
            raise KeyError(f"expected one of {list(self.replicas)}, got {key!r}")
        seeds = self.groups()[key].seed.tolist()
        if seed not in seeds:
            raise KeyError(f"expected one of the seeds {seeds}, got {seed}")
        return self.replicas[key][seeds.index(seed)]

    def figure(self, *columns: str) -> "Figure":
        """How errors fell: the median over replicas by model, in a band of its 95% interval; a row for each task, a
        panel for each column (all errors and measures, or else the loss, if not given)."""
        from nalu.book import plots  # here, for it sets the style of all figures

        return plots.learning(self.table, columns or self.watched or ["loss"])
