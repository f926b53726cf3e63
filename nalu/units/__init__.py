"""Published units, one a file, each with the constructor `Unit(in_features, out_features, *, generator=None)`."""

from nalu.units.linear import Linear
from nalu.units.mlp import ACTIVATIONS, MLP, stack
from nalu.units.nac import NAC
from nalu.units.nalu import NALU

__all__ = ["ACTIVATIONS", "MLP", "NAC", "NALU", "Linear", "stack"]
