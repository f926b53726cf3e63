"""The NALU's successors as several tests take them: moved away from where they start, or with weights set by hand."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from helpers.seeds import seeded
from nalu import GNALU, INALU, MCFC, NAU, NMRU, NMU, NPU, NRU, SNMU, MulMCFC, NACMul, RealNPU, SignedMulMCFC
from nalu.units.unit import Unit

OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "a + b": torch.add,
    "a - b": torch.sub,
    "a * b": torch.mul,
    "a / b": torch.div,
}

EPSILON = 2.0**-23  # of float32


def made(unit: type[nn.Module], *sizes: int, seed: int = 0, mode: str = "eval", shaken: float = 0.0) -> nn.Module:
    """A unit in float64, its parameters moved away from where they start."""
    network = unit(*sizes, generator=seeded(seed)).double().train(mode == "train")
    noise = seeded(100 + seed)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn(p.shape, generator=noise, dtype=p.dtype), alpha=shaken)
    return network


def inputs(unit: type[Unit], *shape: int, seed: int = 1) -> Tensor:
    """Numbers of both signs with sizes from 0.3 to 3, or positive ones for the unit that takes no others."""
    size = 0.3 * 10 ** torch.rand(shape, generator=seeded(seed), dtype=torch.float64)
    sign = torch.randint(2, shape, generator=seeded(seed + 1)) * 2 - 1
    return size if unit is MulMCFC else size * sign


def of_nac(w: np.ndarray, large: float = 40.0) -> dict[str, np.ndarray | float]:
    """W_hat and M_hat whose tanh and sigmoid are 1 in float64."""
    return {"W_hat": large * np.sign(w), "M_hat": large}


def of_inalu(w: np.ndarray, adds: bool) -> dict[str, np.ndarray | float]:
    halves = {f"{name[0]}_{path}_hat": value for name, value in of_nac(w).items() for path in "am"}
    return halves | {"g": 800.0 if adds else -800.0}


OPEN = {"R": 0.0, "W_o": 20.0, "b_o": 20.0}

BY_HAND: dict[type[Unit], Callable[[np.ndarray, bool], dict[str, np.ndarray | float]]] = {
    NACMul: lambda w, adds: of_nac(w),
    NAU: lambda w, adds: {"W": w},
    NMU: lambda w, adds: {"W": w},
    SNMU: lambda w, adds: {"W": w},
    INALU: of_inalu,
    RealNPU: lambda w, adds: {"W_r": w, "g": np.abs(w)},
    NPU: lambda w, adds: {"W_r": w, "g": np.abs(w), "W_i": 0.0},
    GNALU: lambda w, adds: of_nac(w, 100.0) | {"G": np.where(w == 0, 0, 1e4 if adds else -1e4)},
    NRU: lambda w, adds: {"W": w},
    NMRU: lambda w, adds: {"W": np.concatenate([w == 1, w == -1])},
    MCFC: lambda w, adds: OPEN,
    MulMCFC: lambda w, adds: OPEN | {"b": 0.0},
    SignedMulMCFC: lambda w, adds: OPEN | {"b": 0.0, "g": 1.0},
}
"""From the weights (1, 1, 0, ...) or (1, -1, 0, ...), and whether it is a sum or difference, to all parameters."""

CONSERVING = (MCFC, MulMCFC, SignedMulMCFC)  # with one output, these cannot leave an input out

POSITIVE_ONLY = {
    NACMul: "its product has no sign",
    GNALU: "its gate depends on the sign of the inputs, and its product has none",
    MulMCFC: "its logarithm is of x",
}

UNITS = list(BY_HAND)
MODES = [(unit, mode) for unit in UNITS for mode in ("train", "eval") if mode == "eval" or unit in (NRU, NMRU, SNMU)]
"""Each unit after `eval()`, and those that are something else in training there, too."""

WITHOUT_END: dict[tuple[type[Unit], str], tuple[set[float], set[float]]] = {
    (NRU, "train"): ({0.0}, {0.0}),
    (NRU, "eval"): ({0.0}, {0.0}),
    (NMRU, "eval"): ({0.0, 1e-30, -1e-30}, {0.0, 1e-30, -1e-30}),
    (MulMCFC, "eval"): ({-3.0, -1e-30, -1e8}, {0.0, -3.0, -1e-30, -1e8}),
    (SignedMulMCFC, "eval"): (set(), {0.0}),
}
"""From where they start, at which inputs outputs, and gradients of parameters, are not finite."""


def by_hand(unit: type[Unit], operation: str, n: int = 2, mode: str = "eval") -> Unit:
    network = unit(n, 1).double().train(mode == "train")
    w = np.array([1, -1 if operation in ("a - b", "a / b") else 1] + [0] * (n - 2), dtype=float)
    values = BY_HAND[unit](w, operation in ("a + b", "a - b"))
    with torch.no_grad():
        for name, p in network.named_parameters():
            p.copy_(torch.as_tensor(values[name]))
    return network
