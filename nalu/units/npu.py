"""The neural power unit and its real form: products of powers, with their sign."""

from math import pi

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nalu import checks
from nalu.recipe import Penalty, Recipe
from nalu.schedules import growing
from nalu.units.unit import Paper, Unit


class RealNPU(Unit):
    """y = exp(W_r log r) * cos(pi W_r k) with r = g (|x| + epsilon) + 1 - g, and k = g where x < 0, else 0.

    Heim, Pevný & Šmídl 2020, section 3: the power of a negative number is complex, and this is its real part. The
    relevance gate g, clamped to [0, 1] in every call, turns an input into a 1. k is as in their code (the case
    distinction in the paper's text is the other way round), and so is epsilon, which is float32's. The penalty is the
    L1 norm of all parameters. W_r is Glorot uniform, g is 1/2.

    Shapes: W_r (out_features, in_features), g (in_features); W (out_features + 1, in_features), of W_r and g;
    x (..., in_features) -> y (..., out_features).

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input of another last dimension or of
            integers.
    """

    equation = r"$\exp(W \log r) \cos(\pi W k)$ with $r = g\,|x| + 1 - g$, and $k = g$ where $x < 0$"
    paper = Paper("Heim et al.", 2020, "https://arxiv.org/abs/2006.01681")
    operations = ("a * b", "a / b")
    epsilon = torch.finfo(torch.float32).eps

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(in_features, out_features)
        self.W_r = nn.Parameter(nn.init.xavier_uniform_(torch.empty(out_features, in_features), generator=generator))
        self.g = nn.Parameter(torch.full((in_features,), 0.5))

    @property
    def W(self) -> Float[Tensor, "numbers in"]:
        """All parameters, the gate as it is used."""
        return torch.cat([self.W_r, self.g.clamp(0, 1).unsqueeze(0)])

    def polar(self, x: Float[Tensor, "*batch in"]) -> tuple[Float[Tensor, "*batch in"], Float[Tensor, "*batch in"]]:
        """The inputs that the gate lets through as log r and k: x is r times e to the power of i pi k."""
        g = self.g.clamp(0, 1)
        return torch.log(g * (x.abs() + self.epsilon) + (1 - g)), g * (x < 0)

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        checks.features(x, self.in_features, type(self).__name__)
        log_r, k = self.polar(x)
        return torch.exp(F.linear(log_r, self.W_r)) * torch.cos(pi * F.linear(k, self.W_r))

    def penalty(self) -> Float[Tensor, ""]:
        """The sum of the parameters' sizes."""
        return self.W_r.abs().sum() + self.g.abs().sum()

    @staticmethod
    def recipe(operation: str) -> Recipe:
        """The benchmark's (Mistry et al. 2022) for products and quotients; any other operation is as a product."""
        first, last = (1e-9, 1e-7) if operation == "a / b" else (1e-7, 1e-5)
        return Recipe(lr=5e-3, penalty=Penalty(growing(first, last, 10, 0.2)))


class NPU(RealNPU):
    """y = exp(W_r log r - pi W_i k) * cos(W_i log r + pi W_r k): a RealNPU whose exponents W_r + i W_i are complex.

    Heim, Pevný & Šmídl 2020, section 3. W_i is 0 at first. As long as it is, and no input is negative, it has no
    gradient at all: trained on positive numbers, an NPU is a RealNPU.

    Shapes: W_r, W_i (out_features, in_features), g (in_features); W (2 out_features + 1, in_features), of W_r, g and
    W_i; x (..., in_features) -> y (..., out_features).

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input of another last dimension or of
            integers.
    """

    equation = r"$\exp(W_r \log r - \pi W_i k) \cos(W_i \log r + \pi W_r k)$ with $r$ and $k$ as the RealNPU's"
    paper = RealNPU.paper

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(in_features, out_features, generator=generator)
        self.W_i = nn.Parameter(torch.zeros(out_features, in_features))

    @property
    def W(self) -> Float[Tensor, "numbers in"]:
        """All parameters, the gate as it is used."""
        return torch.cat([super().W, self.W_i])

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        checks.features(x, self.in_features, type(self).__name__)
        log_r, k = self.polar(x)
        size = torch.exp(F.linear(log_r, self.W_r) - pi * F.linear(k, self.W_i))
        return size * torch.cos(F.linear(log_r, self.W_i) + pi * F.linear(k, self.W_r))

    def penalty(self) -> Float[Tensor, ""]:
        """The sum of the parameters' sizes."""
        return super().penalty() + self.W_i.abs().sum()
