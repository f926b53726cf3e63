"""The MLP and its activations against their equations, evaluated in NumPy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers.seeds import seeded
from torch import Tensor, nn

from nalu import ACTIVATIONS, MLP, NAC, stack


def arrays(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: p.detach().numpy() for name, p in module.named_parameters()}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


# The definitions, by the activations' names in the paper, with PyTorch's default constants.
EQUATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Hardtanh": lambda x: np.clip(x, -1, 1),
    "Sigmoid": sigmoid,
    "ReLU6": lambda x: np.clip(x, 0, 6),
    "Tanh": np.tanh,
    "Tanhshrink": lambda x: x - np.tanh(x),
    "Hardshrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "LeakyReLU": lambda x: np.where(x > 0, x, 0.01 * x),
    "Softshrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Threshold": lambda x: np.where(x > 1, x, 0),
    "ReLU": lambda x: np.maximum(x, 0),
    "PReLU": lambda x: np.where(x > 0, x, 0.25 * x),
    "Softplus": lambda x: np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0),
    "ELU": elu,
    "SELU": lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772),
    "None": lambda x: x,
}


def test_there_are_the_papers_fifteen_activations_and_none() -> None:
    assert len(ACTIVATIONS) == 16
    assert EQUATIONS.keys() == ACTIVATIONS.keys()


def inputs(*shape: int, scale: float = 4.0) -> Tensor:
    return torch.randn(*shape, generator=seeded(1), dtype=torch.float64) * scale


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_mlp_computes_its_equation(name: str) -> None:
    network = MLP(2, 3, activation=name, hidden=(5, 4), generator=seeded()).double()
    x = inputs(20, 2)
    p, h = arrays(network), x.numpy()
    for layer in range(3):
        h = h @ p[f"layers.{layer}.W"].T + p[f"layers.{layer}.b"]
        h = EQUATIONS[name](h) if layer < 2 else h
    np.testing.assert_allclose(network(x).detach(), h, rtol=1e-11, atol=1e-11)


def test_mlp_has_three_hidden_layers_of_eight_unless_told_otherwise() -> None:
    assert [tuple(layer.W.shape) for layer in MLP(1, 1).layers] == [(8, 1), (8, 8), (8, 8), (1, 8)]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_parameter_of_an_mlp_gets_a_gradient(activation: str) -> None:
    reached: dict[str, Tensor] = {}
    # Several draws, for an activation with a dead zone leaves some weights of any one network without a gradient.
    for seed in range(20):
        network = MLP(2, 3, activation=activation, hidden=(4, 4), generator=seeded(seed))
        network.double()(inputs(100, 2)).square().sum().backward()
        for name, p in network.named_parameters():
            assert p.grad is not None and p.grad.isfinite().all(), name
            reached[name] = reached.get(name, False) | (p.grad != 0)
    for name, some in reached.items():
        assert some.all(), name


@pytest.mark.parametrize("name", ["relu", "Relu", "", None, 3, "GELU"])
def test_unknown_activation(name: object) -> None:
    with pytest.raises(ValueError, match=rf"unknown activation {name!r}: expected one of Hardtanh, .*SELU, None"):
        MLP(1, 1, activation=name)


def test_bad_hidden_sizes_and_stacks() -> None:
    with pytest.raises(ValueError, match="out_features: expected at least 1, got 0"):
        MLP(1, 1, hidden=(8, 0))
    with pytest.raises(TypeError, match="hidden: expected a sequence of sizes, got 8"):
        MLP(1, 1, hidden=8)
    with pytest.raises(ValueError, match="number of sizes in a stack: expected at least 2, got 1"):
        stack(NAC, [3])
