"""The neural multiplicative reciprocal unit: a neural multiplication unit that also gets the reciprocals."""

from math import pi

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nalu import checks
from nalu.recipe import Clip, Penalty, Recipe
from nalu.schedules import ramp
from nalu.units.unit import Paper, Unit, product


class NMRU(Unit):
    """y = prod_i (W_i |z_i| + 1 - W_i) * cos(pi W k) with z = [x, 1 / x], k = 1 where z < 0, and W clamped to [0, 1].

    Mistry, Farrahi & Hare 2022 ("Exploring the Learning Mechanisms of Neural Division Modules"). In training, the
    reciprocal is 1 / (x + epsilon), with float32's epsilon; after `eval()`, it is that of x, so that a 0 makes NaN even
    where its reciprocal's weight is 0. As in their code, W is clamped after each step, and has the NMU's penalty and
    initialisation, U(1/4, 3/4). No bias.

    Shapes: W (out_features, 2 in_features), for the inputs and then for their reciprocals; x (..., in_features)
    -> y (..., out_features).

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input of another last dimension or of
            integers.
    """

    equation = r"$\big(\prod_i (W_i |z_i| + 1 - W_i)\big) \cos(\pi W k)$ with $z = [x, 1/x]$, and $k = 1$ where $z < 0$"
    paper = Paper("Mistry et al.", 2022, "https://arxiv.org/abs/2110.05177")
    operations = ("a * b", "a / b")
    epsilon = torch.finfo(torch.float32).eps

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(in_features, out_features)
        self.W = nn.Parameter(nn.init.uniform_(torch.empty(out_features, 2 * in_features), 0.25, 0.75, generator))

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        checks.features(x, self.in_features, type(self).__name__)
        z = torch.cat([x, 1 / (x + self.epsilon if self.training else x)], -1)
        sign = torch.cos(pi * F.linear((z < 0).to(z.dtype), self.W))
        return product(z.abs().unsqueeze(-2) * self.W + (1 - self.W)) * sign

    def penalty(self) -> Float[Tensor, ""]:
        """How far the weights are from 0 and 1, on average."""
        return torch.minimum(self.W.abs(), (1 - self.W).abs()).mean()

    @torch.no_grad()
    def project_(self) -> None:
        self.W.clamp_(0, 1)

    @staticmethod
    def recipe(operation: str) -> Recipe:
        """The paper's, from its code, for division; for any other operation the same."""
        return Recipe(lr=1e-2, penalty=Penalty(ramp(10.0, 0.4, 0.7)), clip=Clip(norm=1.0))
