"""What the benchmark refuses, before anything is trained."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from helpers.single_module import LEAST, Own, Trained
from torch import Tensor, nn

from nalu import NAU, MulMCFC
from nalu.experiments.benchmarking import benchmark

NAN, INF = math.nan, math.inf

POSITIVE = ["[0.1, 0.2]", "[1, 2]", "[1.1, 1.2]", "[10, 20]"]


class OneSize(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()


class ByKeyword(nn.Module):
    def __init__(self, *, in_features: int, out_features: int) -> None:
        super().__init__()


def three(in_features: int, out_features: int) -> int:
    return 3


def giving(output: Callable[[Tensor], object]) -> type[nn.Module]:
    class Giving(Own):
        def forward(self, x: Tensor) -> object:
            return output(x)

    return Giving


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("unit", "error", "message"),
    [
        (NAU(2, 1), TypeError, r"unit: expected a class of modules with two sizes, got NAU\(2, 1\)"),
        ("NAU", TypeError, "unit: expected a class of modules with two sizes, got 'NAU'"),
        (None, TypeError, "unit: expected a class of modules with two sizes, got None"),
        (partial(NAU), TypeError, "unit: expected a class of modules with two sizes, got functools.partial"),
        (OneSize, TypeError, "OneSize: expected a class that is made with two sizes, got: .* positional argument"),
        (ByKeyword, TypeError, "ByKeyword: expected a class that is made with two sizes, got: .* positional argument"),
        (three, TypeError, r"three: expected a class of modules, got int from three\(2, 1\)"),
        (giving(lambda x: x), ValueError, r"Giving: expected outputs of shape \(4, 1\) .* \(4, 2\), got \(4, 2\)"),
        (giving(lambda x: x.sum(-1)), ValueError, r"Giving: expected outputs of shape \(4, 1\) .*, got \(4,\)"),
        (giving(lambda x: (x[:, :1],)), ValueError, r"Giving: expected outputs of shape \(4, 1\) .*, got tuple"),
        (giving(lambda x: x[:, :1] * NAN), ValueError, "Giving: expected finite outputs on one of the .* got none"),
    ],
)  # fmt: skip
def test_what_is_no_unit(unit: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        benchmark(unit, "a + b")


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"operation": "a ^ 2"}, ValueError, r"unknown operation 'a \^ 2': expected one of a \+ b, a - b, .* a / b"),
        ({"operation": ["a + b", "sum"]}, ValueError, "unknown operation 'sum': expected one of"),
        ({"operation": None}, ValueError, r"operation: expected one of a \+ b, .*, for Linear names none, got none"),
        ({"operation": []}, ValueError, "number of operations: expected at least 1, got 0"),
        ({"operation": ["a + b", "a - b", "a + b"]}, ValueError, r"operations: expected each once, got a \+ b more"),
        ({"operation": 3}, TypeError, r"operation: expected one or several of a \+ b, .*, got 3"),
        ({"seeds": 3}, TypeError, "seeds: expected some whole numbers, .*, got 3"),
        ({"steps": 0}, ValueError, "steps: expected at least 1, got 0"),
        ({"steps": "9"}, TypeError, "steps: expected a whole number, got '9'"),
        ({"recipe": {"lr": 0.1}}, TypeError, r"Linear: recipe: expected a Recipe \(nalu\.Recipe\), got {'lr': 0.1}"),
        ({"seeds": []}, ValueError, "number of seeds: expected at least 1, got 0"),
        ({"batch": 0}, ValueError, "batch: expected at least 1, got 0"),
    ],
)  # fmt: skip
def test_bad_settings(settings: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        benchmark(nn.Linear, **{"operation": "a + b", **settings})


class Branching(Own):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.sum() > 0 else 2 * super().forward(x)


class Drawing(Own):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * torch.rand_like(x))


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("unit", [Branching, Drawing])
def test_what_no_stack_can_train(unit: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match=f"{unit.__name__}: expected a unit that can be trained in a stack .* got: "):
        benchmark(unit, "a + b")


class OfNegatives(Own):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward((-x).log())


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("unit", [MulMCFC, OfNegatives])
def test_what_is_undefined_on_some_ranges_is_a_unit(unit: type[nn.Module]) -> None:
    with pytest.raises(Trained):
        benchmark(unit, "a * b")


def test_a_unit_may_be_undefined_on_some_ranges() -> None:
    table = benchmark(MulMCFC, **LEAST).table
    assert table.range[~table.diverged].tolist() == POSITIVE
    assert table.interpolation.notna().equals(~table.diverged)
