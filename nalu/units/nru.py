"""The neural reciprocal unit: a neural multiplication unit that can also divide."""

import torch
from jaxtyping import Float
from torch import Tensor

from nalu import checks
from nalu.recipe import Penalty, Recipe
from nalu.schedules import ramp
from nalu.units.nau import NAU
from nalu.units.unit import Paper, product


class NRU(NAU):
    """y = prod_i (sign(x_i) |x_i|^W_i |W_i| + 1 - |W_i|) with W clamped to [-1, 1]: a factor at 1, a divisor at -1.

    Mistry, Farrahi & Hare 2022 ("Exploring the Learning Mechanisms of Neural Division Modules"). In training, |W| is
    tanh(1000 W)², which selects an input as soon as its weight is not 0 (and gets next to no gradient); after
    `eval()`, it is |W|. As in their code, W has the NAU's initialisation and penalty, and is clamped after each step
    only. No bias.

    Shapes: W (out_features, in_features); x (..., in_features) -> y (..., out_features).

    Raises:
        TypeError, ValueError: sizes that are not positive whole numbers; an input of another last dimension or of
            integers.
    """

    equation = r"$\prod_i (\operatorname{sign}(x_i)\,|x_i|^{W_i}\,|W_i| + 1 - |W_i|)$ with $W$ clamped to $[-1, 1]$"
    paper = Paper("Mistry et al.", 2022, "https://arxiv.org/abs/2110.05177")
    operations = ("a * b", "a / b")

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        checks.features(x, self.in_features, type(self).__name__)
        x = x.unsqueeze(-2)
        selected = torch.tanh(1000 * self.W).square() if self.training else self.W.abs()
        return product(x.sign() * x.abs().pow(self.W) * selected + (1 - selected))

    @staticmethod
    def recipe(operation: str) -> Recipe:
        """The paper's, from its code, for division; for any other operation the same."""
        return Recipe(lr=1.0, penalty=Penalty(ramp(10.0, 0.4, 0.7)))
