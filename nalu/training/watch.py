"""What is watched while networks train, and the table that tells of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from torch import Tensor, nn

from nalu import checks
from nalu.training.metrics import mean_absolute_error
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
        error: `mean_absolute_error` or `mean_squared_error` (`nalu.training.metrics`), or one of your own.
        measures: by name, a function from a network to a number, taken at each checkpoint.
        retire: given some rows of a checkpoint, in which replicas nothing that is still to come can matter. They may be
            left as they are from then on, and have no more rows. Each row has to be judged by itself: which others are
            given with it is not said.

    Raises:
        TypeError, ValueError: checkpoints that are not a positive whole number; a test set that is not a pair of inputs
            and targets; a test set or measure that has the name of another column; no function where one is expected.
    """

    tests: TestSets | Mapping[str, TestSets] = field(default_factory=dict)
    checkpoints: int = 10
    error: Error = mean_absolute_error
    measures: Mapping[str, Measure] = field(default_factory=dict)
    retire: Decided | None = None

    def __post_init__(self) -> None:
        checks.at_least(self.checkpoints, 1, "checkpoints")
        for name in ("tests", "measures"):
            given = getattr(self, name)
            if not isinstance(given, Mapping):
                raise TypeError(f"{name}: expected some by name, got {given!r}")
            object.__setattr__(self, name, dict(given))  # the caller's may change
        for sets in self.tests.values() if self.by_task else [self.tests]:
            _check_sets(sets)
            if taken := sorted({*COLUMNS, *self.measures}.intersection(sets)):
                raise ValueError(f"expected test sets with names of their own, got {', '.join(taken)}")
        if taken := sorted(COLUMNS.intersection(self.measures)):
            raise ValueError(f"expected measures with names of their own, got {', '.join(taken)}")
        functions = {"error": self.error, **{f"measure {name}": each for name, each in self.measures.items()}}
        for what, each in (functions | {"retire": self.retire}).items():
            if not callable(each) and (what != "retire" or each is not None):
                raise TypeError(f"{what}: expected a function, got {each!r}")

    @property
    def by_task(self) -> bool:
        """Whether there are test sets for each of several tasks."""
        return any(isinstance(each, Mapping) for each in self.tests.values())

    def stops(self, steps: int) -> list[int]:
        """The steps, from 0 up to the last, at which the table has rows."""
        return sorted({0, *np.linspace(0, steps, self.checkpoints + 1).round().astype(int).tolist()})


def _check_sets(sets: object) -> None:
    """Raise unless these are test sets by name."""
    if not isinstance(sets, Mapping):
        raise TypeError(f"tests: expected test sets by name for each of the tasks, got {sets!r} for one")
    for name, pair in sets.items():
        if not isinstance(name, str):
            raise TypeError(f"tests: expected names, got {name!r}")
        if not isinstance(pair, tuple | list) or [isinstance(part, Tensor) for part in pair] != [True, True]:
            kind = [type(part).__name__ for part in pair] if isinstance(pair, tuple | list) else type(pair).__name__
            raise TypeError(f"tests: expected inputs and targets, a pair of tensors, got {kind} for {name}")
        if len(pair[0]) != len(pair[1]):
            raise ValueError(
                f"tests: expected a target for each input, got {len(pair[1])} for {len(pair[0])} inputs in {name}"
            )


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
