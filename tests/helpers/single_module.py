"""What several tests of the benchmark of a single unit need, and of its task."""

import torch
from torch import Tensor, nn

from nalu.recipe import Recipe

BEYOND = {
    "[-20, -10]": [(-40, -20)],
    "[-2, -1]": [(-6, -2)],
    "[-1.2, -1.1]": [(-6.1, -1.2)],
    "[-0.2, -0.1]": [(-2, -0.2)],
    "[-2, 2]": [(-6, -2), (2, 6)],
    "[0.1, 0.2]": [(0.2, 2)],
    "[1, 2]": [(2, 6)],
    "[1.1, 1.2]": [(1.2, 6)],
    "[10, 20]": [(20, 40)],
}
"""The published ranges of extrapolation, by the range of training."""

FAST = Recipe(lr=0.1)
"""With it a NAU's weights are at their clamps, and its sums exact, within a few hundred steps."""

LEAST = {"seeds": [0], "steps": 1, "workers": 1}


class Own(nn.Module):
    """A reader's: y = x w, drawn by torch's own generator."""

    operations = ("a - b", "a + b")

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(in_features, out_features))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.w


class Trained(BaseException):
    """Holds what `fit` was told."""
