"""Published units, one a file, each with the constructor `Unit(in_features, out_features, *, generator=None)`."""

from nalu.units.language import Pairs, Reader
from nalu.units.linear import Linear
from nalu.units.mlp import ACTIVATIONS, MLP, stack
from nalu.units.nac import NAC
from nalu.units.nalu import NALU
from nalu.units.recurrent import LSTM, RNN, LSTMLayer, Recurrent

__all__ = [
    "ACTIVATIONS",
    "LSTM",
    "MLP",
    "NAC",
    "NALU",
    "RNN",
    "LSTMLayer",
    "Linear",
    "Pairs",
    "Reader",
    "Recurrent",
    "stack",
]
