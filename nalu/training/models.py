"""What training is told, and what is the same in both ways to do it: `native.py` and `eager.py`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from torch import Tensor, nn

from nalu.engine.optimisers import Numbers, Optimiser
from nalu.engine.step import Loss, Objective
from nalu.recipe import Restart
from nalu.schedules import Schedule
from nalu.streams import RESTARTS, seed_of
from nalu.tasks import Scaled, Task
from nalu.training.replicas import Build, Inputs, Replicas, build

TestSets = Mapping[str, tuple[Inputs, Float[Tensor, "batch out"]]]
Error = Callable[[Tensor, Tensor], Tensor]
Measure = Callable[[nn.Module], Float[Tensor, ""]]
Decided = Callable[[pd.DataFrame], Bool[np.ndarray, " replica"]]
Label = tuple[str, str, int]
"""A replica's model, task and seed."""


@dataclass(frozen=True)
class Rules:
    """How to train; see `nalu.fit`, which has the same names."""

    steps: int
    loss: Loss
    optimiser: Optimiser
    schedule: Schedule | None = None
    clip: float | None = None
    clip_value: float | None = None
    penalty: Schedule | None = None
    penalty_below: float | None = None
    restart: Restart | None = None
    retire: Decided | None = None

    @cached_property
    def numbers(self) -> list[Numbers]:
        """What each step is told: the penalty's weight where there is one, and the optimiser's numbers."""
        shares = [step / self.steps for step in range(self.steps)]
        rates = np.full(self.steps, float(self.optimiser.lr))
        if self.schedule is not None:
            rates *= np.array([self.schedule(share) for share in shares])
        weights = [] if self.penalty is None else [np.array([self.penalty(s) for s in shares], dtype=np.float64)]
        return weights + self.optimiser.table(rates)


@dataclass(frozen=True)
class Watch:
    """What the table tells.

    Attributes:
        stops: the steps, from 0 up to the last, at which it has a row.
        tests: the test sets of each task.
        error: taken on them.
        measures: taken of each network.
    """

    stops: Sequence[int]
    tests: Mapping[str, TestSets]
    error: Error
    measures: Mapping[str, Measure]


@dataclass(frozen=True)
class Model:
    """A model to train.

    Attributes:
        replicas, labels: its networks, by task and seed.
        make: what makes them, should they start anew.
    """

    replicas: Replicas
    labels: list[Label]
    make: Build
    rules: Rules
    tasks: Mapping[str, Task]
    watch: Watch

    @property
    def task(self) -> Task:
        """The first one: what all have in common, it has."""
        return next(iter(self.tasks.values()))

    @property
    def scaled(self) -> bool:
        """Whether the tasks differ in a few numbers only, so that they share what is drawn."""
        tasks = self.tasks.values()
        scaled = all(isinstance(task, Scaled) and not task.shared and task.fresh for task in tasks)
        return scaled and len({task.family for task in tasks}) == 1

    @property
    def objective(self) -> Objective:
        """Of its steps."""
        rules, examples = self.rules, self.task.examples if self.scaled else None
        penalised = rules.penalty is not None
        return Objective(rules.loss, examples, penalised, rules.penalty_below, rules.clip, rules.clip_value)


class Restarts:
    """Which replicas start anew: those whose loss stays high.

    Args:
        model: theirs.
        seeds: of the replicas.
    """

    def __init__(self, model: Model, seeds: Sequence[int]) -> None:
        self.rule, self.model, self.seeds = model.rules.restart, model, seeds
        self.since, self.times = np.zeros(len(seeds), int), np.zeros(len(seeds), int)
        # The sums of losses and of their squares, at multiples of every.
        self.sums = np.zeros((model.rules.steps // self.rule.every + 1, 2, len(seeds)))
        self.now = np.zeros((2, len(seeds)))

    def due(self, done: int, losses: Float[np.ndarray, "step replica"]) -> tuple[int, list[int]] | None:
        """Count the losses of the steps after `done`; the first step after which replicas start anew, and which."""
        losses = losses.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            sums = np.cumsum(np.concatenate([self.now[None], np.stack([losses, losses**2], 1)]), 0)
        self.now = sums[-1]
        every = self.rule.every
        marks = np.arange(done // every + 1, (done + len(losses)) // every + 1)
        self.sums[marks] = sums[marks * every - done]
        late = marks[:, None] * every - self.since > self.rule.after
        if not late.any():
            return None
        first, last = self.since // every, marks[:, None]
        middle, each = (first + last) // 2, np.arange(len(self.seeds))
        with np.errstate(invalid="ignore", divide="ignore"):  # what is infinite compares false: it does not start anew
            before = (self.sums[middle, 0, each] - self.sums[first, 0, each]) / ((middle - first) * every)
            mean, square = (
                (self.sums[last, k, each] - self.sums[middle, k, each]) / ((last - middle) * every) for k in (0, 1)
            )
            due = late & (mean > self.rule.above) & (before <= mean + np.sqrt((square - mean**2).clip(min=0)))
        if not due.any():
            return None
        k = int(due.any(1).argmax())
        self.now = self.sums[marks[k]].copy()
        return int(marks[k]) * every, np.flatnonzero(due[k]).tolist()

    def anew(self, r: int, done: int) -> list[Tensor]:
        """The parameters with which a replica starts after so many steps, from a seed that follows from its own."""
        self.times[r] += 1
        self.since[r] = done
        network = build(self.model.make, seed_of(RESTARTS, self.seeds[r], int(self.times[r])))
        return [p.detach() for p in network.parameters()]


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
