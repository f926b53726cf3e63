"""Normal random numbers that are the same on every processor."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

FEW = 15
"""From 16 numbers on, torch draws them by other code on other processors; fewer, one by one, in double precision."""


def drawn(
    *shape: int, mean: float = 0.0, deviation: float = 1.0, generator: torch.Generator | None = None
) -> Float[Tensor, "..."]:
    """A tensor of normal numbers, drawn a few at a time."""
    parts = [torch.empty(min(FEW, left)) for left in range(math.prod(shape), 0, -FEW)]
    return torch.cat([part.normal_(mean, deviation, generator=generator) for part in parts]).reshape(shape)
