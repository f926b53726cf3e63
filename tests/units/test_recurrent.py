"""Networks over sequences against torch's own, a loop in NumPy, and hand-set weights."""

from functools import partial

import numpy as np
import pytest
import torch
from helpers.seeds import seeded
from scipy.special import expit
from torch import Tensor, nn

from nalu import LSTM, NAC, NALU, RNN, LSTMLayer, Recurrent, Replicas

MAKES = {
    "NAC": partial(Recurrent, NAC, 3, 2),
    "NALU": partial(Recurrent, NALU, 3, 2),
    "RNN": partial(RNN, 3, 2, hidden=4),
    "RNN, Tanh": partial(RNN, 3, 2, activation="Tanh"),
    "LSTM": partial(LSTM, 3, 2, hidden=4),
}


def inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=seeded(9), dtype=torch.float64)


@pytest.mark.parametrize("ours, theirs", [(LSTM, nn.LSTM), (RNN, nn.RNN)])
def test_equals_torchs_own_in_values_and_gradients(ours: type, theirs: type) -> None:
    network = ours(3, 2, hidden=5, generator=seeded(1)).double()
    layer = network.layer if ours is LSTM else network
    settings = {"nonlinearity": "relu"} if theirs is nn.RNN else {}
    other = theirs(3, 5, batch_first=True, **settings).double()
    with torch.no_grad():
        for mine, its in zip((layer.W_x, layer.W_h, layer.b), other.parameters(), strict=False):
            its.copy_(mine)
        other.bias_hh_l0.zero_()
    x, z = (inputs(4, 6, 3).requires_grad_() for _ in range(2))
    states, _ = other(z)
    expected = states[:, -1] @ network.output.W.T + network.output.b
    torch.testing.assert_close(network(x), expected)
    network(x).square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(x.grad, z.grad)
    for mine, its in zip((layer.W_x, layer.W_h, layer.b), other.parameters(), strict=False):
        torch.testing.assert_close(mine.grad, its.grad)
    if ours is LSTM:
        torch.testing.assert_close(network.layer(x), states)  # at all times


def test_initialised_like_torchs_lstm() -> None:
    layer = LSTMLayer(30, 16, generator=seeded(0))
    for p in layer.parameters():
        assert 0.9 / 4 < p.abs().max() <= 1 / 4
    assert torch.equal(layer.W_x, LSTMLayer(30, 16, generator=seeded(0)).W_x)


@pytest.mark.parametrize("unit", [NAC, NALU])
def test_a_unit_as_a_cell_equals_a_loop_in_numpy(unit: type) -> None:
    network = Recurrent(unit, 3, 2, generator=seeded(2)).double()

    def evaluate(layer: nn.Module, v: np.ndarray) -> np.ndarray:
        W_hat, M_hat = (p.detach().numpy() for p in (layer.W_hat, layer.M_hat))
        W = np.tanh(W_hat) / (1 + np.exp(-M_hat))
        if unit is NAC:
            return W @ v
        g = expit(layer.G.detach().numpy() @ v)
        return g * (W @ v) + (1 - g) * np.exp(W @ np.log(np.abs(v) + 1e-7))

    x = inputs(2, 5, 3)
    for row, found in zip(x.numpy(), network(x).detach().numpy(), strict=True):
        h = np.zeros(2)
        for x_t in row:
            h = evaluate(network.cell, np.concatenate([x_t, h]))
        np.testing.assert_allclose(found, evaluate(network.output, h), rtol=1e-10)


def test_hand_set_nacs_sum_a_section_over_a_thousand_times() -> None:
    network = Recurrent(NAC, 10, 1).double()
    with torch.no_grad():
        for p in network.parameters():
            p.fill_(0)
        network.cell.W_hat[0, 2:5] = network.cell.W_hat[0, 10] = network.output.W_hat[0, 0] = 40
        network.cell.M_hat[0, :] = network.output.M_hat[0, :] = 40
    x = inputs(7, 1000, 10)
    torch.testing.assert_close(network(x), x[:, :, 2:5].sum((1, 2)).unsqueeze(1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", MAKES)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    network = MAKES[name](generator=seeded(3)).double()
    network(inputs(5, 4, 3).abs()).square().sum().backward()
    for path, p in network.named_parameters():
        assert p.grad is not None and p.grad.abs().max() > 0, path


@pytest.mark.parametrize("name", MAKES)
def test_any_leading_axes_and_any_length(name: str) -> None:
    network = MAKES[name](generator=seeded(4)).double()
    x = inputs(2, 5, 4, 3)
    assert network(x).shape == (2, 5, 2)
    torch.testing.assert_close(network(x)[1, 3], network(x[1, 3]))
    assert network(x[..., :1, :]).shape == (2, 5, 2)


@pytest.mark.parametrize("name", MAKES)
def test_stacked_equals_alone(name: str) -> None:
    networks = [MAKES[name](generator=seeded(seed)).double() for seed in range(4)]
    replicas = Replicas(networks)
    shared, own = inputs(5, 6, 3), inputs(4, 5, 6, 3)
    on_shared, on_own = replicas(shared), replicas(own, own=True)
    for r, network in enumerate(networks):
        torch.testing.assert_close(on_shared[r], network(shared).detach(), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(on_own[r], network(own[r]).detach(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", MAKES)
def test_bad_input(name: str) -> None:
    network = MAKES[name](generator=seeded(0))
    for shape in ((3,), (5, 0, 3), (5, 4, 2)):
        with pytest.raises(ValueError, match=r"expected a tensor of shape \(\.\.\., (time, )?3\), got"):
            network(torch.zeros(shape))
    with pytest.raises(TypeError, match=r"expected a floating-point tensor, got torch\.int64"):
        network(torch.zeros(5, 4, 3, dtype=torch.int64))


@pytest.mark.parametrize(
    "make", [lambda **s: Recurrent(NAC, 3, 2, **s), lambda **s: RNN(3, 2, **s), lambda **s: LSTM(3, 2, **s)]
)
def test_bad_sizes(make: object) -> None:
    with pytest.raises(ValueError, match="hidden: expected at least 1, got 0"):
        make(hidden=0)
    with pytest.raises(TypeError, match=r"hidden: expected a whole number, got 1\.5"):
        make(hidden=1.5)


def test_unknown_activation() -> None:
    with pytest.raises(ValueError, match="unknown activation 'Sine': expected one of"):
        RNN(3, 2, activation="Sine")
