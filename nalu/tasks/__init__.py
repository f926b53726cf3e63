"""Tasks: what is sampled, from which range, and what the target is. One a file."""

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from nalu.tasks.identity import Identity


class Task(Protocol):
    """What `nalu.fit` needs to know of a task."""

    fresh: bool
    """Whether each step trains on a new batch; else one batch is drawn before the first step and kept."""

    def draw(
        self, generator: torch.Generator, steps: int
    ) -> tuple[Float[Tensor, "steps batch in"], Float[Tensor, "steps batch out"]]:
        """The batches of the next steps for one replica, drawn from its own generator."""


__all__ = ["Identity", "Task"]
