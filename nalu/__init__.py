"""Neural arithmetic: units, tasks, and an engine that trains many replicas at once."""

from nalu.book.claims import Claims
from nalu.book.scales import at_scale
from nalu.experiments.benchmarking import Benchmark, benchmark
from nalu.experiments.sweeps import sweep
from nalu.recipe import Clip, Penalty, Recipe, Restart
from nalu.statistics.estimates import Estimate, estimate, rate
from nalu.training.errors import mean_absolute_error, mean_squared_error
from nalu.training.fitting import fit
from nalu.training.replicas import Replicas
from nalu.training.result import Fit
from nalu.training.watch import Watch
from nalu.units import (
    ACTIVATIONS,
    GNALU,
    INALU,
    LSTM,
    MCFC,
    MLP,
    NAC,
    NALU,
    NAU,
    NMRU,
    NMU,
    NPU,
    NRU,
    RNN,
    SNMU,
    Linear,
    LSTMLayer,
    MulMCFC,
    NACMul,
    Pairs,
    Reader,
    RealNPU,
    Recurrent,
    SignedMulMCFC,
    stack,
)

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
    "Benchmark",
    "Claims",
    "Clip",
    "Estimate",
    "Fit",
    "LSTMLayer",
    "Linear",
    "MulMCFC",
    "NACMul",
    "Pairs",
    "Penalty",
    "Reader",
    "RealNPU",
    "Recipe",
    "Recurrent",
    "Replicas",
    "Restart",
    "SignedMulMCFC",
    "Watch",
    "at_scale",
    "benchmark",
    "estimate",
    "fit",
    "mean_absolute_error",
    "mean_squared_error",
    "rate",
    "stack",
    "sweep",
]
