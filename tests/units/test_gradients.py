"""Gradients of the NALU's successors, and of the product that they share."""

import pytest
import torch
from helpers.seeds import seeded
from helpers.successors import CONSERVING, MODES, inputs, made
from torch import Tensor
from torch.func import functional_call, vmap

from nalu import MCFC, NAU, NPU, SNMU, RealNPU, SignedMulMCFC
from nalu.units.unit import Unit, product


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
