"""What every unit of the book keeps to: how it is made, called, looked at and trained.

A unit is in `nalu.UNITS` as soon as its file is there, and so it is here. What it computes is tested apart.
"""

import copy
import inspect
import itertools
import pickle
import re

import numpy as np
import pytest
import torch
from helpers.seeds import seeded
from helpers.successors import made
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from nalu import MLP, UNITS, Replicas
from nalu.recipe import Recipe
from nalu.tasks.single_module import OPERATIONS
from nalu.units.unit import Paper, Unit

NETWORKS = [*UNITS, MLP]
"""An MLP is made and called in the same way, but none of the rest is asked of it."""

PENALISED = [unit for unit in UNITS if hasattr(unit, "penalty")]
PROJECTED = [unit for unit in UNITS if hasattr(unit, "project_")]

each_unit = pytest.mark.parametrize("unit", UNITS)
each_network = pytest.mark.parametrize("unit", NETWORKS)
both_modes = pytest.mark.parametrize("mode", ["train", "eval"])


def inputs(network: nn.Module, *shape: int) -> Tensor:
    """Numbers with sizes from 0.3 to 3, of both signs unless the unit takes positive ones only."""
    size = 0.3 * 10 ** torch.rand(shape, generator=seeded(1), dtype=torch.float64)
    x = size * (torch.randint(2, shape, generator=seeded(2)) * 2 - 1)
    with torch.no_grad():
        return x if network(x).isfinite().all() else size


def parameters(network: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(network.parameters()).detach()


# What it says of itself.


@each_unit
def test_it_states_its_equation_and_its_paper(unit: type[Unit]) -> None:
    assert unit.equation.count("$") % 2 == 0 and "\n" not in unit.equation
    text = " ".join(vars(unit)["__doc__"].split())
    assert "Shapes: " in text and "Raises: " in text
    if unit.paper is not None:  # a linear layer is older than papers on units
        assert isinstance(unit.paper, Paper)
        first = unit.paper.authors.split()[0]
        assert re.search(rf"{first}.{{0,30}} {unit.paper.year}", text), f"no {unit.paper} in the docstring"


@each_unit
def test_it_claims_some_of_the_four_operations(unit: type[Unit]) -> None:
    assert unit.operations == tuple(each for each in OPERATIONS if each in unit.operations) != ()


@each_unit
def test_it_is_made_with_two_sizes_and_a_generator(unit: type[Unit]) -> None:
    first, second, generator = inspect.signature(unit).parameters.values()
    assert (first.name, second.name, generator.name) == ("in_features", "out_features", "generator")
    assert generator.kind is generator.KEYWORD_ONLY and generator.default is None
    assert repr(unit(3, 2)) == f"{unit.__name__}(3, 2)"


# How it starts.


@each_network
def test_initialisation_is_the_generators_alone(unit: type[nn.Module]) -> None:
    def drawn(seed: int) -> Tensor:
        return parameters(unit(3, 4, generator=seeded(seed)))

    torch.manual_seed(0)
    state, first = torch.get_rng_state(), drawn(7)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(1)
    assert torch.equal(first, drawn(7))
    assert not torch.equal(first, drawn(8))
    assert not torch.equal(*(parameters(unit(3, 4)) for _ in range(2)))


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ((0, 1), ValueError, "in_features: expected at least 1, got 0"),
        ((1, 0), ValueError, "out_features: expected at least 1, got 0"),
        ((-3, 1), ValueError, "in_features: expected at least 1, got -3"),
        ((2.0, 1), TypeError, r"in_features: expected a whole number, got 2\.0"),
        ((1, "2"), TypeError, "out_features: expected a whole number, got '2'"),
        ((True, 1), TypeError, "in_features: expected a whole number, got True"),
    ],
)
@each_network
def test_bad_sizes(unit: type[nn.Module], sizes: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        unit(*sizes)


# How it is called.


@pytest.mark.parametrize("sizes", [(1, 1), (3, 2), (4, 4), (5, 7)])
@both_modes
@each_network
def test_leading_axes_are_a_batch(unit: type[nn.Module], mode: str, sizes: tuple[int, int]) -> None:
    network = made(unit, *sizes, mode=mode)
    x = inputs(network, 2, 4, sizes[0])
    y = network(x)
    assert y.shape == (2, 4, sizes[1]) and y.dtype == torch.float64 and y.isfinite().all()
    for part in ((0,), (1, 2)):
        torch.testing.assert_close(network(x[part]), y[part], rtol=1e-13, atol=1e-14)
    assert network(x[:0]).shape == (0, 4, sizes[1])
    single = unit(*sizes, generator=seeded()).train(mode == "train")(x.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), y, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.ones(4, 2), ValueError, r"expected a tensor of shape \(\.\.\., 3\), got \(4, 2\)"),
        (torch.ones(4, 6), ValueError, r"expected a tensor of shape \(\.\.\., 3\), got \(4, 6\)"),
        (torch.ones(3, 1), ValueError, r"expected a tensor of shape \(\.\.\., 3\), got \(3, 1\)"),
        (torch.tensor(1.0), ValueError, r"expected a tensor of shape \(\.\.\., 3\), got \(\)"),
        (torch.ones(4, 3, dtype=torch.int64), TypeError, r"expected a floating-point tensor, got torch\.int64"),
        (torch.ones(4, 3, dtype=torch.bool), TypeError, r"expected a floating-point tensor, got torch\.bool"),
        ([[1.0, 2.0, 3.0]], TypeError, "expected a floating-point tensor, got list"),
        (np.ones((4, 3)), TypeError, "expected a floating-point tensor, got ndarray"),
    ],
)
@each_network
def test_bad_inputs(unit: type[nn.Module], x: object, error: type[Exception], message: str) -> None:
    name = "Linear" if unit is MLP else unit.__name__  # an MLP's first layer
    for network in (unit(3, 2), nn.Sequential(nn.Identity(), unit(3, 2))):
        with pytest.raises(error, match=f"^{name} {message}"):
            network(x)
    if isinstance(x, Tensor) and x.ndim == 2:  # also from inside a stack of replicas
        with pytest.raises(error, match=f"^{name} {message}"):
            Replicas([unit(3, 2), unit(3, 2)])(x)


