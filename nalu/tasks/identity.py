"""The identity function on a range of integers: the first experiment of Trask et al. 2018, section 1.1."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from nalu import checks


@dataclass(frozen=True)
class Identity:
    """Output the input: y = x, trained on all integers low..high at once, the same for every replica.

    Raises:
        ValueError: the range is empty.
    """

    low: int = -5
    high: int = 5
    fresh = False

    def __post_init__(self) -> None:
        checks.interval(self.low, self.high, "the range of Identity")

    def draw(
        self, generator: torch.Generator, steps: int
    ) -> tuple[Float[Tensor, "steps batch 1"], Float[Tensor, "steps batch 1"]]:
        """The same batch for every step: x and y of shape (steps, high - low + 1, 1)."""
        x = integers(self.low, self.high).expand(steps, -1, 1)
        return x, x.clone()


def integers(low: int, high: int) -> Float[Tensor, "batch 1"]:
    """All integers low..high as inputs of shape (high - low + 1, 1).

    Raises:
        ValueError: the range is empty.
    """
    checks.interval(low, high, "integers")
    return torch.arange(low, high + 1, dtype=torch.get_default_dtype()).unsqueeze(1)
