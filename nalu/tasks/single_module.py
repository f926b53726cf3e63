"""One operation of two numbers, for one unit: the Single Module Arithmetic Task of Mistry, Farrahi & Hare 2022."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from nalu import checks
from nalu.streams import stream
from nalu.tasks.functions import FUNCTIONS, TESTS

OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    name: FUNCTIONS[name] for name in ("a + b", "a - b", "a * b", "a / b")
}
"""The four of the benchmark, by name."""

Range = tuple[float, float]

RANGES: dict[Range, tuple[Range, ...]] = {
    (-20, -10): ((-40, -20),),
    (-2, -1): ((-6, -2),),
    (-1.2, -1.1): ((-6.1, -1.2),),
    (-0.2, -0.1): ((-2, -0.2),),
    (-2, 2): ((-6, -2), (2, 6)),
    (0.1, 0.2): ((0.2, 2),),
    (1, 2): ((2, 6),),
    (1.1, 1.2): ((1.2, 6),),
    (10, 20): ((20, 40),),
}
"""The benchmark's nine ranges of training, with the one of extrapolation, or its two halves."""


@dataclass(frozen=True)
class SingleModule:
    """y = operation(a, b) with a and b uniform in [low, high], drawn anew at every step.

    Args:
        operation: one of OPERATIONS.
        low, high: the range of a and b in training. A range that holds zero is one that a division is undefined in, and
            is refused, unless it is one of the benchmark's.
        beyond: the range of extrapolation, or several, from which a and b each are drawn with equal chance; the
            benchmark's where the range of training is one of its.
        batch: of each step.

    Raises:
        TypeError, ValueError: an unknown operation; an empty or reversed range; a division by a range that holds zero;
            a range that is not the benchmark's without a range of extrapolation.
    """

    operation: str
    low: float
    high: float
    beyond: tuple[Range, ...] = ()
    batch: int = 128

    fresh = True
    shared = False

    def __post_init__(self) -> None:
        checks.one_of(self.operation, list(OPERATIONS), "operation")
        checks.span(self.low, self.high, "the range of the inputs")
        checks.at_least(self.batch, 1, "batch")
        known = RANGES.get((self.low, self.high))
        if not self.beyond:
            if known is None:
                raise ValueError(
                    f"beyond: expected a range of extrapolation for [{self.low}, {self.high}], which is not one of the "
                    "benchmark's, got none"
                )
            object.__setattr__(self, "beyond", known)
        try:
            object.__setattr__(self, "beyond", tuple((low, high) for low, high in self.beyond))
        except TypeError as error:
            raise TypeError(f"beyond: expected pairs of numbers, such as ((2, 6),), got {self.beyond!r}") from error
        for low, high in self.beyond:
            checks.span(low, high, "the range of extrapolation")
        for low, high in (*self.beyond, *([(self.low, self.high)] if known is None else [])):
            if self.operation == "a / b" and low <= 0 <= high:
                raise ValueError(f"a / b: expected a range of divisors without zero, got [{low}, {high}]")

    @property
    def family(self) -> tuple[str, int]:
        return self.operation, self.batch

    @property
    def scales(self) -> tuple[float, float]:
        return self.low, self.high

    @property
    def noise(self) -> tuple[int, int]:
        return self.batch, 2

    def examples(
        self, noise: Float[Tensor, "batch 2 *replica"], *scales: Float[Tensor, "*replica"] | float
    ) -> tuple[Float[Tensor, "batch 2 *replica"], Float[Tensor, "batch 1 *replica"]]:
        low, high = scales
        # 0.5 would be an exact 0 in the range [-2, 2], which float32 hits in half of the runs and float64, in which the
        # published benchmark draws, never: a quotient of 0, or a logarithm, makes a replica NaN for good.
        x = low + (high - low) * (noise + (noise == 0.5) * 2**-24)
        return x, OPERATIONS[self.operation](x[:, :1], x[:, 1:])

    def draw(
        self, generator: torch.Generator, steps: int
    ) -> tuple[Float[Tensor, "steps batch 2"], Float[Tensor, "steps batch 1"]]:
        noise = torch.rand(steps, *self.noise, generator=generator)
        x, y = self.examples(noise.movedim(0, -1), self.low, self.high)
        return x.movedim(-1, 0), y.movedim(-1, 0)

    def target(self, x: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 1"]:
        """The operation on the two numbers."""
        return OPERATIONS[self.operation](x[..., :1], x[..., 1:])

    def tests(self, points: int = 10_000) -> dict[str, tuple[Float[Tensor, "point 2"], Float[Tensor, "point 1"]]]:
        """The benchmark's two test sets: `interpolation`, by which is chosen, and `extrapolation`, which decides."""
        inside = uniform(((self.low, self.high),), points, 0)
        outside = uniform(self.beyond, points, 1)
        return {"interpolation": (inside, self.target(inside)), "extrapolation": (outside, self.target(outside))}

    def threshold(self, epsilon: float = 1e-4, points: int = 1_000_000) -> float:
        """The mean squared error in extrapolation of a nearly perfect solution: below it, the operation is learned.

        Its weights are off by epsilon where that costs most: 1 - epsilon where 1 is exact (and the other way round for
        the divisor). Mistry et al. 2022, section on the evaluation, and its code, whose epsilon is 1e-4. The expected
        error is a mean over `points` fixed points.
        """
        return _threshold(self.operation, self.beyond, epsilon, points)


def ranges(operation: str, batch: int = 128) -> dict[str, SingleModule]:
    """The nine tasks of an operation, by their range of training."""
    return {f"[{low:g}, {high:g}]": SingleModule(operation, low, high, batch=batch) for low, high in RANGES}


def uniform(halves: tuple[Range, ...], points: int, seed: int) -> Float[Tensor, "point 2"]:
    """Points whose two numbers each come from one of the ranges."""
    generator = stream(TESTS, 7, seed)
    u = torch.rand(points, 2, generator=generator, dtype=torch.float64)
    side = torch.randint(len(halves), (points, 2), generator=generator)
    low, high = torch.tensor(halves, dtype=torch.float64)[side].unbind(-1)
    return (low + (high - low) * u).float()


@cache
def _threshold(operation: str, beyond: tuple[Range, ...], epsilon: float, points: int) -> float:
    x = uniform(beyond, points, 2).double()
    a, b = x.unbind(-1)
    nearly = {
        "a + b": lambda: a + b - epsilon * (a.abs() + b.abs()),
        "a - b": lambda: a - b - epsilon * (a.abs() + b.abs()),
        "a * b": lambda: (1 - epsilon) ** 2 * a * b,
        "a / b": lambda: (1 - epsilon) / (1 + epsilon) * a / b,
    }[operation]()
    return (nearly - OPERATIONS[operation](a, b)).square().mean().item()
