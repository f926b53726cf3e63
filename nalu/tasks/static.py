"""Simple functions of two sums over a vector: the static half of Trask et al. 2018, section 4.1."""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from nalu import checks
from nalu.streams import stream
from nalu.tasks.functions import TESTS, TRAINING, Section, check, sums, target

Points = tuple[Float[Tensor, "point in"], Float[Tensor, "point 1"]]


@dataclass(frozen=True)
class StaticFunction:
    """y = function(a, b), where a and b are sums over two sections of x, and x is uniform in [low, high]^size.

    The training set is drawn once, from `seed`, and is the same for all replicas; each step takes a batch from it. The
    networks see x (`given` is False: the paper's task, whose first layer has to find the sections; replicas share their
    batches, because x is wide), or a and b themselves (`given` is True: the reference repository's task; each replica
    draws its batches from its own seed).

    The paper states neither the range nor the sections; the defaults are the reference repository's.

    Args:
        function: one of `nalu.tasks.functions.FUNCTIONS`.
        low, high: the range of x in training.
        sections: of a and of b, each from a first index up to a last one, which is left out.
        points: size of the training set.
        batch: of each step.

    Raises:
        TypeError, ValueError: see `nalu.tasks.functions.check`; sizes below 1.
    """

    function: str
    low: float = 0.0
    high: float = 0.5
    size: int = 100
    sections: tuple[Section, Section] = ((0, 10), (60, 100))
    given: bool = False
    points: int = 10_000
    batch: int = 64
    seed: int = 0

    fresh = True

    def __post_init__(self) -> None:
        check(self.function, self.low, self.high, self.size, self.sections)
        checks.at_least(self.points, 1, "points")
        checks.at_least(self.batch, 1, "batch")
        checks.at_least(self.seed, 0, "seed")

    @property
    def shared(self) -> bool:
        return not self.given

    @property
    def in_features(self) -> int:
        return 2 if self.given else self.size

    def draw(
        self, generator: torch.Generator, steps: int
    ) -> tuple[Float[Tensor, "steps batch in"], Float[Tensor, "steps batch 1"]]:
        """Batches from the training set, each point equally likely at each place."""
        x, y = self.pool
        chosen = torch.randint(len(x), (steps, self.batch), generator=generator)
        return x[chosen], y[chosen]

    @property
    def pool(self) -> Points:
        """The training set, from which each step takes a batch."""
        return self.training()

    def training(self) -> Points:
        """The training set."""
        x, ab = _training_set(self.low, self.high, self.size, self.sections, self.points, self.seed)
        return (ab if self.given else x), target(self.function, ab)

    def limits(self) -> Float[Tensor, "3"]:
        """The largest a, b and y of the training set."""
        _, ab = _training_set(self.low, self.high, self.size, self.sections, self.points, self.seed)
        return torch.cat([ab, target(self.function, ab)], -1).amax(0)

    def interpolation(self, points: int = 2_000, seed: int = 1) -> Points:
        """New points of the training distribution whose a, b and y are no larger than any in training."""
        return self._points(points, seed, self.high, beyond=False)

    def extrapolation(self, points: int = 2_000, seed: int = 1, factor: float = 5.0) -> Points:
        """Points with at least one of a, b and y larger than any in training: x uniform in [low, factor * high].

        Raises:
            ValueError: points of so small a range are almost never beyond what training saw.
        """
        return self._points(points, seed, checks.positive(factor, "factor") * self.high, beyond=True)

    def _points(self, points: int, seed: int, high: float, *, beyond: bool) -> Points:
        checks.at_least(points, 1, "points")
        check(self.function, self.low, high, self.size, self.sections)
        generator = stream(TESTS, self.seed, seed, int(beyond))
        kept: list[tuple[Tensor, Tensor]] = []
        found = 0
        for _ in range(100):
            x = self.low + (high - self.low) * torch.rand(points, self.size, generator=generator)
            ab = sums(x, self.sections)
            seen = torch.cat([ab, target(self.function, ab)], -1)
            keep = (seen > self.limits()).any(-1) == beyond
            kept.append((x[keep], ab[keep]))
            if (found := found + int(keep.sum())) >= points:
                x, ab = (torch.cat(parts)[:points] for parts in zip(*kept, strict=True))
                return (ab if self.given else x), target(self.function, ab)
        where = "beyond" if beyond else "within"
        raise ValueError(f"expected points {where} the training set in [{self.low}, {high}], got {found} of {points}")


@cache
def _training_set(
    low: float, high: float, size: int, sections: tuple[Section, Section], points: int, seed: int
) -> tuple[Float[Tensor, "point in"], Float[Tensor, "point 2"]]:
    """x, and its a and b. Cached for a process, and not in the task, which travels to other processes."""
    x = low + (high - low) * torch.rand(points, size, generator=stream(TRAINING, seed))
    return x, sums(x, sections)
