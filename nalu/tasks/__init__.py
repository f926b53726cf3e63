"""Tasks: what is sampled, from which range, and what the target is. One a file."""

from collections.abc import Hashable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from nalu.tasks.identity import Identity
from nalu.tasks.language import LanguageToNumber
from nalu.tasks.recurrent import RecurrentFunction
from nalu.tasks.single_module import SingleModule
from nalu.tasks.static import StaticFunction


@runtime_checkable
class Task(Protocol):
    """What `nalu.fit` needs to know of a task."""

    fresh: bool
    """Whether each step trains on a new batch; else one batch is drawn before the first step and kept."""

    shared: bool
    """Whether all replicas train on the same inputs, drawn from one stream for all: for wide inputs, which take long to
    draw. Else each draws from a stream of its own."""

    def draw(
        self, generator: torch.Generator, steps: int
    ) -> tuple[Float[Tensor, "steps batch *in"], Float[Tensor, "steps batch out"]]:
        """The batches of the next steps."""


@runtime_checkable
class Scaled(Task, Protocol):
    """A task whose examples are made of uniform random numbers, one network's at a time or many.

    In one run, all tasks of a family share the noise: it is drawn once for each seed, and not for each task. Replicas
    of one task have different seeds, so they are as independent as before; the same seed of two tasks is not.
    """

    family: Hashable
    """What tasks must have in common to share noise: all that `noise` and `examples` depend on but the scales."""

    scales: tuple[float, ...]
    """Numbers that distinguish the tasks of a family, such as the ends of their ranges."""

    noise: tuple[int, ...]
    """The shape of the numbers of a step, (batch, ...), uniform in [0, 1) as `torch.rand` draws them."""

    def examples(
        self, noise: Float[Tensor, "batch in *replica"], *scales: Float[Tensor, "*replica"] | float
    ) -> tuple[Float[Tensor, "batch in *replica"], Float[Tensor, "batch out *replica"]]:
        """Inputs and targets of noise for one network, or for several, whose axis is the last one."""


@runtime_checkable
class Pooled(Task, Protocol):
    """A task that takes the examples of a batch from a fixed set, by `torch.randint(len(x), (steps, batch))`.

    So `draw` does, and so can an engine, without it.
    """

    batch: int

    @property
    def pool(self) -> tuple[Float[Tensor, "point *in"], Float[Tensor, "point out"]]:
        """The set: inputs and targets."""


__all__ = [
    "Identity",
    "LanguageToNumber",
    "Pooled",
    "RecurrentFunction",
    "Scaled",
    "SingleModule",
    "StaticFunction",
    "Task",
]
