"""What every unit has in common: two sizes, checked, where it is from, and what training needs to know of it."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from nalu import checks
from nalu.recipe import Recipe


@dataclass(frozen=True)
class Paper:
    """Who published a unit, when, and where to read it; as in `book/references.bib`."""

    authors: str
    year: int
    url: str | None = None

    def __str__(self) -> str:
        return f"{self.authors} {self.year}"


class Unit(nn.Module):
    """A layer from in_features to out_features numbers.

    `equation`, in LaTeX, and `paper` are what the book's tables show of it. A class that states no equation, such as a
    variant in a chapter, is in none of them. `operations` are those of a + b, a - b, a * b and a / b that it claims to
    compute; all, unless it says so itself.

    A unit may have three things more, which `nalu.fit` and `nalu.benchmark` look for in any module:

    - `penalty() -> Float[Tensor, ""]`: its regulariser, a scalar of its parameters, not yet weighted.
    - `project_() -> None`: clamps its parameters in place, number by number, after each step.
    - the property `W`: all numbers that are -1, 0 or 1 where it computes an operation exactly, of any shape.

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers.
    """

    equation: str | None = None
    paper: Paper | None = None
    operations: tuple[str, ...] = ("a + b", "a - b", "a * b", "a / b")

    def __init_subclass__(cls, **settings: object) -> None:
        """What derives from a unit computes something else: it inherits neither the equation nor the paper."""
        super().__init_subclass__(**settings)
        for name in {"equation", "paper"} - vars(cls).keys():
            setattr(cls, name, None)

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features = checks.at_least(in_features, 1, "in_features")
        self.out_features = checks.at_least(out_features, 1, "out_features")

    @staticmethod
    def recipe(operation: str) -> Recipe:
        """How to train it on one of a + b, a - b, a * b and a / b."""
        return Recipe()

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}"


def product(factors: Float[Tensor, "*batch factor"]) -> Float[Tensor, "*batch"]:
    """The product over the last axis, pair by pair.

    Unlike `torch.prod` its gradient needs no look at the numbers, so that it can be stacked and traced, and is right
    where factors are zero.
    """
    parts = factors.unbind(-1)
    while len(parts) > 1:
        pairs = [a * b for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairs + ([parts[-1]] if len(parts) % 2 else [])
    return parts[0]
