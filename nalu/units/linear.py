"""The affine layer, the baseline of every chapter."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nalu import checks
from nalu.units.unit import Unit


class Linear(Unit):
    """y = W x + b.

    Initialised like `torch.nn.Linear`, uniformly in ±1/sqrt(in_features), but from a generator of its own.

    Shapes: W (out_features, in_features), b (out_features); x (..., in_features) -> y (..., out_features).

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input of another last dimension or of
            integers.
    """

    equation = r"$W x + b$"

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(in_features, out_features)
        bound = in_features**-0.5
        self.W = nn.Parameter(nn.init.uniform_(torch.empty(out_features, in_features), -bound, bound, generator))
        self.b = nn.Parameter(nn.init.uniform_(torch.empty(out_features), -bound, bound, generator))

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        checks.features(x, self.in_features, "Linear")
        return F.linear(x, self.W, self.b)
