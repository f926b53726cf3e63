"""Published units, a family a file, each with the constructor `Unit(in_features, out_features, *, generator=None)`."""

from nalu.units.gnalu import GNALU
from nalu.units.inalu import INALU
from nalu.units.language import Pairs, Reader
from nalu.units.linear import Linear
from nalu.units.mcfc import MCFC, MulMCFC, SignedMulMCFC
from nalu.units.mlp import ACTIVATIONS, MLP, stack
from nalu.units.nac import NAC
from nalu.units.nac_mul import NACMul
from nalu.units.nalu import NALU
from nalu.units.nau import NAU
from nalu.units.nmru import NMRU
from nalu.units.nmu import NMU
from nalu.units.npu import NPU, RealNPU
from nalu.units.nru import NRU
from nalu.units.recurrent import LSTM, RNN, LSTMLayer, Recurrent
from nalu.units.snmu import SNMU

__all__ = [
    "ACTIVATIONS",
    "GNALU",
    "INALU",
    "LSTM",
    "MCFC",
    "MLP",
    "NAC",
    "NALU",
    "NAU",
    "NMRU",
    "NMU",
    "NPU",
    "NRU",
    "RNN",
    "SNMU",
    "LSTMLayer",
    "Linear",
    "MulMCFC",
    "NACMul",
    "Pairs",
    "Reader",
    "RealNPU",
    "Recurrent",
    "SignedMulMCFC",
    "stack",
]
