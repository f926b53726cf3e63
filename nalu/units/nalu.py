"""The neural arithmetic logic unit: a gate between adding and multiplying."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nalu import checks
from nalu.units.nac import NAC
from nalu.units.unit import Paper


class NALU(NAC):
    """y = g * a + (1 - g) * m with a = W x, m = exp(W log(|x| + epsilon)), g = sigmoid(G x).

    Trask et al. 2018, section 2.2. The additive and the multiplicative path share one W (caption of their Figure 2),
    and the gate g depends on the input and has no bias. The paper gives neither epsilon nor an initialisation: epsilon
    is 1e-7 here, as in Madsen & Johansen 2020, and G is Glorot uniform. The equation is computed as it stands: where m
    overflows and the gate is at 1, the result is NaN, for 0 times infinity.

    Shapes: W_hat, M_hat, W, G (out_features, in_features); x (..., in_features) -> y (..., out_features).

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input of another last dimension or of
            integers.
    """

    equation = r"$g\,a + (1 - g)\,m$ with $a = W x$, $m = \exp(W \log(|x| + \epsilon))$, $g = \sigma(G x)$"
    paper = Paper("Trask et al.", 2018, "https://arxiv.org/abs/1808.00508")
    operations = ("a + b", "a - b", "a * b", "a / b")
    epsilon = 1e-7

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(in_features, out_features, generator=generator)
        self.G = nn.Parameter(nn.init.xavier_uniform_(torch.empty(out_features, in_features), generator=generator))

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        checks.features(x, self.in_features, type(self).__name__)
        W = self.W
        a = F.linear(x, W)
        m = torch.exp(F.linear(torch.log(x.abs() + self.epsilon), W))
        g = torch.sigmoid(F.linear(x, self.G))
        return g * a + (1 - g) * m
