"""What is watched while networks train, and the table that tells of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from torch import Tensor, nn

from nalu import checks
from nalu.training.errors import mean_absolute_error
from nalu.training.replicas import Inputs

TestSets = Mapping[str, tuple[Inputs, Float[Tensor, "batch out"]]]
Error = Callable[[Tensor, Tensor], Tensor]
Measure = Callable[[nn.Module], Float[Tensor, ""]]
Decided = Callable[[pd.DataFrame], Bool[np.ndarray, " replica"]]
Label = tuple[str, str, int]
"""A replica's model, task and seed."""

COLUMNS = frozenset({"model", "task", "seed", "step", "loss", "diverged"})
"""Those that every table has, or may have."""


@dataclass(frozen=True)
class Watch:
    """What the table of a training tells besides the loss.

    Args:
        tests: by name, inputs and targets on which the error is taken at each checkpoint; or such sets for each of
            several tasks, by its name, with the same names.
        checkpoints: how often the table has a row, evenly spread up to the last step; and always one before the first.
        error: `mean_absolute_error` or `mean_squared_error` (`nalu.training.errors`), or one of your own.
        measures: by name, a function from a network to a number, taken at each checkpoint.
        retire: given the rows of a checkpoint, in which replicas nothing that is still to come can matter. They may be
            left as they are from then on, and have no more rows.

    Raises:
        TypeError, ValueError: checkpoints that are not a positive whole number; a test set or measure that has the name
            of another column.
    """

    tests: TestSets | Mapping[str, TestSets] = field(default_factory=dict)
    checkpoints: int = 10
    error: Error = mean_absolute_error
    measures: Mapping[str, Measure] = field(default_factory=dict)
    retire: Decided | None = None

    def __post_init__(self) -> None:
        checks.at_least(self.checkpoints, 1, "checkpoints")
        sets = [name for each in self.tests.values() if isinstance(each, Mapping) for name in each]
        names = {*(sets if sets else self.tests)}
        if taken := sorted(COLUMNS & {*names, *self.measures}) + sorted(names & {*self.measures}):
            raise ValueError(f"expected test sets and measures with names of their own, got {', '.join(taken)}")

    def stops(self, steps: int) -> list[int]:
        """The steps, from 0 up to the last, at which the table has rows."""
        return sorted({0, *np.linspace(0, steps, self.checkpoints + 1).round().astype(int).tolist()})


Columns = dict[str, Sequence[object]]
"""Of a part of the table, by name."""


def columns(labels: Sequence[Label], step: int, losses: np.ndarray, finite: Bool[np.ndarray, " replica"]) -> Columns:
    """Those of the table that are the same in all runs, at a checkpoint."""
    models, tasks, seeds = zip(*labels, strict=True)
    told = {"model": models, "task": tasks, "seed": seeds, "step": [step] * len(labels), "loss": losses}
    return told | {"diverged": ~(finite & np.isfinite(losses))}


def table(parts: Sequence[Columns]) -> pd.DataFrame:
    """Of parts with the same columns, one below the other."""
    return pd.DataFrame({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
