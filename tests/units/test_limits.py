"""Where equations end: zero, negative, tiny and huge numbers, in float32."""

import itertools
import math

import pytest
import torch
from helpers.successors import EPSILON, MODES, OPERATIONS, WITHOUT_END, by_hand, made

from nalu import (
    GNALU,
    INALU,
    NMRU,
    NPU,
    NRU,
    MulMCFC,
    NACMul,
    RealNPU,
)
from nalu.units.unit import Unit

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


@pytest.mark.parametrize("value", [0.0, -3.0, 1e-30, -1e-30, 1e8, -1e8])
@pytest.mark.parametrize(("unit", "mode"), MODES)
def test_outputs_and_gradients_are_finite(unit: type[Unit], mode: str, value: float) -> None:
    network = made(unit, 3, 2, mode=mode).float()
    y = network(torch.full((4, 3), value))
    y.sum().backward()
    outputs, gradients = WITHOUT_END.get((unit, mode), (set(), set()))
    assert bool(y.isfinite().all()) == (value not in outputs)
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters()) == (value not in gradients)
