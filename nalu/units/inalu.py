"""The improved neural arithmetic logic unit: a weight for each path, a gate of its own, and the sign of a product."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nalu import checks
from nalu.recipe import Clip, Penalty, Recipe, Restart
from nalu.schedules import later
from nalu.units import normal
from nalu.units.unit import Paper, Unit, product


class INALU(Unit):
    """y = sigmoid(g) * a + (1 - sigmoid(g)) * m * s: the iNALU of Schlör, Ring & Hotho 2020, all weights independent.

    a = W_a x, m = exp(min(W_m log(max(|x|, epsilon)), omega)) and s = prod_i (sign(x_i) |W_m,i| + 1 - |W_m,i|); the
    gate g does not depend on the input. Each W is tanh(W_hat) * sigmoid(M_hat) of its own parameters. epsilon is 1e-7
    and omega 20. The penalty, the sum over the parameters of mean(max(20 - |parameter|, 0)), draws all weights and
    gates to where tanh and sigmoid are flat. From the authors' code, which the benchmark of Mistry et al. 2022 follows:
    W_hat ~ N(0.88, 0.2²), M_hat ~ N(0.5, 0.2²), g ~ N(0, 0.2²). That benchmark compares the error in interpolation,
    taken anew each 1,000 steps, with the bounds of the penalty and of the restarts; ours compares the loss of each
    batch, which is drawn from the same numbers.

    Shapes: W_a_hat, M_a_hat, W_m_hat, M_m_hat (out_features, in_features); g (out_features); W (out_features,
    2 in_features + 1), of W_a, W_m and sigmoid(g); x (..., in_features) -> y (..., out_features).

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input of another last dimension or of
            integers.
    """

    equation = r"$g\,a + (1 - g)\,m\,s$ with weights for $a$, others for $m$ and the sign $s$, and $g = \sigma(\hat g)$"
    paper = Paper("Schlör et al.", 2020, "https://doi.org/10.3389/frai.2020.00071")
    operations = ("a + b", "a - b", "a * b", "a / b")
    epsilon = 1e-7
    omega = 20.0

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(in_features, out_features)

        def around(mean: float, *shape: int) -> nn.Parameter:
            return nn.Parameter(normal.drawn(*shape, mean=mean, deviation=0.2, generator=generator))

        self.W_a_hat = around(0.88, out_features, in_features)
        self.M_a_hat = around(0.5, out_features, in_features)
        self.W_m_hat = around(0.88, out_features, in_features)
        self.M_m_hat = around(0.5, out_features, in_features)
        self.g = around(0.0, out_features)

    @property
    def W_a(self) -> Float[Tensor, "out in"]:
        return torch.tanh(self.W_a_hat) * torch.sigmoid(self.M_a_hat)

    @property
    def W_m(self) -> Float[Tensor, "out in"]:
        return torch.tanh(self.W_m_hat) * torch.sigmoid(self.M_m_hat)

    @property
    def W(self) -> Float[Tensor, "out numbers"]:
        """The weights of both paths, and the gate: the penalty draws the path that is shut off there, too."""
        return torch.cat([self.W_a, self.W_m, torch.sigmoid(self.g).unsqueeze(-1)], -1)

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        checks.features(x, self.in_features, type(self).__name__)
        W_m = self.W_m
        a = F.linear(x, self.W_a)
        m = torch.exp(F.linear(torch.log(x.abs().clamp(min=self.epsilon)), W_m).clamp(max=self.omega))
        s = product(x.sign().unsqueeze(-2) * W_m.abs() + (1 - W_m.abs()))
        g = torch.sigmoid(self.g)
        return g * a + (1 - g) * m * s

    def penalty(self) -> Float[Tensor, ""]:
        """By how much the parameters are smaller than 20, on average over each and summed."""
        held = (self.W_a_hat, self.M_a_hat, self.W_m_hat, self.M_m_hat, self.g)
        return torch.stack([(20 - p.abs()).clamp(min=0).mean() for p in held]).sum()

    @staticmethod
    def recipe(operation: str) -> Recipe:
        """The benchmark's (Mistry et al. 2022), for any operation."""
        return Recipe(penalty=Penalty(later(0.05, 0.2), below=1.0), clip=Clip(value=0.1), restart=Restart())
