"""Which way a model is trained, and what happens without a compiler."""

import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nalu import MLP, NAC, Recipe, fit
from nalu.tasks import Identity

SETTING = {"recipe": Recipe(lr=1e-2), "seeds": range(3), "steps": 5}


def tanh(generator: torch.Generator) -> nn.Module:
    return MLP(1, 1, activation="Tanh", generator=generator)


class Sorted(nn.Module):
    """Has an operation without C."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.full((3,), 2.0))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.w.sort().values[1:2]


def test_models_with_c_train_in_it_and_others_beside_them() -> None:
    run = fit({"Tanh": tanh, "Sorted": Sorted}, Identity(), **SETTING)
    assert run.engines["Tanh"] == "native" and list(run.kernels) == ["Tanh"]
    assert "vtanh(" in run.kernels["Tanh"].body and run.kernels["Tanh"].body in run.kernels["Tanh"].source
    assert run.engines["Sorted"].startswith("torch, for there is no C for aten.sort")
    assert (run.table[run.table.step == 5].groupby("model", observed=True).size() == 3).all()
    assert not torch.equal(run.replicas["Sorted"].state, torch.full((3, 3), 2.0))


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_the_environment_forces_one(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    monkeypatch.setenv("NALU_ENGINE", engine)
    assert fit({"Tanh": tanh}, Identity(), **SETTING).engines["Tanh"].startswith(engine)


def test_a_model_without_c_where_c_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NALU_ENGINE", "native")
    with pytest.raises(ValueError, match=r"NALU_ENGINE: expected models .* natively, got Sorted: .*aten\.sort"):
        fit({"Tanh": tanh, "Sorted": Sorted}, Identity(), **SETTING)


def test_an_engine_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NALU_ENGINE", "fast")
    with pytest.raises(ValueError, match="unknown NALU_ENGINE 'fast'"):
        fit({"Tanh": tanh}, Identity(), **SETTING)


@pytest.mark.parametrize(
    ("compiler", "message"), [("no-such-compiler", "no C compiler"), (f"{sys.executable} -c exit(1)", "to compile")]
)
def test_without_a_compiler_it_says_so_and_trains(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compiler: str, message: str
) -> None:
    monkeypatch.setenv("NALU_CACHE", str(tmp_path))
    monkeypatch.setenv("CC", compiler)
    with pytest.warns(UserWarning, match=f"training takes the slow way: .*{message}"):
        run = fit({"Tanh": tanh, "NAC": partial(NAC, 1, 1)}, Identity(), **SETTING)
    assert all(message in how for how in run.engines.values()) and len(run.table) == 2 * 3 * 6
    monkeypatch.setenv("CC", "zig")
    fast = fit({"Tanh": tanh}, Identity(), **SETTING)
    torch.testing.assert_close(run.replicas["Tanh"].state, fast.replicas["Tanh"].state, rtol=1e-4, atol=1e-6)
