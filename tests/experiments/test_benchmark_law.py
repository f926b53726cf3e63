"""Units train in the benchmark by their recipes, and as if they were alone."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from helpers.plain_loop import InDouble, alone, assert_same
from helpers.single_module import Own
from torch import nn

from nalu import INALU, NAU, NPU, UNITS, Benchmark, RealNPU, fit
from nalu.experiments import benchmarking
from nalu.experiments.benchmarking import benchmark
from nalu.recipe import Clip, Penalty, Recipe
from nalu.schedules import later
from nalu.tasks import SingleModule
from nalu.tasks.single_module import ranges
from nalu.training.replicas import Build

SOME = ["[-0.2, -0.1]", "[-2, 2]", "[10, 20]"]

STEPS, BATCH, SEEDS = 130, 6, [3, 8]
"""More steps than are drawn in one block; the penalties of all recipes are on in the end."""


def some(operation: str, batch: int = 128) -> dict[str, SingleModule]:
    return {name: task for name, task in ranges(operation, batch).items() if name in SOME}


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Benchmark]:
    """The benchmark in float64, on some ranges."""
    monkeypatch.setattr(benchmarking, "ranges", some)
    monkeypatch.setattr(benchmarking, "fit", partial(fit, dtype=torch.float64))
    return partial(benchmark, seeds=SEEDS, steps=STEPS, batch=BATCH, retire=False, workers=1)


def rules(recipe: Recipe) -> dict[str, object]:
    """What a recipe prescribes, as arguments of the plain loop."""
    return {name: value for name, value in vars(recipe).items() if name == "lr" or value != vars(Recipe())[name]}


def lone(make: Build, operation: str, name: str, **rules: object) -> nn.Module:
    """The network of the second seed on a range."""
    task = some(operation)[name]
    return alone(make, InDouble(operation, task.low, task.high, batch=BATCH), SEEDS[1], STEPS, **rules)


def plain(make: Build, operation: str, **rules: object) -> dict[str, nn.Module]:
    return {name: lone(make, operation, name, **rules) for name in SOME}


def made(unit: type[nn.Module]) -> Build:
    return partial(unit, 2, 1)


def assert_alone(run: Benchmark, operation: str, networks: dict[str, nn.Module]) -> None:
    for name, network in networks.items():
        assert_same(run.replicas[operation, name][1], network)


def differ(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks are further apart than the law allows."""
    vectors = (nn.utils.parameters_to_vector(network.parameters()) for network in (one, other))
    return not torch.allclose(*vectors, rtol=1e-8, atol=1e-8, equal_nan=True)


LAWFUL = [(unit, unit.operations[-1]) for unit in UNITS] + [(NPU, "a * b"), (RealNPU, "a * b")]
"""Only these two have another recipe for another operation."""


@pytest.mark.parametrize(("unit", "operation"), LAWFUL)
def test_units_train_by_their_recipe_as_if_they_were_alone(
    unit: type[nn.Module], operation: str, train: Callable
) -> None:
    recipe = rules(unit.recipe(operation))
    networks = plain(made(unit), operation, **recipe)
    assert_alone(train(unit, operation), operation, networks)
    for rule in set(recipe) - {"lr", "restart"}:  # a restart would come later than these steps
        others = {name: value for name, value in recipe.items() if name != rule}
        changed = (differ(networks[name], lone(made(unit), operation, name, **others)) for name in SOME)
        assert any(changed), f"{rule} changes nothing here"


def test_an_inalu_starts_anew_where_its_loss_stays_high(train: Callable) -> None:
    recipe = INALU.recipe("a - b")
    sooner = replace(recipe, restart=replace(recipe.restart, after=30))
    networks = plain(made(INALU), "a - b", **rules(sooner))
    assert_alone(train(INALU, "a - b", recipe=sooner), "a - b", networks)
    late = plain(made(INALU), "a - b", **rules(recipe))
    assert [name for name in SOME if differ(networks[name], late[name])] == ["[-2, 2]", "[10, 20]"]


def test_a_recipe_that_is_given_is_used_in_the_place_of_the_units(train: Callable) -> None:
    given = Recipe(lr=5e-3, penalty=Penalty(later(0.3, 0.2), below=2.0), clip=Clip(0.5, 0.2))
    networks = plain(made(NAU), "a + b", **rules(given))
    assert_alone(train(NAU, "a + b", recipe=given), "a + b", networks)
    units = plain(made(NAU), "a + b", **rules(NAU.recipe("a + b")))
    assert all(differ(networks[name], units[name]) for name in SOME)


def test_a_unit_without_a_recipe_trains_by_adam_alone(train: Callable) -> None:
    def make(generator: torch.Generator) -> nn.Module:
        torch.manual_seed(generator.initial_seed())  # for the plain loop; the engine does so itself
        return Own(2, 1)

    assert_alone(train(Own, "a + b"), "a + b", plain(make, "a + b", lr=1e-3))
