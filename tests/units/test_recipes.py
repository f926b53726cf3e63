"""What the NALU's successors need in training besides the loss: penalties, projections and recipes."""

import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.seeds import seeded
from helpers.successors import CONSERVING, OPERATIONS, UNITS, by_hand, inputs, made
from torch.func import stack_module_state, vmap

from nalu import GNALU, INALU, NAU, NMRU, NMU, NPU, NRU, SNMU, NACMul, RealNPU
from nalu.engine.step import training_step
from nalu.recipe import Clip, Penalty, Recipe, Restart
from nalu.units.unit import Unit


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
