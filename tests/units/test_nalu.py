"""Linear layers, NAC and NALU against their equations, evaluated in NumPy; exact where weights are set by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers.seeds import seeded
from torch import Tensor, nn

from nalu import MLP, NAC, NALU, Linear

SATURATED = 40.0  # tanh and sigmoid of this are 1 in float64
BIG = 1e4  # a gate of this times an input of order one is open, or shut at minus this


def arrays(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: p.detach().numpy() for name, p in module.named_parameters()}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def inputs(*shape: int, scale: float = 4.0) -> Tensor:
    return torch.randn(*shape, generator=seeded(1), dtype=torch.float64) * scale


@pytest.mark.parametrize("sizes", [(1, 1), (3, 2), (5, 7)])
@pytest.mark.parametrize("batch", [(), (4,), (2, 4)])
def test_linear_nac_and_nalu_compute_their_equations(sizes: tuple[int, int], batch: tuple[int, ...]) -> None:
    x = inputs(*batch, sizes[0])
    z = x.numpy()

    linear = Linear(*sizes, generator=seeded()).double()
    p = arrays(linear)
    np.testing.assert_allclose(linear(x).detach(), z @ p["W"].T + p["b"], rtol=1e-12, atol=1e-12)

    nac = NAC(*sizes, generator=seeded()).double()
    p = arrays(nac)
    W = np.tanh(p["W_hat"]) * sigmoid(p["M_hat"])
    np.testing.assert_allclose(nac(x).detach(), z @ W.T, rtol=1e-12, atol=1e-12)

    nalu = NALU(*sizes, generator=seeded()).double()
    p = arrays(nalu)
    W = np.tanh(p["W_hat"]) * sigmoid(p["M_hat"])
    g = sigmoid(z @ p["G"].T)
    m = np.exp(np.log(np.abs(z) + 1e-7) @ W.T)
    np.testing.assert_allclose(nalu(x).detach(), g * (z @ W.T) + (1 - g) * m, rtol=1e-12, atol=1e-12)


def saturated(unit: type[NAC], weights: list[float], gate: float = 0.0) -> NAC:
    """A unit of one output whose weights are within float64 of these numbers in {-1, 0, 1}, or of 1/2 by its M_hat."""
    made = unit(len(weights), 1).double()
    with torch.no_grad():
        made.W_hat.copy_(torch.tensor([[0.0 if w == 0 else np.copysign(SATURATED, w) for w in weights]]))
        made.M_hat.copy_(torch.tensor([[0.0 if abs(w) == 0.5 else SATURATED for w in weights]]))
        if unit is NALU:
            made.G.fill_(gate)
    return made


POSITIVE = torch.tensor([[3.0, 5.0], [0.5, 0.25], [120.0, 7.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [([1, 1], lambda a, b: a + b), ([1, -1], lambda a, b: a - b), ([-1, 0], lambda a, b: -a)],
    ids=["a + b", "a - b", "-a"],
)
@pytest.mark.parametrize("unit", [NAC, NALU])
def test_exact_sums_and_differences(unit: type[NAC], weights: list[float], expected: Callable) -> None:
    made = saturated(unit, weights, gate=BIG)
    for x in (POSITIVE, -POSITIVE) if unit is NAC else (POSITIVE,):  # NALU's gate without a bias depends on the sign
        torch.testing.assert_close(made(x)[:, 0], expected(*x.T), rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([1, 1], lambda a, b: a * b),
        ([1, -1], lambda a, b: a / b),
        ([0.5, 0], lambda a, b: a.sqrt()),
        ([0, -1], lambda a, b: 1 / b),
    ],
    ids=["a * b", "a / b", "sqrt(a)", "1 / b"],
)
def test_exact_products_quotients_and_powers(weights: list[float], expected: Callable) -> None:
    made = saturated(NALU, weights, gate=-BIG)(POSITIVE)[:, 0]
    # Exactly the function of inputs that are larger by epsilon, and within its effect of the function itself.
    torch.testing.assert_close(made, expected(*(POSITIVE + NALU.epsilon).T), rtol=1e-13, atol=0)
    torch.testing.assert_close(made, expected(*POSITIVE.T), rtol=2 * NALU.epsilon / POSITIVE.min().item(), atol=0)


def test_exact_square_of_two_nalus() -> None:
    """No weight exceeds 1, so a square takes two: the first copies its input, the second multiplies the copies."""
    square = nn.Sequential(NALU(1, 2), saturated(NALU, [1, 1], gate=-BIG)).double()
    with torch.no_grad():
        for p, value in zip(square[0].parameters(), (SATURATED, SATURATED, BIG), strict=True):
            p.fill_(value)
    x = POSITIVE[:, :1]
    torch.testing.assert_close(square(x), (x + NALU.epsilon) ** 2, rtol=1e-13, atol=0)


@pytest.mark.parametrize("unit", [NAC, NALU])
def test_the_effective_weight_follows_its_parameters(unit: type[NAC]) -> None:
    made = unit(3, 2, generator=seeded())
    x, before, y = inputs(5, 3).float(), made.W.clone(), made(inputs(5, 3).float())
    with torch.no_grad():
        made.W_hat.neg_()
    torch.testing.assert_close(made.W, -before)
    assert not torch.equal(made(x), y)
    with torch.no_grad():
        made.M_hat.fill_(-SATURATED)
    assert made.W.abs().max() < 1e-16


def test_nalu_ties_one_weight_and_gates_by_its_input() -> None:
    nalu = NALU(2, 1, generator=seeded())
    assert [name for name, _ in nalu.named_parameters()] == ["W_hat", "M_hat", "G"]
    nalu = saturated(NALU, [1, 1], gate=BIG)
    a, b = 3.0, 5.0
    x = torch.tensor([[a, b], [-a, -b]], dtype=torch.float64)
    torch.testing.assert_close(nalu(x)[:, 0], torch.tensor([a + b, a * b], dtype=torch.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("value", [0.0, -3.0, 1e-300, 1e-38, -1e-38, 1e8, -1e8])
@pytest.mark.parametrize("unit", [Linear, NAC, NALU, MLP])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outputs_and_gradients_are_finite_where_the_equation_is(
    unit: type[nn.Module], value: float, dtype: torch.dtype
) -> None:
    made = unit(2, 2, generator=seeded()).to(dtype)
    x = torch.full((3, 2), value, dtype=dtype, requires_grad=True)
    y = made(x)
    y.sum().backward()
    assert y.isfinite().all()
    assert all(p.grad.isfinite().all() for p in [x, *made.parameters()])


def test_nalu_at_zero_and_for_negative_factors() -> None:
    product, quotient = saturated(NALU, [1, 1], gate=-BIG), saturated(NALU, [1, -1], gate=-BIG)
    e = NALU.epsilon
    x = torch.tensor([[2.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    torch.testing.assert_close(product(x)[:, 0], (x + e).prod(1), rtol=1e-12, atol=0)  # 2e-7, not 0
    torch.testing.assert_close(quotient(x)[:1, 0], torch.tensor([2 / e], dtype=torch.float64), rtol=1e-6, atol=0)
    negative = torch.tensor([[4.0, -2.0]], dtype=torch.float64)  # the sign is lost: a limit of the unit
    torch.testing.assert_close(product(negative).item(), 8.0, rtol=1e-6, atol=0)
    gate_at_zero = NALU(2, 1, generator=seeded()).double()  # half open, whatever G
    y = gate_at_zero(torch.zeros(1, 2, dtype=torch.float64))
    torch.testing.assert_close(y, 0.5 * e ** gate_at_zero.W.sum(1, keepdim=True), rtol=1e-12, atol=0)


def test_nalu_overflows_as_its_equation_does() -> None:
    huge = torch.full((1, 2), 1e30)
    assert saturated(NALU, [1, 1], gate=-BIG).float()(huge).isposinf().all()
    assert (
        saturated(NALU, [1, 1], gate=BIG).float()(huge).isnan().all()
    )  # 0 * inf: a product that is shut out still counts


@pytest.mark.parametrize(("n_in", "n_out"), [(3, 2), (2, 8), (100, 2), (100, 300), (2000, 1000)])
def test_initial_weight_of_nac_has_glorots_variance(n_in: int, n_out: int) -> None:
    units = [NAC(n_in, n_out, generator=seeded(k)) for k in range(-(-30_000 // (n_in * n_out)))]
    W = torch.cat([unit.W.detach().flatten() for unit in units])
    assert W.var().item() == pytest.approx(2 / (n_in + n_out), rel=0.03)
    assert W.mean().item() == pytest.approx(0, abs=4 * (W.var().item() / len(W)) ** 0.5)


@pytest.mark.parametrize("sizes", [(1, 1), (2, 2), (1, 3)])
def test_small_nacs_start_within_reach_of_tanh_times_sigmoid(sizes: tuple[int, int]) -> None:
    W = torch.cat([NAC(*sizes, generator=seeded(k)).W.detach().flatten() for k in range(1_500)])
    assert W.var().item() == pytest.approx(2 / 5, rel=0.06)
