"""A model to train: its replicas, and all that they are told."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from nalu.engine.optimisers import Numbers
from nalu.engine.step import Examples, numbers
from nalu.recipe import Recipe
from nalu.tasks import Scaled, Task
from nalu.training.replicas import Build, Replicas
from nalu.training.watch import Label, Watch


@dataclass(frozen=True)
class Model:
    """A model to train.

    Attributes:
        replicas, labels: its networks, by task and seed.
        make: what makes them, should they start anew.
        watch: whose test sets are those of each task, by its name.
    """

    replicas: Replicas
    labels: list[Label]
    make: Build
    recipe: Recipe
    steps: int
    tasks: Mapping[str, Task]
    watch: Watch

    @property
    def name(self) -> str:
        return self.labels[0][0]

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
    def examples(self) -> Examples | None:
        """What makes inputs and targets of a batch, where that is noise."""
        return self.task.examples if self.scaled else None

    @cached_property
    def numbers(self) -> list[Numbers]:
        """What the recipe tells each step."""
        return numbers(self.recipe, self.steps)
