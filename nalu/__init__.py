"""Neural arithmetic: units, tasks, and an engine that trains many replicas at once."""

from nalu.claims import Claims
from nalu.fit import Fit, fit
from nalu.metrics import Estimate, estimate, mean_absolute_error, rate
from nalu.replicas import Replicas
from nalu.scale import at_scale
from nalu.units import ACTIVATIONS, MLP, NAC, NALU, Linear, stack

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "NAC",
    "NALU",
    "Claims",
    "Estimate",
    "Fit",
    "Linear",
    "Replicas",
    "at_scale",
    "estimate",
    "fit",
    "mean_absolute_error",
    "rate",
    "stack",
]