@both_modes
@each_network
def test_it_survives_pickling_and_copying(unit: type[nn.Module], mode: str) -> None:
    network = made(unit, 3, 2, mode=mode)
    x = inputs(network, 5, 3)
    for other in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network)):
        assert torch.equal(other(x), network(x)) and torch.equal(parameters(other), parameters(network))


# How it is trained.


@both_modes
@each_unit
def test_every_parameter_gets_a_gradient_at_first(unit: type[Unit], mode: str) -> None:
    network = made(unit, 3, 2, mode=mode)
    network(inputs(network, 100, 3)).square().sum().backward()
    for name, p in network.named_parameters():
        assert p.grad.isfinite().all() and (p.grad != 0).all(), name


@both_modes
@each_network
def test_stacked_equals_alone(unit: type[nn.Module], mode: str) -> None:
    networks = [made(unit, 3, 2, seed=seed, mode=mode, shaken=0.3) for seed in range(3)]
    parameters, _ = stack_module_state(networks)
    shared, own = inputs(networks[0], 5, 3), inputs(networks[0], 3, 5, 3)

    def call(p: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(networks[0], p, (x,))

    replicas = Replicas(networks)
    alone = [network.train(replicas.network.training) for network in networks]
    on_shared, on_own = replicas(shared), replicas(own, own=True)
    for r, network in enumerate(alone):
        torch.testing.assert_close(on_shared[r], network(shared).detach(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(on_own[r], network(own[r]).detach(), rtol=1e-12, atol=1e-12)
        if hasattr(network, "W"):
            torch.testing.assert_close(replicas.each(lambda network: network.W)[r], network.W)
            torch.testing.assert_close(replicas[r].W, network.W)
    for network in networks:
        network.train(mode == "train")
    together = vmap(call)(parameters, own)
    for r, network in enumerate(networks):
        torch.testing.assert_close(together[r], network(own[r]), rtol=1e-12, atol=1e-12)


@each_unit
def test_its_weight_is_computed_on_every_call(unit: type[Unit]) -> None:
    network = made(unit, 3, 2, mode="train")
    if not hasattr(network, "W"):
        pytest.skip("has no W")
    before = network.W.detach().clone()
    assert network.W.requires_grad and before.isfinite().all()
    assert before.numel() >= 3 * 2 and before.shape == made(unit, 3, 2, seed=1, mode="train").W.shape
    (network.W**2).sum().backward()
    assert any((p.grad != 0).any() for p in network.parameters() if p.grad is not None)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.1)
    assert not torch.equal(network.W, before)


@pytest.mark.parametrize("operation", OPERATIONS)
@each_unit
def test_it_has_a_recipe_for_each_operation(unit: type[Unit], operation: str) -> None:
    recipe = pickle.loads(pickle.dumps(unit.recipe(operation)))  # it travels to other processes
    assert isinstance(recipe, Recipe)
    assert (recipe.penalty is None) == (unit not in PENALISED)


@pytest.mark.parametrize("unit", PENALISED)
def test_its_penalty_is_a_number_of_its_parameters(unit: type[Unit]) -> None:
    for sizes, shaken in itertools.product([(1, 1), (5, 3)], [0.0, 0.7]):
        network = made(unit, *sizes, mode="train", shaken=shaken)
        penalty = network.penalty()
        assert penalty.shape == () and penalty.isfinite()
        penalty.backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert gradients and all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("unit", PROJECTED)
def test_its_projection_is_where_it_starts_and_stays(unit: type[Unit]) -> None:
    network = made(unit, 4, 3, mode="train")
    before = parameters(network)
    network.project_()
    assert torch.equal(parameters(network), before)
    network = made(unit, 4, 3, mode="train", shaken=3.0)
    before = parameters(network)
    network.project_()
    once = parameters(network)
    network.project_()
    assert not torch.equal(once, before) and torch.equal(parameters(network), once)
    assert all(p.requires_grad for p in network.parameters())
