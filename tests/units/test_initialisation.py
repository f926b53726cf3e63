"""From which distributions the parameters of the NALU's successors are drawn."""

import math

import pytest
import torch
from helpers.seeds import seeded
from helpers.successors import CONSERVING
from torch import Tensor

import nalu
from nalu import GNALU, INALU, MCFC, NAU, NMRU, NMU, NPU, NRU, SNMU, MulMCFC, NACMul, RealNPU, SignedMulMCFC
from nalu.units.unit import Unit


def pooled(unit: type[Unit], name: str, n_in: int, n_out: int) -> Tensor:
    units = [unit(n_in, n_out, generator=seeded(k)) for k in range(-(-3_000 // (n_in * n_out)))]
    return torch.cat([unit.get_parameter(name).detach().flatten() for unit in units])


@pytest.mark.parametrize(("n_in", "n_out"), [(2, 1), (3, 4), (100, 2)])
def test_initial_distributions(n_in: int, n_out: int) -> None:
    glorot, nac = math.sqrt(6 / (n_in + n_out)), nalu.units.nac.initial_range(n_in, n_out)
    for unit, name, low, high in [
        (NACMul, "W_hat", -nac, nac),
        (NACMul, "M_hat", -nac, nac),
        (GNALU, "W_hat", -nac, nac),
        (GNALU, "M_hat", -nac, nac),
        (GNALU, "G", -glorot, glorot),
        (NAU, "W", -min(0.5, glorot), min(0.5, glorot)),
        (NRU, "W", -min(0.5, glorot), min(0.5, glorot)),
        (NMU, "W", 0.25, 0.75),
        (SNMU, "W", 0.25, 0.75),
        (NMRU, "W", 0.25, 0.75),
        (RealNPU, "W_r", -glorot, glorot),
        (NPU, "W_r", -glorot, glorot),
    ]:
        values = (pooled(unit, name, n_in, n_out) - low) / (high - low)
        assert values.min() >= 0 and values.max() <= 1, (unit, name)
        assert values.mean().item() == pytest.approx(1 / 2, abs=0.03)
        assert values.std().item() == pytest.approx(12**-0.5, rel=0.05)
    for name, mean in {"W_a_hat": 0.88, "M_a_hat": 0.5, "W_m_hat": 0.88, "M_m_hat": 0.5}.items():
        values = pooled(INALU, name, n_in, n_out)
        assert values.mean().item() == pytest.approx(mean, abs=0.02)
        assert values.std().item() == pytest.approx(0.2, rel=0.06)
    gates = torch.cat([INALU(2, 10, generator=seeded(k)).g.detach() for k in range(100)])
    assert gates.mean().abs() < 0.03 and gates.std().item() == pytest.approx(0.2, rel=0.1)


def test_parameters_that_start_at_a_value() -> None:
    for unit, name, value in [(RealNPU, "g", 0.5), (NPU, "g", 0.5), (NPU, "W_i", 0), (SignedMulMCFC, "g", 0.5),
                              (MulMCFC, "b", 0), (MCFC, "b_o", 0)]:  # fmt: skip
        assert (unit(3, 2).get_parameter(name) == value).all()


@pytest.mark.parametrize("unit", CONSERVING)
def test_mass_conserving_units_start_orthogonal(unit: type[MCFC]) -> None:
    for n_in, n_out in ((2, 1), (3, 5), (5, 3)):
        network = unit(n_in, n_out, generator=seeded())
        R = network.R.detach() if n_in > n_out else network.R.detach().T
        torch.testing.assert_close(R @ R.T, torch.eye(min(n_in, n_out)))
        torch.testing.assert_close(network.W_o.norm().item(), 1.0)
        torch.testing.assert_close(network.shares.sum(0), torch.ones(n_in))
    assert torch.equal(unit(3, 3).R, torch.eye(3))
    assert {unit(2, 1, generator=seeded(k)).W_o.item() for k in range(10)} == {-1.0, 1.0}
