"""Where the NALU's successors are exact, with parameters set by hand."""

import pytest
import torch
from helpers.successors import CONSERVING, EPSILON, OPERATIONS, POSITIVE_ONLY, UNITS, by_hand, inputs, made

from nalu import GNALU, NAC, NALU, NMRU, NPU, Linear, MulMCFC, NACMul, RealNPU
from nalu.units.unit import Unit

SHIFT = {NACMul: 1e-7, GNALU: 1e-7, RealNPU: EPSILON, NPU: EPSILON}
"""What is added to the sizes of factors and divisors. All other units are exact."""

CLAIMS = [(unit, operation) for unit in UNITS for operation in unit.operations]

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
