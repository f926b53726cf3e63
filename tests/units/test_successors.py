"""The NALU's successors against their equations, evaluated in NumPy; where they are exact, and where they fail."""

import itertools
import math
import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

import nalu
from nalu import (
    GNALU,
    INALU,
    MCFC,
    NAC,
    NALU,
    NAU,
    NMRU,
    NMU,
    NPU,
    NRU,
    SNMU,
    Linear,
    MulMCFC,
    NACMul,
    RealNPU,
    SignedMulMCFC,
)
from nalu.engine.step import training_step
from nalu.recipe import Clip, Penalty, Recipe, Restart
from nalu.units.snmu import noise
from nalu.units.unit import Unit, product

OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "a + b": torch.add,
    "a - b": torch.sub,
    "a * b": torch.mul,
    "a / b": torch.div,
}
EPSILON = 2.0**-23  # of float32
PHI = (1 + 5**0.5) / 2


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(unit: type[Unit], *sizes: int, seed: int = 0, mode: str = "eval", shaken: float = 0.0) -> Unit:
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


# The equations.


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def squashed(p: dict[str, np.ndarray], path: str = "") -> np.ndarray:
    return np.tanh(p[f"W{path}_hat"]) * sigmoid(p[f"M{path}_hat"])


def nmu(W: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.prod(z[..., None, :] * W + 1 - W, -1)


def drawn_from(z: np.ndarray) -> np.ndarray:
    mantissa = 2 * np.frexp(np.where(z == 0, 1, np.abs(z)))[0]
    return 1 + 4 * (997 * mantissa % 1)


def snmu(p: dict, z: np.ndarray, mode: str) -> np.ndarray:
    n = drawn_from(z) if mode == "train" else np.ones_like(z)
    return nmu(p["W"], z * n) / nmu(p["W"], n)


def negative(z: np.ndarray) -> np.ndarray:
    return np.where(z < 0, 1.0, 0.0)


def inalu(p: dict, z: np.ndarray, mode: str) -> np.ndarray:
    m = np.exp(np.minimum(np.log(np.maximum(np.abs(z), 1e-7)) @ squashed(p, "_m").T, 20))
    g = sigmoid(p["g"])
    return g * (z @ squashed(p, "_a").T) + (1 - g) * m * nmu(np.abs(squashed(p, "_m")), np.sign(z))


def npu(p: dict, z: np.ndarray, mode: str) -> np.ndarray:
    """In complex numbers: the real part of exp(W log x), where log x = log r + i pi k."""
    g = np.clip(p["g"], 0, 1)
    log_x = np.log(g * (np.abs(z) + EPSILON) + 1 - g) + 1j * np.pi * g * negative(z)
    return np.exp(log_x @ (p["W_r"] + 1j * p.get("W_i", 0)).T).real


def gnalu(p: dict, z: np.ndarray, mode: str) -> np.ndarray:
    W = (PHI ** (2 * p["W_hat"]) - 1) / (PHI ** (2 * p["W_hat"]) + 1) / (1 + PHI ** -p["M_hat"])
    g = 1 / (1 + PHI ** -(z @ p["G"].T))
    return g * (z @ W.T) + (1 - g) * PHI ** (np.log(np.abs(z) + 1e-7) / np.log(PHI) @ W.T)


def nru(p: dict, z: np.ndarray, mode: str) -> np.ndarray:
    W, z = p["W"], z[..., None, :]
    size = np.tanh(1000 * W) ** 2 if mode == "train" else np.abs(W)
    return np.prod(np.sign(z) * np.abs(z) ** W * size + 1 - size, -1)


def nmru(p: dict, z: np.ndarray, mode: str) -> np.ndarray:
    both = np.concatenate([z, 1 / (z + (EPSILON if mode == "train" else 0))], -1)
    return nmu(p["W"], np.abs(both)) * np.cos(np.pi * negative(both) @ p["W"].T)


def handed(p: dict, gated: bool = True) -> np.ndarray:
    shares = np.exp(p["R"]) / np.exp(p["R"]).sum(0)
    return sigmoid(p["W_o"][:, 0] + p["b_o"])[:, None] * shares if gated else shares


def mul_mcfc(p: dict, z: np.ndarray, mode: str) -> np.ndarray:
    return np.exp(np.log(np.abs(z)) @ handed(p).T + p["b"])


def signed_mul_mcfc(p: dict, z: np.ndarray, mode: str) -> np.ndarray:
    return mul_mcfc(p, z, mode) * np.cos(np.pi * (np.clip(p["g"], 0, 1) * negative(z)) @ handed(p, gated=False).T)


EQUATIONS: dict[type[Unit], Callable[[dict, np.ndarray, str], np.ndarray]] = {
    NACMul: lambda p, z, mode: np.exp(np.log(np.abs(z) + 1e-7) @ squashed(p).T),
    NAU: lambda p, z, mode: z @ np.clip(p["W"], -1, 1).T,
    NMU: lambda p, z, mode: nmu(p["W"], z),
    SNMU: snmu,
    INALU: inalu,
    RealNPU: npu,
    NPU: npu,
    GNALU: gnalu,
    NRU: nru,
    NMRU: nmru,
    MCFC: lambda p, z, mode: z @ handed(p).T,
    MulMCFC: mul_mcfc,
    SignedMulMCFC: signed_mul_mcfc,
}
UNITS = list(EQUATIONS)
MODES = [(unit, mode) for unit in UNITS for mode in ("train", "eval") if mode == "eval" or unit in (NRU, NMRU, SNMU)]
"""Each unit after `eval()`, and those that are something else in training there, too."""


@pytest.mark.parametrize("sizes", [(1, 1), (3, 2), (4, 4), (5, 7)])
@pytest.mark.parametrize(("unit", "mode"), MODES)
def test_units_compute_their_equations(unit: type[Unit], mode: str, sizes: tuple[int, int]) -> None:
    for batch, shaken in itertools.product([(), (6,), (2, 4), (0,)], [0.0, 0.6]):
        network = made(unit, *sizes, mode=mode, shaken=shaken)  # shaken, some are outside the range they are clamped to
        x = inputs(unit, *batch, sizes[0])
        if batch == (6,) and 0.0 not in WITHOUT_END.get((unit, mode), ((), ()))[1]:
            x[0, 0] = 0
        p = {name: value.detach().numpy() for name, value in network.named_parameters()}
        y = network(x).detach()
        assert y.shape == (*batch, sizes[1])
        np.testing.assert_allclose(y, EQUATIONS[unit](p, x.numpy(), mode), rtol=1e-11, atol=1e-12)


def test_gnalu_is_a_nalu_of_smaller_parameters() -> None:
    golden, plain = made(GNALU, 3, 2, shaken=1.0), NALU(3, 2).double()
    with torch.no_grad():
        for name, p in plain.named_parameters():
            p.copy_(golden.get_parameter(name) * math.log(PHI))
    x = inputs(GNALU, 50, 3)
    torch.testing.assert_close(golden(x), plain(x), rtol=1e-13, atol=0)
    with torch.no_grad():
        golden.W_hat.fill_(1e6)  # where powers of phi overflow
    assert golden(x).isfinite().all()


@pytest.mark.parametrize(("low", "high"), [(1, 2), (1.1, 1.2), (0.1, 0.2), (-20, -10), (-2, 2)])
def test_the_noise_of_an_snmu_is_as_if_drawn(low: float, high: float) -> None:
    x = low + (high - low) * torch.rand(100_000, 2, generator=seeded())
    n = noise(x)
    assert torch.equal(n, noise(-x)) and torch.equal(n, noise(8 * x)) and not n.requires_grad
    assert n.min() >= 1 and n.max() < 5
    counts = torch.histc(n.flatten(), 20, 1, 5) / n.numel()
    torch.testing.assert_close(counts, torch.full((20,), 1 / 20), rtol=0.05, atol=0)
    together = torch.cat([n, x, x.square(), n.square()], 1).double()
    others = ~torch.eye(8, dtype=bool) & ~torch.eye(2, dtype=bool).repeat(4, 4)  # but for powers of the same number
    others[0, 2] = others[1, 3] = others[0, 4] = others[1, 5] = True
    assert torch.corrcoef(together.T)[others].abs().max() < 0.015


# Exactness, with parameters set by hand.


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

SHIFT = {NACMul: 1e-7, GNALU: 1e-7, RealNPU: EPSILON, NPU: EPSILON}
"""What is added to the sizes of factors and divisors. All other units are exact."""

POSITIVE_ONLY = {
    NACMul: "its product has no sign",
    GNALU: "its gate depends on the sign of the inputs, and its product has none",
    MulMCFC: "its logarithm is of x",
}

CLAIMS = [(unit, operation) for unit in UNITS for operation in unit.operations]


def by_hand(unit: type[Unit], operation: str, n: int = 2, mode: str = "eval") -> Unit:
    network = unit(n, 1).double().train(mode == "train")
    w = np.array([1, -1 if operation in ("a - b", "a / b") else 1] + [0] * (n - 2), dtype=float)
    values = BY_HAND[unit](w, operation in ("a + b", "a - b"))
    with torch.no_grad():
        for name, p in network.named_parameters():
            p.copy_(torch.as_tensor(values[name]))
    return network


POSITIVE = torch.tensor([[3.0, 5.0], [0.5, 0.25], [120.0, 7.0], [0.11, 0.19]], dtype=torch.float64)
SIGNS = torch.tensor([[[1, 1]], [[-1, 1]], [[1, -1]], [[-1, -1]]], dtype=torch.float64)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(("unit", "operation"), CLAIMS)
def test_exact_with_weights_set_by_hand(unit: type[Unit], operation: str, mode: str) -> None:
    x = POSITIVE if unit in POSITIVE_ONLY else (POSITIVE * SIGNS).reshape(-1, 2)
    y = by_hand(unit, operation, mode=mode)(x)[:, 0]
    shift = SHIFT.get(unit, 0.0) * x.sign() * (operation in ("a * b", "a / b"))
    if unit is NMRU and mode == "train" and operation == "a / b":
        shift = torch.tensor([0, EPSILON])  # to the divisor, whatever its sign
    torch.testing.assert_close(y, OPERATIONS[operation](*(x + shift).T), rtol=1e-12, atol=0)
    # So against the operation itself, it is 1e-12, or what the shift makes of the smallest input.
    off = 2 * shift.abs().max().item() / 0.11
    torch.testing.assert_close(y, OPERATIONS[operation](*x.T), rtol=max(1e-12, off), atol=0)


@pytest.mark.parametrize(("unit", "operation"), [claim for claim in CLAIMS if claim[0] not in CONSERVING])
def test_exact_where_other_inputs_are_to_be_left_out(unit: type[Unit], operation: str) -> None:
    x = inputs(MulMCFC if unit in POSITIVE_ONLY else unit, 50, 5)
    y, expected = by_hand(unit, operation, 5)(x)[:, 0], OPERATIONS[operation](x[:, 0], x[:, 1])
    torch.testing.assert_close(y, expected, rtol=2 * SHIFT.get(unit, 1e-12) / 0.3, atol=1e-12)


@pytest.mark.parametrize(("unit", "operation"), CLAIMS)
def test_all_numbers_of_W_are_discrete_where_it_is_exact(unit: type[Unit], operation: str) -> None:
    W = by_hand(unit, operation).W
    assert W.numel() >= 2 and W.requires_grad
    torch.testing.assert_close(W, W.round(), rtol=0, atol=1e-12)
    assert W.abs().max() <= 1
    assert (made(unit, 2, 1, shaken=0.1).W - W).abs().max() > 0.05  # it follows its parameters


def test_operations() -> None:
    assert Unit.operations == Linear.operations == tuple(OPERATIONS) == NALU.operations
    assert NAC.operations == ("a + b", "a - b")
    assert {unit.__name__: " ".join(operation[2] for operation in unit.operations) for unit in UNITS} == {
        "NACMul": "* /", "NAU": "+ -", "NMU": "*", "SNMU": "*", "INALU": "+ - * /", "RealNPU": "* /", "NPU": "* /",
        "GNALU": "+ - * /", "NRU": "* /", "NMRU": "* /", "MCFC": "+", "MulMCFC": "*", "SignedMulMCFC": "*",
    }  # fmt: skip


# Gradients.


@pytest.mark.parametrize("unit", CONSERVING)
def test_without_a_gradient_with_a_single_output_all_mass_goes_there(unit: type[MCFC]) -> None:
    network = made(unit, 3, 1)
    network(inputs(unit, 100, 3)).square().sum().backward()
    assert [name for name, p in network.named_parameters() if (p.grad == 0).all()] == ["R"]


def test_without_a_gradient_the_imaginary_weight_of_an_npu_that_sees_positive_numbers_only() -> None:
    network = made(NPU, 3, 2)
    network(inputs(NPU, 100, 3).abs()).square().sum().backward()
    assert [name for name, p in network.named_parameters() if (p.grad == 0).all()] == ["W_i"]


@pytest.mark.parametrize(("unit", "mode"), MODES)
def test_gradients_are_those_of_finite_differences(unit: type[Unit], mode: str) -> None:
    network = made(unit, 3, 2, mode=mode)
    names, values = zip(*network.named_parameters(), strict=True)

    def call(x: Tensor, *values: Tensor) -> Tensor:
        return functional_call(network, dict(zip(names, values, strict=True)), (x,))

    x = inputs(unit, 4, 3).requires_grad_(unit is not SNMU or mode == "eval")  # its noise follows x
    assert torch.autograd.gradcheck(call, (x, *(value.detach().requires_grad_() for value in values)))


@pytest.mark.parametrize(
    ("unit", "name", "low"),
    [(NAU, "W", -1.0), (RealNPU, "g", 0.0), (NPU, "g", 0.0), (SignedMulMCFC, "g", 0.0)],
)
def test_a_clamp_passes_the_gradient_up_to_its_ends(unit: type[Unit], name: str, low: float) -> None:
    network = made(unit, 4, 3)
    with torch.no_grad():
        network.get_parameter(name)[..., :] = torch.tensor([low, 1.0, low - 0.1, 1.1])
    network(inputs(unit, 100, 4)).square().sum().backward()
    gradient = network.get_parameter(name).grad
    assert (gradient[..., :2] != 0).all() and (gradient[..., 2:] == 0).all()


# Penalties and projections.


def bias(W: np.ndarray) -> float:
    return np.minimum(np.abs(W), np.abs(1 - np.abs(W))).mean()


def l1(p: dict[str, np.ndarray]) -> float:
    return sum(np.abs(value).sum() for value in p.values())


PENALTIES: dict[type[Unit], Callable[[dict[str, np.ndarray]], float]] = {
    NAU: lambda p: bias(p["W"]),
    **dict.fromkeys((NMU, SNMU), lambda p: np.minimum(np.abs(p["W"]), np.abs(1 - p["W"])).mean()),
    INALU: lambda p: sum(np.maximum(np.minimum(value, -value) + 20, 0).mean() for value in p.values()),
    RealNPU: l1,
    NPU: l1,
    NRU: lambda p: bias(p["W"]),
    NMRU: lambda p: np.minimum(np.abs(p["W"]), np.abs(1 - p["W"])).mean(),
    **dict.fromkeys(CONSERVING, lambda p: -sum((p[name] ** 2).mean() for name in ("R", "W_o", "b_o"))),
}
CLAMPED = {NAU: (-1, 1), NMU: (0, 1), SNMU: (0, 1), NRU: (-1, 1), NMRU: (0, 1)}


def test_which_units_have_penalties_and_projections() -> None:
    assert {unit for unit in UNITS if hasattr(unit, "penalty")} == set(PENALTIES)
    assert {unit for unit in UNITS if hasattr(unit, "project_")} == set(CLAMPED)


@pytest.mark.parametrize("unit", PENALTIES)
def test_penalties(unit: type[Unit]) -> None:
    for scale in (0.0, 0.7, 15.0):
        network = made(unit, 5, 3, shaken=scale)
        p = {name: value.detach().numpy() for name, value in network.named_parameters()}
        np.testing.assert_allclose(network.penalty().item(), PENALTIES[unit](p), rtol=1e-12)


@pytest.mark.parametrize("unit", CLAMPED)
def test_discrete_weights_are_not_penalised(unit: type[Unit]) -> None:
    for operation in unit.operations:
        assert by_hand(unit, operation, 5).penalty() == 0
    between = by_hand(unit, unit.operations[0])
    with torch.no_grad():
        between.W.mul_(0.9).add_(0.05)
    assert between.penalty() > 0.04


def test_inalu_penalises_nothing_that_is_saturated() -> None:
    assert by_hand(INALU, "a * b").penalty() == 0  # also weights of the path that is shut off
    assert made(INALU, 2, 1).penalty() > 80


@pytest.mark.parametrize("unit", CLAMPED)
def test_projection(unit: type[Unit]) -> None:
    network = made(unit, 4, 3, shaken=3.0)
    before = network.W.detach().clone()
    network.project_()
    low, high = CLAMPED[unit]
    assert torch.equal(network.W, before.clamp(low, high)) and network.W.requires_grad
    assert network.W.aminmax() == (low, high)


# Where equations end: zero, negative, tiny and huge numbers, in float32.

POINTS = [*itertools.product((0.0, 2.0), repeat=2), (-3.0, 2.0), (3.0, -2.0), (-3.0, -2.0), (1e-30, 2.0), (2.0, 1e-30)]
POINTS += [(1e30, 2.0), (2.0, 1e30), (1e30, 1e30), (-1e30, 1e30)]
NAN, INF = math.nan, math.inf


def floor(e: float) -> dict[str, dict[tuple[float, float], float]]:
    """Factors and divisors are never smaller than e."""
    return {
        "a * b": {(0.0, 0.0): e * e, **dict.fromkeys([(0.0, 2.0), (2.0, 0.0), (1e-30, 2.0), (2.0, 1e-30)], 2 * e)},
        "a / b": {(0.0, 0.0): 1.0, (0.0, 2.0): e / 2, (1e-30, 2.0): e / 2, (2.0, 0.0): 2 / e, (2.0, 1e-30): 2 / e},
    }


CAP = math.exp(20)

DEPARTURES: dict[tuple[type[Unit], str], dict[str, dict[tuple[float, float], float]]] = {
    # The sign is lost.
    (NACMul, "eval"): {
        "a * b": floor(1e-7)["a * b"] | {(-3.0, 2.0): 6.0, (3.0, -2.0): 6.0, (-1e30, 1e30): INF},
        "a / b": floor(1e-7)["a / b"] | {(-3.0, 2.0): 1.5, (3.0, -2.0): 1.5, (-1e30, 1e30): 1.0},
    },
    # The product is at most e^20, and exactly 0 where a factor or divisor is.
    (INALU, "eval"): {
        "a * b": {(1e-30, 2.0): 2e-7, (2.0, 1e-30): 2e-7, (-1e30, 1e30): -CAP}
        | dict.fromkeys([(1e30, 2.0), (2.0, 1e30), (1e30, 1e30)], CAP),
        "a / b": {(0.0, 0.0): 0.0, (2.0, 0.0): 0.0, (1e-30, 2.0): 5e-8, (2.0, 1e-30): 2e7, (1e30, 2.0): CAP},
    },
    (RealNPU, "eval"): floor(EPSILON),
    (NPU, "eval"): floor(EPSILON),
    # The gate is half open at 0, where inputs cancel, and turned around where their sum is negative.
    (GNALU, "eval"): {
        "a + b": {
            (0.0, 0.0): 5e-15, (-3.0, 2.0): 6.0, (-3.0, -2.0): 6.0, (1e30, 1e30): NAN, (-1e30, 1e30): INF,
        },
        "a - b": {(0.0, 0.0): 0.5, (-3.0, 2.0): 1.5, (-3.0, -2.0): 1.5, (-1e30, 1e30): -1e30},
        "a * b": {
            **floor(1e-7)["a * b"], (0.0, 0.0): 5e-15, (-3.0, 2.0): -1.0, (3.0, -2.0): 6.0, (-3.0, -2.0): -5.0,
            (-1e30, 1e30): INF,
        },
        "a / b": {
            **floor(1e-7)["a / b"], (0.0, 0.0): 0.5, (-3.0, 2.0): -5.0, (3.0, -2.0): 1.5, (-3.0, -2.0): -1.0,
            (-1e30, 1e30): -1e30,
        },
    },
    # sign(0) |0|^-1 is 0 times infinity.
    (NRU, "train"): {"a / b": {(2.0, 0.0): NAN}},
    (NRU, "eval"): {"a / b": {(2.0, 0.0): NAN}},
    # What is left out is 0 times the reciprocal, and that of 0 is infinite, or in training that of epsilon.
    (NMRU, "train"): {"a / b": {(0.0, 0.0): 0.0, (2.0, 0.0): 2 / EPSILON, (2.0, 1e-30): 2 / EPSILON}},
    (NMRU, "eval"): {
        "a * b": dict.fromkeys([(0.0, 0.0), (0.0, 2.0), (2.0, 0.0)], NAN), "a / b": {(0.0, 2.0): NAN},
    },
    (MulMCFC, "eval"): {
        "a * b": dict.fromkeys([(-3.0, 2.0), (3.0, -2.0), (-3.0, -2.0), (-1e30, 1e30)], NAN),
    },
}  # fmt: skip
"""By unit, mode and operation, what comes where it is not the operation's own result. The others never depart."""


@pytest.mark.parametrize(("unit", "mode"), MODES)
def test_zero_negative_tiny_and_huge_inputs(unit: type[Unit], mode: str) -> None:
    x = torch.tensor(POINTS)
    for operation in unit.operations:
        departures = DEPARTURES.get((unit, mode), {}).get(operation, {})
        assert departures.keys() <= set(POINTS)
        own = OPERATIONS[operation](x[:, 0], x[:, 1]).tolist()
        expected = [departures.get(point, y) for point, y in zip(POINTS, own, strict=True)]
        y = by_hand(unit, operation, mode=mode).float()(x)[:, 0]
        torch.testing.assert_close(y, torch.tensor(expected), rtol=2e-5, atol=0, equal_nan=True)


WITHOUT_END: dict[tuple[type[Unit], str], tuple[set[float], set[float]]] = {
    (NRU, "train"): ({0.0}, {0.0}),
    (NRU, "eval"): ({0.0}, {0.0}),
    (NMRU, "eval"): ({0.0, 1e-30, -1e-30}, {0.0, 1e-30, -1e-30}),
    (MulMCFC, "eval"): ({-3.0, -1e-30, -1e8}, {0.0, -3.0, -1e-30, -1e8}),
    (SignedMulMCFC, "eval"): (set(), {0.0}),
}
"""From where they start, at which inputs outputs, and gradients of parameters, are not finite."""


@pytest.mark.parametrize("value", [0.0, -3.0, 1e-30, -1e-30, 1e8, -1e8])
@pytest.mark.parametrize(("unit", "mode"), MODES)
def test_outputs_and_gradients_are_finite(unit: type[Unit], mode: str, value: float) -> None:
    network = made(unit, 3, 2, mode=mode).float()
    y = network(torch.full((4, 3), value))
    y.sum().backward()
    outputs, gradients = WITHOUT_END.get((unit, mode), (set(), set()))
    assert bool(y.isfinite().all()) == (value not in outputs)
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters()) == (value not in gradients)


