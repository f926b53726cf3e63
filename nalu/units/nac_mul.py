"""The multiplicative neural accumulator: products and quotients of sizes."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from nalu import checks
from nalu.units.nac import NAC
from nalu.units.unit import Paper


class NACMul(NAC):
    """y = exp(W log(|x| + epsilon)) with W = tanh(W_hat) * sigmoid(M_hat), so that the sign of x is lost.

    The multiplicative path of Trask et al. 2018, section 2.2, by itself: the NAC• of Madsen & Johansen 2020, section 2,
    whose epsilon of 1e-7 and initialisation it has. No bias.

    Shapes: W_hat, M_hat, W (out_features, in_features); x (..., in_features) -> y (..., out_features).

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input of another last dimension or of
            integers.
    """

    equation = r"$\exp(W \log(|x| + \epsilon))$ with a NAC's $W$"
    paper = Paper("Madsen & Johansen", 2020, "https://arxiv.org/abs/2001.05016")
    operations = ("a * b", "a / b")
    epsilon = 1e-7

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        checks.features(x, self.in_features, type(self).__name__)
        return torch.exp(F.linear(torch.log(x.abs() + self.epsilon), self.W))
