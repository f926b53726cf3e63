"""Tasks: what is sampled, from which range, and what the target is. One a file."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from nalu.tasks.identity import Identity
from nalu.tasks.language import LanguageToNumber
from nalu.tasks.recurrent import RecurrentFunction
from nalu.tasks.static import StaticFunction


@runtime_checkable
class Task(Protocol):
    """What `nalu.fit` needs to know of a task."""

    fresh: bool
    """Whether each step trains on a new batch; else one batch is drawn before the first step and kept."""

    shared: bool
    """Whether all replicas train on the same inputs, drawn from one stream for all. For wide inputs, because the first
    layer of all replicas is one matrix product then. Else each draws from a stream of its own."""

    def draw(
        self, generator: torch.Generator, steps: int
    ) -> tuple[Float[Tensor, "steps batch *in"], Float[Tensor, "steps batch out"]]:
        """The batches of the next steps."""


__all__ = ["Identity", "LanguageToNumber", "RecurrentFunction", "StaticFunction", "Task"]
