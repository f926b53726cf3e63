"""The golden ratio neural arithmetic logic unit: a NALU with another base than e."""

from math import log, sqrt

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from nalu import checks
from nalu.units.nalu import NALU
from nalu.units.unit import Paper

LOG_PHI = log((1 + sqrt(5)) / 2)


class GNALU(NALU):
    """A NALU with the golden ratio phi in the place of e, which makes tanh and sigmoid flatter.

    W = tanh_phi(W_hat) * sigmoid_phi(M_hat) and g = sigmoid_phi(G x), where tanh_phi(x) = (phi^2x - 1) / (phi^2x + 1)
    and sigmoid_phi(x) = 1 / (1 + phi^-x). The unit of Rana et al. 2019, from the code of the benchmark of Mistry et al.
    2022 ("G-NALU"), which takes epsilon and the initialisation over from the NALU.

    Computed by tanh_phi(x) = tanh(x log phi) and sigmoid_phi(x) = sigmoid(x log phi), which cannot overflow. And
    phi^(W log_phi(|x| + epsilon)) is the NALU's m, whatever the base. So this is the function that a NALU with
    parameters 0.48 times as large computes: all that is new is where they start, and how far a step takes them.

    Shapes: W_hat, M_hat, W, G (out_features, in_features); x (..., in_features) -> y (..., out_features).

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input of another last dimension or of
            integers.
    """

    equation = r"the NALU with the golden ratio in the place of $e$: a NALU with $0.48$ times its parameters"
    paper = Paper("Rana et al.", 2019)

    @property
    def W(self) -> Float[Tensor, "out in"]:
        """The effective weight, computed on every call."""
        return torch.tanh(LOG_PHI * self.W_hat) * torch.sigmoid(LOG_PHI * self.M_hat)

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        checks.features(x, self.in_features, type(self).__name__)
        W = self.W
        a = F.linear(x, W)
        m = torch.exp(F.linear(torch.log(x.abs() + self.epsilon), W))
        g = torch.sigmoid(LOG_PHI * F.linear(x, self.G))
        return g * a + (1 - g) * m
