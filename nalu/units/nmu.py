"""The neural multiplication unit: products without a logarithm."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nalu import checks
from nalu.recipe import Penalty, Recipe
from nalu.schedules import ramp
from nalu.units.unit import Paper, Unit, product


class NMU(Unit):
    """y = prod_i (W_i x_i + 1 - W_i) with W clamped to [0, 1]: an input is a factor where W is 1, and left out at 0.

    Madsen & Johansen 2020, section 2. As in their code, W is clamped after each step, and the penalty, which draws it
    to 0 or 1, is mean(min(|W|, |1 - W|)), the same as theirs without the outer bars within the range.
    W ~ U(1/4, 3/4). No bias.

    Shapes: W (out_features, in_features); x (..., in_features) -> y (..., out_features).

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input of another last dimension or of
            integers.
    """

    equation = r"$\prod_i (W_i x_i + 1 - W_i)$ with $W$ clamped to $[0, 1]$"
    paper = Paper("Madsen & Johansen", 2020, "https://arxiv.org/abs/2001.05016")
    operations = ("a * b",)

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(in_features, out_features)
        self.W = nn.Parameter(nn.init.uniform_(torch.empty(out_features, in_features), 0.25, 0.75, generator))

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        checks.features(x, self.in_features, type(self).__name__)
        return product(x.unsqueeze(-2) * self.W + (1 - self.W))  # without the bracket, 1 would swallow a tiny x

    def penalty(self) -> Float[Tensor, ""]:
        """How far the weights are from 0 and 1, on average."""
        return torch.minimum(self.W.abs(), (1 - self.W).abs()).mean()

    @torch.no_grad()
    def project_(self) -> None:
        self.W.clamp_(0, 1)

    @staticmethod
    def recipe(operation: str) -> Recipe:
        """The benchmark's (Mistry et al. 2022), for any operation."""
        return Recipe(penalty=Penalty(ramp(10.0, 0.4, 0.7)))
