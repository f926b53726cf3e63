"""What every unit has in common: two sizes, checked, and what training needs to know of it."""

from jaxtyping import Float
from torch import Tensor, nn

from nalu import checks
from nalu.recipe import Recipe


class Unit(nn.Module):
    """A layer from in_features to out_features numbers.

    `operations` are those of a + b, a - b, a * b and a / b that it claims to compute; all, unless it says so itself.

    A unit may have three things more, which `nalu.fit` and `nalu.benchmark` look for in any module:

    - `penalty() -> Float[Tensor, ""]`: its regulariser, a scalar of its parameters, not yet weighted.
    - `project_() -> None`: clamps its parameters in place, number by number, after each step.
    - the property `W`: all numbers that are -1, 0 or 1 where it computes an operation exactly, of any shape.

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers.
    """

    operations: tuple[str, ...] = ("a + b", "a - b", "a * b", "a / b")

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
