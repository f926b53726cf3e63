"""Neural arithmetic: units, tasks, and an engine that trains many replicas at once."""

from typing import TYPE_CHECKING

from nalu import units
from nalu.book.claims import Claims
from nalu.book.scales import at_scale
from nalu.experiments.benchmarking import Benchmark, benchmark
from nalu.experiments.sweeps import sweep
from nalu.recipe import Clip, Penalty, Recipe, Restart
from nalu.statistics.estimates import Estimate, estimate, rate
from nalu.training.fitting import fit
from nalu.training.metrics import mean_absolute_error, mean_squared_error
from nalu.training.replicas import Replicas
from nalu.training.result import Fit
from nalu.training.watch import Watch
from nalu.units import *  # noqa: F403  (whatever units are found there)

__all__ = [
    "Benchmark",
    "Claims",
    "Clip",
    "Estimate",
    "Fit",
    "Penalty",
    "Recipe",
    "Replicas",
    "Restart",
    "Watch",
    "at_scale",
    "benchmark",
    "estimate",
    "fit",
    "mean_absolute_error",
    "mean_squared_error",
    "rate",
    "sweep",
]
__all__ += units.__all__
__all__.sort()

if TYPE_CHECKING:  # as in `nalu.units`

    def __getattr__(name: str) -> type[units.Unit]: ...
