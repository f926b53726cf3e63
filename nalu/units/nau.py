"""The neural addition unit: sums and differences by a weight without a squashing function."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nalu import checks
from nalu.recipe import Penalty, Recipe
from nalu.schedules import ramp
from nalu.units.unit import Paper, Unit


class NAU(Unit):
    """y = W x with W clamped to [-1, 1], and drawn to -1, 0 or 1 by the penalty mean(min(|W|, 1 - |W|)).

    Madsen & Johansen 2020, section 2. As in their code, W is clamped both after each step and in every call, and the
    penalty takes |1 - |W||, which is the same within the range. At an end of the range the clamp still passes the
    gradient on, so that a weight can come back. W ~ U(-r, r) with Glorot's r = sqrt(6 / (in + out)), at most 1/2.
    No bias.

    Shapes: W (out_features, in_features); x (..., in_features) -> y (..., out_features).

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input of another last dimension or of
            integers.
    """

    equation = r"$W x$ with $W$ clamped to $[-1, 1]$"
    paper = Paper("Madsen & Johansen", 2020, "https://arxiv.org/abs/2001.05016")
    operations = ("a + b", "a - b")

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(in_features, out_features)
        r = min(0.5, (6 / (in_features + out_features)) ** 0.5)
        self.W = nn.Parameter(nn.init.uniform_(torch.empty(out_features, in_features), -r, r, generator))

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        checks.features(x, self.in_features, type(self).__name__)
        return F.linear(x, self.W.clamp(-1, 1))

    def penalty(self) -> Float[Tensor, ""]:
        """How far the weights are from -1, 0 and 1, on average."""
        size = self.W.abs()
        return torch.minimum(size, (1 - size).abs()).mean()

    @torch.no_grad()
    def project_(self) -> None:
        self.W.clamp_(-1, 1)

    @staticmethod
    def recipe(operation: str) -> Recipe:
        """The benchmark's (Mistry et al. 2022), for any operation."""
        return Recipe(penalty=Penalty(ramp(0.01, 0.4, 0.7)))
