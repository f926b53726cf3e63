"""The stochastic neural multiplication unit: an NMU that trains on its inputs at random scales."""

import torch
from jaxtyping import Float
from torch import Tensor

from nalu import checks
from nalu.units.nmu import NMU
from nalu.units.unit import Paper


class SNMU(NMU):
    """An NMU of x n, divided by the NMU of n alone: in training only, with n drawn from U(1, 5) for each input.

    Mistry, Farrahi & Hare 2022 ("Improving the Robustness of Neural Multiplication Units with Reversible
    Stochasticity"). Where the weights are 0 or 1, the noise leaves no trace; elsewhere it scales the loss, and moves
    the optima that keep the NMU from its solution. After `eval()` it is the NMU, from which it takes all else.

    The noise is a hash of the leading digits of x, so that a replica's step depends on nothing but its state and its
    batch: n = 1 + 4 frac(997 m), with the mantissa m = |x| / 2^floor(log2 |x|), and 1 where x = 0. Over fresh inputs it
    is uniform, and as good as independent of them. Over a fixed set of examples the noise is fixed as well, which is
    not what the paper describes.

    Shapes: W (out_features, in_features); x (..., in_features) -> y (..., out_features).

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input of another last dimension or of
            integers.
    """

    equation = r"in training, an NMU of $x\,n$, divided by that of $n$ alone, with $n \sim U(1, 5)$; else an NMU"
    paper = Paper("Mistry et al.", 2022, "https://arxiv.org/abs/2211.05624")

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        checks.features(x, self.in_features, "SNMU")
        if not self.training:
            return super().forward(x)
        n = noise(x.detach())
        return super().forward(x * n) / super().forward(n)


def noise(x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch in"]:
    """Numbers in [1, 5), as if drawn from U(1, 5), that depend on x alone."""
    size = torch.where(x == 0, 1, x.abs())
    digits = 997 * (size / size.log2().floor().exp2())
    return 1 + 4 * (digits - digits.floor())
