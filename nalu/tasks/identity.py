"""The identity function on a range of integers: the first experiment of Trask et al. 2018, section 1.1."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from nalu import checks


@dataclass(frozen=True)
class Identity:
    """Output the input: y = x.

    Trained on all integers low..high at once, the same at every step and for every replica; or, with `reals`, on so
    many real numbers drawn anew at each step, uniformly in [low, high].

    Raises:
        TypeError, ValueError: the range is empty, or reals is less than 1; any of them is not a whole number.
    """

    shared = False

    low: int = -5
    high: int = 5
    reals: int | None = None

    def __post_init__(self) -> None:
        checks.interval(self.low, self.high, "the range of Identity")
        if self.reals is not None:
            checks.at_least(self.reals, 1, "reals")

    @property
    def fresh(self) -> bool:
        return self.reals is not None

    def draw(
        self, generator: torch.Generator, steps: int
    ) -> tuple[Float[Tensor, "steps batch 1"], Float[Tensor, "steps batch 1"]]:
        """The inputs of the next steps, and the same numbers as targets."""
        if self.reals is None:
            x = integers(self.low, self.high).expand(steps, -1, 1)
        else:
            x = self.low + (self.high - self.low) * torch.rand(steps, self.reals, 1, generator=generator)
        return x, x.clone()


def integers(low: int, high: int) -> Float[Tensor, "batch 1"]:
    """All integers low..high as inputs of shape (high - low + 1, 1).

    Raises:
        TypeError, ValueError: the range is empty, or not of whole numbers.
    """
    checks.interval(low, high, "integers")
    return torch.arange(low, high + 1, dtype=torch.get_default_dtype()).unsqueeze(1)
