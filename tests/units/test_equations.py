"""The NALU's successors against their equations, evaluated in NumPy."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers.seeds import seeded
from helpers.successors import EPSILON, MODES, WITHOUT_END, inputs, made

from nalu import (
    GNALU,
    INALU,
    MCFC,
    NALU,
    NAU,
    NMRU,
    NMU,
    NPU,
    NRU,
    SNMU,
    MulMCFC,
    NACMul,
    RealNPU,
    SignedMulMCFC,
)
from nalu.units.snmu import noise
from nalu.units.unit import Unit

PHI = (1 + 5**0.5) / 2


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
