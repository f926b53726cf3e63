"""Simple functions of two sums over a sequence: the recurrent half of Trask et al. 2018, section 4.1."""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from nalu import checks
from nalu.streams import stream
from nalu.tasks.functions import TESTS, TRAINING, Section, check, sums, target

Sequences = tuple[Float[Tensor, "point time in"], Float[Tensor, "point 1"]]


@dataclass(frozen=True)
class RecurrentFunction:
    """y = function(a, b), where a and b are sums over two sections of each x_t and over time, x_t in [low, high]^size.

    The training set is drawn once, from `seed`; replicas share their batches. Longer sequences make larger sums: that
    is the extrapolation here, and the numbers at each time stay those of training.

    Args:
        function: one of `nalu.tasks.functions.FUNCTIONS`.
        low, high: the range of x.
        size: numbers at each time; 10 in the paper.
        length: times in training; 10 in the paper.
        sections: of a and of b, each from a first index up to a last one, which is left out. The paper states none.
        points: size of the training set.
        batch: of each step.

    Raises:
        TypeError, ValueError: see `nalu.tasks.functions.check`; sizes below 1.
    """

    function: str
    low: float = 0.0
    high: float = 1.0
    size: int = 10
    length: int = 10
    sections: tuple[Section, Section] = ((0, 4), (6, 10))
    points: int = 10_000
    batch: int = 32
    seed: int = 0

    fresh = True
    shared = True

    def __post_init__(self) -> None:
        check(self.function, self.low, self.high, self.size, self.sections)
        for value, what in (
            (self.length, "length"), (self.points, "points"), (self.batch, "batch")
        ):  # fmt: skip
            checks.at_least(value, 1, what)
        checks.at_least(self.seed, 0, "seed")

    def draw(
        self, generator: torch.Generator, steps: int
    ) -> tuple[Float[Tensor, "steps batch time in"], Float[Tensor, "steps batch 1"]]:
        """Batches from the training set, each sequence equally likely at each place."""
        x, y = self.pool
        chosen = torch.randint(len(x), (steps, self.batch), generator=generator)
        return x[chosen], y[chosen]

    @property
    def pool(self) -> Sequences:
        """The training set, from which each step takes a batch."""
        return self.training()

    def training(self) -> Sequences:
        """The training set."""
        x, ab = _training_set(self.low, self.high, self.size, self.length, self.sections, self.points, self.seed)
        return x, target(self.function, ab)

    def test(self, length: int, points: int = 500, seed: int = 1) -> Sequences:
        """New sequences of a length."""
        checks.at_least(length, 1, "length")
        checks.at_least(points, 1, "points")
        generator = stream(TESTS, self.seed, seed, length)
        x = self.low + (self.high - self.low) * torch.rand(points, length, self.size, generator=generator)
        return x, target(self.function, sums(x, self.sections).sum(-2))


@cache
def _training_set(
    low: float, high: float, size: int, length: int, sections: tuple[Section, Section], points: int, seed: int
) -> tuple[Float[Tensor, "point time in"], Float[Tensor, "point 2"]]:
    x = low + (high - low) * torch.rand(points, length, size, generator=stream(TRAINING, seed))
    return x, sums(x, sections).sum(-2)
