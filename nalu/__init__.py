"""Neural arithmetic: units, tasks, and an engine that trains many replicas at once."""

from nalu.claims import Claims
from nalu.fit import Fit, fit
from nalu.metrics import Estimate, estimate, mean_absolute_error, mean_squared_error, rate
from nalu.replicas import Replicas
from nalu.scale import at_scale
from nalu.units import ACTIVATIONS, LSTM, MLP, NAC, NALU, RNN, Linear, LSTMLayer, Pairs, Reader, Recurrent, stack

__all__ = [
    "ACTIVATIONS",
    "LSTM",
    "MLP",
    "NAC",
    "NALU",
    "RNN",
    "Claims",
    "Estimate",
    "Fit",
    "LSTMLayer",
    "Linear",
    "Pairs",
    "Reader",
    "Recurrent",
    "Replicas",
    "at_scale",
    "estimate",
    "fit",
    "mean_absolute_error",
    "mean_squared_error",
    "rate",
    "stack",
]