# Initial parameters.


def pooled(unit: type[Unit], name: str, n_in: int, n_out: int) -> Tensor:
    units = [unit(n_in, n_out, generator=seeded(k)) for k in range(-(-3_000 // (n_in * n_out)))]
    return torch.cat([unit.get_parameter(name).detach().flatten() for unit in units])


@pytest.mark.parametrize(("n_in", "n_out"), [(2, 1), (3, 4), (100, 2)])
def test_initial_distributions(n_in: int, n_out: int) -> None:
    glorot, nac = math.sqrt(6 / (n_in + n_out)), nalu.units.nac.initial_range(n_in, n_out)
    for unit, name, low, high in [
        (NACMul, "W_hat", -nac, nac),
        (NACMul, "M_hat", -nac, nac),
        (GNALU, "W_hat", -nac, nac),
        (GNALU, "M_hat", -nac, nac),
        (GNALU, "G", -glorot, glorot),
        (NAU, "W", -min(0.5, glorot), min(0.5, glorot)),
        (NRU, "W", -min(0.5, glorot), min(0.5, glorot)),
        (NMU, "W", 0.25, 0.75),
        (SNMU, "W", 0.25, 0.75),
        (NMRU, "W", 0.25, 0.75),
        (RealNPU, "W_r", -glorot, glorot),
        (NPU, "W_r", -glorot, glorot),
    ]:
        values = (pooled(unit, name, n_in, n_out) - low) / (high - low)
        assert values.min() >= 0 and values.max() <= 1, (unit, name)
        assert values.mean().item() == pytest.approx(1 / 2, abs=0.03)
        assert values.std().item() == pytest.approx(12**-0.5, rel=0.05)
    for name, mean in {"W_a_hat": 0.88, "M_a_hat": 0.5, "W_m_hat": 0.88, "M_m_hat": 0.5}.items():
        values = pooled(INALU, name, n_in, n_out)
        assert values.mean().item() == pytest.approx(mean, abs=0.02)
        assert values.std().item() == pytest.approx(0.2, rel=0.06)
    gates = torch.cat([INALU(2, 10, generator=seeded(k)).g.detach() for k in range(100)])
    assert gates.mean().abs() < 0.03 and gates.std().item() == pytest.approx(0.2, rel=0.1)


def test_parameters_that_start_at_a_value() -> None:
    for unit, name, value in [(RealNPU, "g", 0.5), (NPU, "g", 0.5), (NPU, "W_i", 0), (SignedMulMCFC, "g", 0.5),
                              (MulMCFC, "b", 0), (MCFC, "b_o", 0)]:  # fmt: skip
        assert (unit(3, 2).get_parameter(name) == value).all()


@pytest.mark.parametrize("unit", CONSERVING)
def test_mass_conserving_units_start_orthogonal(unit: type[MCFC]) -> None:
    for n_in, n_out in ((2, 1), (3, 5), (5, 3)):
        network = unit(n_in, n_out, generator=seeded())
        R = network.R.detach() if n_in > n_out else network.R.detach().T
        torch.testing.assert_close(R @ R.T, torch.eye(min(n_in, n_out)))
        torch.testing.assert_close(network.W_o.norm().item(), 1.0)
        torch.testing.assert_close(network.shares.sum(0), torch.ones(n_in))
    assert torch.equal(unit(3, 3).R, torch.eye(3))
    assert {unit(2, 1, generator=seeded(k)).W_o.item() for k in range(10)} == {-1.0, 1.0}


# Replicas.


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("unit", UNITS)
def test_stacked_steps_equal_those_alone(unit: type[Unit]) -> None:
    networks = [made(unit, 3, 2, seed=seed, mode="train", shaken=0.3) for seed in range(3)]
    x, y = inputs(unit, 3, 5, 3), torch.randn(3, 5, 2, generator=seeded(), dtype=torch.float64)
    weight = torch.tensor(0.3, dtype=torch.float64)
    recipe = Recipe(optimizer=torch.optim.SGD, penalty=Penalty(0.3) if unit in PENALTIES else None)
    step = training_step(made(unit, 3, 2, mode="train"), recipe)
    parameters = list(stack_module_state(networks)[0].values())
    numbers = [weight] * (unit in PENALTIES) + [torch.ones((), dtype=torch.float64)] * 2
    moved, _, losses = vmap(step, (0, 0, 0, None))(parameters, [[] for _ in parameters], [x, y], numbers)
    for r, network in enumerate(networks):
        loss = F.mse_loss(network(x[r]), y[r])
        torch.testing.assert_close(losses[r], loss.detach(), rtol=1e-11, atol=0)
        (loss + (0.3 * network.penalty() if unit in PENALTIES else 0)).backward()
        torch.optim.SGD(network.parameters(), lr=1.0).step()
        if unit in CLAMPED:
            network.project_()
        for found, expected in zip(moved, network.parameters(), strict=True):
            torch.testing.assert_close(found[r], expected, rtol=1e-9, atol=1e-10)


# Recipes.

RECIPES: dict[type[Unit], tuple[Recipe, dict[float, float]]] = {
    NACMul: (Recipe(), {}),
    NAU: (Recipe(), {0.0: 0, 0.4: 0, 0.55: 0.005, 0.7: 0.01, 1.0: 0.01}),
    NMU: (Recipe(), {0.0: 0, 0.4: 0, 0.55: 5, 0.7: 10, 1.0: 10}),
    SNMU: (Recipe(), {0.0: 0, 0.4: 0, 0.55: 5, 0.7: 10, 1.0: 10}),
    INALU: (Recipe(clip=Clip(value=0.1), restart=Restart(10, 5_000, 1.0)), {0.0: 0, 0.2: 0, 0.21: 0.05}),
    RealNPU: (Recipe(lr=5e-3), {0.0: 1e-7, 0.19: 1e-7, 0.2: 1e-6, 0.39: 1e-6, 0.4: 1e-5, 0.6: 1e-5, 1.0: 1e-5}),
    NPU: (Recipe(lr=5e-3), {0.0: 1e-7, 0.19: 1e-7, 0.2: 1e-6, 0.39: 1e-6, 0.4: 1e-5, 0.6: 1e-5, 1.0: 1e-5}),
    GNALU: (Recipe(), {}),
    NRU: (Recipe(lr=1.0), {0.0: 0, 0.4: 0, 0.55: 5, 0.7: 10, 1.0: 10}),
    NMRU: (Recipe(lr=1e-2, clip=Clip(norm=1.0)), {0.0: 0, 0.4: 0, 0.55: 5, 0.7: 10, 1.0: 10}),
    **dict.fromkeys(CONSERVING, (Recipe(), {0.0: 0, 0.4: 0, 0.55: 5, 0.7: 10, 1.0: 10})),
}
"""What is published, but for the penalty, and the penalty's weight by the share of the steps that is done."""


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("unit", UNITS)
def test_recipes(unit: type[Unit], operation: str) -> None:
    recipe = pickle.loads(pickle.dumps(unit.recipe(operation)))  # it travels to other processes
    expected, weights = RECIPES[unit]
    assert replace(recipe, penalty=None) == expected
    assert (recipe.penalty is None) == (not weights) == (unit not in PENALTIES)
    less = 100 if unit in (RealNPU, NPU) and operation == "a / b" else 1
    for done, weight in weights.items():
        assert recipe.penalty.below == (1.0 if unit is INALU else None)
        assert recipe.penalty.weight(done) == pytest.approx(weight / less, rel=1e-9, abs=1e-15)


# The product.


@pytest.mark.parametrize("shape", [(1,), (2,), (5,), (3, 4), (2, 3, 7), (0, 3), (2, 16)])
@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_product_and_its_gradient(shape: tuple[int, ...], zeros: int) -> None:
    x = torch.randn(shape, generator=seeded(), dtype=torch.float64)
    x[..., :zeros] = 0
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    y, expected = product(ours), theirs.prod(-1)
    torch.testing.assert_close(y, expected, rtol=1e-13, atol=0)
    weight = torch.randn(y.shape, generator=seeded(1), dtype=torch.float64)
    (y * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=0)
    assert torch.equal(vmap(product)(x.expand(3, *shape)), product(x).detach().expand(3, *shape[:-1]))
