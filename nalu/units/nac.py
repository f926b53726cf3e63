"""The neural accumulator: sums and differences."""

from functools import cache
from math import tanh

import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.optimize import brentq
from torch import Tensor, nn

from nalu import checks
from nalu.units.unit import Paper, Unit


@cache
def initial_range(in_features: int, out_features: int) -> float:
    """The r for which W_hat, M_hat ~ U(-r, r) give W the Glorot variance 2 / (in + out).

    Trask et al. do not state an initialisation; this is Madsen & Johansen's (2020, section 2.1 and code), who set
    in + out to at least 5, because tanh * sigmoid cannot reach a larger variance than 1/2.
    """
    wanted = 2 / max(in_features + out_features, 5)

    def excess(r: float) -> float:
        return (1 - tanh(r) / r) * (r - tanh(r / 2)) / (2 * r) - wanted

    return brentq(excess, 1e-3, 1e6)


class NAC(Unit):
    """y = W x with W = tanh(W_hat) * sigmoid(M_hat), so that each weight lies in (-1, 1) and is drawn to -1, 0 or 1.

    Trask et al. 2018, section 2.1; explained in the chapter on the units. No bias.

    Shapes: W_hat, M_hat, W (out_features, in_features); x (..., in_features) -> y (..., out_features).

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input of another last dimension or of
            integers.
    """

    equation = r"$W x$ with $W = \tanh(\hat W)\,\sigma(\hat M)$"
    paper = Paper("Trask et al.", 2018, "https://arxiv.org/abs/1808.00508")
    operations: tuple[str, ...] = ("a + b", "a - b")

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(in_features, out_features)
        r = initial_range(in_features, out_features)
        self.W_hat = nn.Parameter(nn.init.uniform_(torch.empty(out_features, in_features), -r, r, generator))
        self.M_hat = nn.Parameter(nn.init.uniform_(torch.empty(out_features, in_features), -r, r, generator))

    @property
    def W(self) -> Float[Tensor, "out in"]:
        """The effective weight, computed on every call: stored, it would cut W_hat and M_hat off their gradient."""
        return torch.tanh(self.W_hat) * torch.sigmoid(self.M_hat)

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        checks.features(x, self.in_features, type(self).__name__)
        return F.linear(x, self.W)
