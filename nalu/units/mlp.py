"""Multilayer perceptrons with any activation of the paper's Figure 1, and stacks of any unit."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nalu import checks
from nalu.units.linear import Linear

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "Hardtanh": nn.Hardtanh,
    "Sigmoid": nn.Sigmoid,
    "ReLU6": nn.ReLU6,
    "Tanh": nn.Tanh,
    "Tanhshrink": nn.Tanhshrink,
    "Hardshrink": nn.Hardshrink,
    "LeakyReLU": nn.LeakyReLU,
    "Softshrink": nn.Softshrink,
    "Softsign": nn.Softsign,
    # PyTorch has no default for Threshold and the paper states none; 1 and 0 keep it apart from ReLU.
    "Threshold": lambda: nn.Threshold(1.0, 0.0),
    "ReLU": nn.ReLU,
    "PReLU": nn.PReLU,
    "Softplus": nn.Softplus,
    "ELU": nn.ELU,
    "SELU": nn.SELU,
    "None": nn.Identity,
}
"""The 15 activations of Trask et al. 2018, Figure 1, by their names there, which are PyTorch's; and no activation."""


class MLP(nn.Module):
    """Affine layers with an activation between them and a linear read-out.

    Trask et al. 2018, section 1.1, with the default of three hidden layers of 8.

    Shapes: x (..., in_features) -> y (..., out_features).

    Raises:
        ValueError: an activation that is not in ACTIVATIONS; sizes below 1; an input of another last dimension.
        TypeError: sizes that are not whole numbers; an input of integers.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activation: str = "ReLU",
        hidden: Sequence[int] = (8, 8, 8),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        make = ACTIVATIONS[checks.one_of(activation, list(ACTIVATIONS), "activation")]
        if not isinstance(hidden, Sequence):
            raise TypeError(f"hidden: expected a sequence of sizes, got {hidden!r}")
        sizes = [in_features, *hidden, out_features]
        self.layers = nn.ModuleList(Linear(a, b, generator=generator) for a, b in pairwise(sizes))
        self.activations = nn.ModuleList(make() for _ in hidden)

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        for layer, activation in zip(self.layers, self.activations, strict=False):  # the last layer reads out
            x = activation(layer(x))
        return self.layers[-1](x)


def stack(
    unit: Callable[..., nn.Module], sizes: Sequence[int], *, generator: torch.Generator | None = None
) -> nn.Sequential:
    """Units one behind the other: `stack(NAC, [1, 8, 1])` is a NAC(1, 8) followed by a NAC(8, 1).

    Raises:
        ValueError: fewer than two sizes, or what the unit raises for a size.
    """
    checks.at_least(len(sizes), 2, "number of sizes in a stack")
    return nn.Sequential(*(unit(a, b, generator=generator) for a, b in pairwise(sizes)))
