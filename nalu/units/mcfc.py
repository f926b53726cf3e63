"""The mass-conserving fully connected layer, and products by it."""

from math import pi

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nalu import checks
from nalu.recipe import Penalty, Recipe
from nalu.schedules import ramp
from nalu.units.unit import Paper, Unit


class MCFC(Unit):
    """y = sigmoid(W_o + b_o) * (softmax(R) x): each input is handed out among the outputs, which then let it through.

    Hoedt et al. 2021 (MC-LSTM), and its code. The softmax is over the outputs, so that no mass is made or lost before
    the gate; with a single output it is always 1, and R has no gradient then. The gate has a weight on an input that is
    always 1, and a bias: one number in two parameters, which the optimiser moves twice as fast.

    R is the identity where it is square, else orthogonal; W_o is orthogonal, b_o is 0. The penalty
    -(mean R² + mean W_o² + mean b_o²) is from the benchmark of Mistry et al. 2022. It has no lower bound: it draws the
    parameters away from 0 as long as it is on.

    Shapes: R, W (out_features, in_features), W_o (out_features, 1), b_o (out_features); x (..., in_features)
    -> y (..., out_features).

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input of another last dimension or of
            integers.
    """

    equation = r"$\sigma(w + b) \cdot \operatorname{softmax}(R)\, x$"
    paper = Paper("Hoedt et al.", 2021, "https://arxiv.org/abs/2101.05186")
    operations: tuple[str, ...] = ("a + b",)

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(in_features, out_features)
        R = torch.empty(out_features, in_features)
        square = in_features == out_features
        self.R = nn.Parameter(nn.init.eye_(R) if square else nn.init.orthogonal_(R, generator=generator))
        self.W_o = nn.Parameter(nn.init.orthogonal_(torch.empty(out_features, 1), generator=generator))
        self.b_o = nn.Parameter(torch.zeros(out_features))

    @property
    def shares(self) -> Float[Tensor, "out in"]:
        """What part of each input each output is handed."""
        return torch.softmax(self.R, -2)

    @property
    def weight(self) -> Float[Tensor, "out in"]:
        """What part of each input each output lets through."""
        return torch.sigmoid(self.W_o + self.b_o.unsqueeze(-1)) * self.shares

    @property
    def W(self) -> Float[Tensor, "..."]:
        """The effective weight, computed on every call."""
        return self.weight

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        checks.features(x, self.in_features, type(self).__name__)
        return F.linear(x, self.weight)

    def penalty(self) -> Float[Tensor, ""]:
        """Minus the mean squares of the parameters."""
        return -(self.R.square().mean() + self.W_o.square().mean() + self.b_o.square().mean())

    @staticmethod
    def recipe(operation: str) -> Recipe:
        """The benchmark's (Mistry et al. 2022), for any operation."""
        return Recipe(penalty=Penalty(ramp(10.0, 0.4, 0.7)))


class MulMCFC(MCFC):
    """y = exp(MCFC(log x) + b), for positive inputs: a negative one makes NaN.

    Hoedt et al. 2021, and its code, without the output to which surplus mass may go there, as in the benchmark of
    Mistry et al. 2022. b is 0 at first, and not penalised.

    Shapes: as MCFC's, and b (out_features), W (out_features, in_features + 1), of the MCFC's W and b.

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input of another last dimension or of
            integers.
    """

    equation = r"$\exp(\operatorname{MCFC}(\log x) + b)$"
    paper = MCFC.paper
    operations = ("a * b",)

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(in_features, out_features, generator=generator)
        self.b = nn.Parameter(torch.zeros(out_features))

    @property
    def W(self) -> Float[Tensor, "..."]:
        """The exponents and the bias, which is to be 0."""
        return torch.cat([self.weight, self.b.unsqueeze(-1)], -1)

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        checks.features(x, self.in_features, type(self).__name__)
        return torch.exp(F.linear(torch.log(x), self.weight, self.b))


class SignedMulMCFC(MulMCFC):
    """y = exp(MCFC(log |x|) + b) * cos(pi softmax(R) k) with k = g where x < 0, else 0, and g clamped to [0, 1].

    A MulMCFC (Hoedt et al. 2021) with the sign of a RealNPU, from the code of the benchmark of Mistry et al. 2022
    ("MulMCFCSignRealNPU"). g is clamped in every call, is 1/2 at first, and is not penalised. The gate of the outputs
    has no say in the sign.

    Shapes: as MulMCFC's, and g (in_features), W (out_features * (in_features + 1) + in_features), of the MulMCFC's W
    and g.

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input of another last dimension or of
            integers.
    """

    equation = r"$\exp(\operatorname{MCFC}(\log |x|) + b) \cos(\pi \operatorname{softmax}(R)\, k)$"
    paper = MCFC.paper

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(in_features, out_features, generator=generator)
        self.g = nn.Parameter(torch.full((in_features,), 0.5))

    @property
    def W(self) -> Float[Tensor, "..."]:
        """The exponents, the bias, which is to be 0, and the gate as it is used."""
        return torch.cat([super().W.flatten(), self.g.clamp(0, 1)])

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        checks.features(x, self.in_features, type(self).__name__)
        sign = torch.cos(pi * F.linear(self.g.clamp(0, 1) * (x < 0), self.shares))
        return torch.exp(F.linear(torch.log(x.abs()), self.weight, self.b)) * sign
