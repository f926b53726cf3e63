"""The law: a replica does not know that it has neighbours.

It is compared with one network in a plain loop, `helpers/plain_loop.py`. Everything runs in float64, where another
order of summation stays near 1e-13 and any real coupling shows.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.plain_loop import InDouble, alone, assert_same
from helpers.settings import told
from torch import Tensor, nn

from nalu import ACTIVATIONS, LSTM, MLP, NAC, NALU, RNN, Linear, Recurrent, Replicas, fit, stack
from nalu.recipe import Clip, Penalty, Recipe, Restart
from nalu.schedules import cosine, later, ramp
from nalu.tasks import Identity, RecurrentFunction, StaticFunction
from nalu.tasks.functions import FUNCTIONS
from nalu.tasks.single_module import ranges
from nalu.training.replicas import Build

STEPS = 30
"""Of most trainings: where a NALU is near a pole, each ten steps make rounding errors ten times as large."""
MODELS: dict[str, Build] = {
    **{name: partial(MLP, 1, 1, activation=name) for name in ACTIVATIONS},
    **{unit.__name__: partial(stack, unit, [1, 8, 8, 1]) for unit in (Linear, NAC, NALU)},
}


@dataclass(frozen=True)
class Noise:
    """A task that draws new inputs at every step, from one end of its range to the other."""

    fresh = True
    shared = False
    batch: int = 6

    def draw(self, generator: torch.Generator, steps: int) -> tuple[Tensor, Tensor]:
        x = torch.rand(steps, self.batch, 1, generator=generator) * 4 - 2
        return x, 3 * x


class Explosive(nn.Module):
    """Diverges after a few steps if it was drawn large, and is harmless otherwise."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.rand(1, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.where(self.w > 0.5, torch.exp(1e3 * self.w), self.w)


def train(models: dict, task: object = Identity(), **settings: object) -> dict[str, Replicas]:
    return fit(models, task, **told(**{"steps": STEPS, "workers": 1, "dtype": torch.float64, **settings})).replicas


@pytest.fixture(scope="module")
def hundred() -> dict[str, Replicas]:
    return train(MODELS, seeds=range(100))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("r", [0, 41, 99])
def test_replica_of_a_hundred_equals_the_same_seed_alone(hundred: dict[str, Replicas], name: str, r: int) -> None:
    assert_same(hundred[name][r], alone(MODELS[name], Identity(), r, STEPS))


@pytest.mark.parametrize("name", ["Tanh", "NALU"])
def test_with_data_of_its_own(name: str) -> None:
    replicas = train({name: MODELS[name]}, Noise(), seeds=[3, 8, 5], steps=130, lr=1e-3)
    for r, seed in enumerate([3, 8, 5]):
        assert_same(replicas[name][r], alone(MODELS[name], Noise(), seed, 130, lr=1e-3))


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.RMSprop])
def test_with_another_optimiser(optimizer: type) -> None:
    replicas = train({"ReLU": MODELS["ReLU"]}, seeds=range(5), optimizer=optimizer, lr=1e-3)
    assert_same(replicas["ReLU"][4], alone(MODELS["ReLU"], Identity(), 4, STEPS, lr=1e-3, optimizer=optimizer))


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
def test_with_a_schedule_of_the_learning_rate(optimizer: type) -> None:
    replicas = train({"ReLU": MODELS["ReLU"]}, Noise(), seeds=range(5), optimizer=optimizer, schedule=cosine)
    assert_same(replicas["ReLU"][4], alone(MODELS["ReLU"], Noise(), 4, STEPS, optimizer=optimizer, schedule=cosine))


def test_with_clipped_gradients() -> None:
    """By each replica's own norm. SGD, for Adam hardly feels the length of a gradient."""
    settings = {"optimizer": torch.optim.SGD, "clip": 0.5}
    replicas = train({"ReLU": MODELS["ReLU"]}, seeds=range(5), **settings)
    free = train({"ReLU": MODELS["ReLU"]}, seeds=range(5), optimizer=torch.optim.SGD)
    assert not torch.allclose(replicas["ReLU"].state, free["ReLU"].state, rtol=1e-3)
    assert_same(replicas["ReLU"][4], alone(MODELS["ReLU"], Identity(), 4, STEPS, **settings))


@pytest.mark.parametrize("given", [False, True], ids=["shared", "own"])
@pytest.mark.parametrize("name", ["ReLU6", "PReLU", "None", "NAC", "NALU"])
def test_with_several_tasks(name: str, given: bool) -> None:
    """And with inputs that all replicas share, whose first layer is one product, or with inputs of their own."""
    tasks = {f: StaticFunction(f, size=7, sections=((0, 3), (2, 7)), given=given, batch=5) for f in FUNCTIONS}
    size = tasks["a + b"].in_features
    models = {n: partial(MLP, size, 1, activation=n, hidden=(2,)) for n in ("ReLU6", "PReLU", "None")} | {
        u.__name__: partial(stack, u, [size, 2, 1]) for u in (NAC, NALU)
    }
    replicas = train(models, tasks, seeds=[3, 8, 5], steps=120)
    assert list(replicas) == [(model, task) for model in models for task in tasks]
    for function, task in tasks.items():
        for r, seed in enumerate([3, 8, 5]):
            assert_same(replicas[name, function][r], alone(models[name], task, seed, 120))


@pytest.mark.parametrize("name", ["LSTM", "RNN", "NAC", "NALU"])
def test_over_time(name: str) -> None:
    task = RecurrentFunction("a * b", size=4, length=3, sections=((0, 2), (3, 4)), batch=5)
    make = {
        "LSTM": partial(LSTM, 4, 1),
        "RNN": partial(RNN, 4, 1),
        "NAC": partial(Recurrent, NAC, 4, 1),
        "NALU": partial(Recurrent, NALU, 4, 1),
    }[name]
    replicas = train({name: make}, task, seeds=[3, 8], steps=30)
    for r, seed in enumerate([3, 8]):
        assert_same(replicas[name][r], alone(make, task, seed, 30))


class Bounded(nn.Module):
    """y = W x with W in [0, 1] and a penalty for being far from both ends."""

    def __init__(self, in_features: int, out_features: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.rand(out_features, in_features, generator=generator) * 2)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.W.mT

    def penalty(self) -> Tensor:
        return torch.minimum(self.W.abs(), (1 - self.W).abs()).mean()

    @torch.no_grad()
    def project_(self) -> None:
        self.W.clamp_(0, 1)


RULES: dict[str, dict] = {
    "projected": {},
    "penalised": {"penalty": ramp(2.0, 0.2, 0.6)},
    "penalised below": {"penalty": Penalty(later(2.0, 0.2), below=1.0)},
    "clipped by value": {"clip": Clip(value=0.01), "optimizer": torch.optim.SGD},
    "with two rates": {"rates": {"1": 1e-3, "0": 3e-2}, "schedule": cosine},
    "with two rates of SGD": {"rates": {"0": 1e-3}, "optimizer": torch.optim.SGD, "penalty": ramp(2.0, 0.2, 0.6)},
    "restarted": {"restart": Restart(every=4, after=10, above=2.0)},
}


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_with_what_a_unit_needs_besides_the_loss(rules: dict) -> None:
    def make(generator: torch.Generator) -> nn.Module:
        return stack(Bounded, [1, 3, 1], generator=generator)

    replicas = train({"m": make}, Noise(), seeds=range(6), steps=60, lr=1e-2, **rules)["m"]
    plain = train({"m": make}, Noise(), seeds=range(6), steps=60, lr=1e-2)["m"]
    assert not rules or not torch.allclose(replicas.state, plain.state, rtol=1e-3)
    assert "restart" in rules or ((replicas.state >= 0) & (replicas.state <= 1)).all()
    for r in range(6):
        assert_same(replicas[r], alone(make, Noise(), r, 60, lr=1e-2, **rules))


class Normed(Bounded):
    @torch.no_grad()
    def project_(self) -> None:
        self.W.div_(self.W.norm())


def test_a_projection_may_look_at_all_numbers_of_its_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(generator: torch.Generator) -> nn.Module:
        return Normed(1, 3, generator=generator)

    class Threefold(Noise):
        def draw(self, generator: torch.Generator, steps: int) -> tuple[Tensor, Tensor]:
            x, y = super().draw(generator, steps)
            return x, y.expand(-1, -1, 3)

    for engine in ("native", "torch"):
        monkeypatch.setenv("NALU_ENGINE", engine)
        replicas = train({"m": make}, Threefold(), seeds=range(3))["m"]
        for r in range(3):
            assert_same(replicas[r], alone(make, Threefold(), r, STEPS))


def test_a_penalty_needs_a_module_that_has_one() -> None:
    with pytest.raises(ValueError, match="module that has one, got Sequential"):
        train({"m": MODELS["NAC"]}, seeds=range(2), penalty=ramp(1.0, 0.0, 1.0))


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_retiring_some_changes_nothing_for_the_rest(workers: int) -> None:
    """Seeds are retired one after the other, with clamps and restarts."""
    models = {"NAC": MODELS["NAC"], "Bounded": partial(stack, Bounded, [1, 3, 1])}
    settings = {
        "seeds": range(8), "steps": 60, "lr": 1e-2, "checkpoints": 6, "dtype": torch.float64, "workers": workers,
        "restart": Restart(every=4, after=10, above=2.0),
    }  # fmt: skip
    whole = fit(models, Noise(), **told(**settings))
    part = fit(models, Noise(), **told(**settings, retire=lambda rows: (rows.seed * 10 < rows.step).to_numpy()))
    assert len(part.table) < len(whole.table)
    rows = whole.table.merge(part.table, on=["model", "seed", "step"], suffixes=("", "_of_part"))
    assert len(rows) == len(part.table)
    np.testing.assert_allclose(rows.loss, rows.loss_of_part, rtol=1e-9)
    for name in models:
        assert_same(part.replicas[name][7], whole.replicas[name][7])
        last = part.table[(part.table.model == name) & (part.table.seed == 0)].step.max()
        assert 0 < last < 60  # retired, and left as it was then


def test_tasks_that_share_their_noise() -> None:
    tasks = ranges("a * b", batch=5)
    replicas = train({"NALU": partial(NALU, 2, 1)}, tasks, seeds=[3, 8], steps=130, lr=1e-3)
    for name, task in tasks.items():
        exact = InDouble(task.operation, task.low, task.high, batch=5)
        network = alone(partial(NALU, 2, 1), exact, 8, 130, lr=1e-3)
        assert_same(replicas["NALU", name][1], network)


def test_when_a_neighbour_diverges() -> None:
    settings = told(seeds=range(8), steps=STEPS, workers=1, dtype=torch.float64)
    result = fit({"Explosive": Explosive}, Identity(), **settings)
    last = result.table[result.table.step == STEPS].set_index("seed")
    assert 0 < last.diverged.sum() < 8
    for seed in range(8):
        network = alone(Explosive, Identity(), seed, STEPS)
        assert bool(last.diverged[seed]) is not bool(network.w.isfinite().all() and ~last.loss.isna()[seed])
        assert_same(result.replicas["Explosive"][seed], network)


def test_nan_in_one_replica_stays_there() -> None:
    names = ["Tanh", "PReLU", "ELU"]

    def poisoned(name: str, seed: int) -> Build:
        def make(generator: torch.Generator) -> nn.Module:
            network = MODELS[name](generator=generator)
            if generator.initial_seed() == seed:
                with torch.no_grad():
                    network.layers[0].b.fill_(float("nan"))
            return network

        return make

    replicas = train({name: poisoned(name, 1) for name in names}, seeds=range(3))
    for name in names:
        for seed in (0, 2):
            assert_same(replicas[name][seed], alone(MODELS[name], Identity(), seed, STEPS))
        assert not replicas[name].parameters()["layers.0.W"][1].isfinite().any()


@pytest.mark.parametrize("replicas", [1, pytest.param(7, marks=pytest.mark.slow)])
def test_whatever_the_number_of_replicas(hundred: dict[str, Replicas], replicas: int) -> None:
    few = train(MODELS, seeds=range(replicas))
    for name in MODELS:
        assert_same(few[name][replicas - 1], hundred[name][replicas - 1])


@pytest.mark.slow
def test_whatever_the_number_of_threads(hundred: dict[str, Replicas]) -> None:
    spread = train(MODELS, seeds=range(100), workers=3)
    for name in MODELS:
        for r in (0, 50, 99):
            assert_same(spread[name][r], hundred[name][r])


def test_modules_of_torch_and_of_a_reader_train_as_they_are() -> None:
    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(1, 5), nn.Parameter(torch.randn(5, 1))

        def forward(self, x: Tensor) -> Tensor:
            return torch.sin(self.a(x)) @ self.b

    def make(generator: torch.Generator) -> nn.Module:
        torch.manual_seed(generator.initial_seed())  # for the plain loop; the engine does so itself
        return Mine()

    assert_same(train({"mine": make}, seeds=range(6))["mine"][5], alone(make, Identity(), 5, STEPS))


# Without C: the same step under vmap.


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("name", ["Tanh", "PReLU", "NALU"])
def test_eagerly(name: str) -> None:
    test_with_data_of_its_own(name)
    replicas = train({name: MODELS[name]}, seeds=range(5))
    assert_same(replicas[name][4], alone(MODELS[name], Identity(), 4, STEPS))


@pytest.mark.usefixtures("eager")
def test_eagerly_with_tasks_that_share_their_noise() -> None:
    test_tasks_that_share_their_noise()


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("name", ["LSTM", "NALU"])
def test_eagerly_over_time(name: str) -> None:
    test_over_time(name)


@pytest.mark.usefixtures("eager")
def test_eagerly_with_several_tasks_on_the_same_inputs() -> None:
    test_with_several_tasks("NAC", given=False)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    "optimizer", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop, torch.optim.Adagrad]
)
def test_eagerly_with_each_optimiser(optimizer: type) -> None:
    test_with_a_schedule_of_the_learning_rate(optimizer)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_eagerly_with_what_a_unit_needs_besides_the_loss(rules: dict) -> None:
    test_with_what_a_unit_needs_besides_the_loss(rules)


@pytest.mark.usefixtures("eager")
def test_eagerly_with_clipped_gradients() -> None:
    test_with_clipped_gradients()


@pytest.mark.usefixtures("eager")
def test_eagerly_retiring_some_changes_nothing_for_the_rest() -> None:
    test_retiring_some_changes_nothing_for_the_rest(1)


@pytest.mark.usefixtures("eager")
def test_eagerly_beside_others_that_diverge() -> None:
    test_when_a_neighbour_diverges()
    test_nan_in_one_replica_stays_there()


class Summed(nn.Module):
    """Does something that no C is known for."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.randn(3, 1, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.W.T).cumsum(-1).sin().mean(-1, keepdim=True)


def test_what_has_no_c_trains_eagerly_and_says_why() -> None:
    models = {"Summed": Summed, "Tanh": MODELS["Tanh"]}
    run = fit(models, Noise(), Recipe(lr=1e-2), seeds=[3, 8], steps=STEPS, workers=1, dtype=torch.float64)
    assert run.engines["Summed"].startswith("torch, for there is no C for aten.cumsum")
    assert run.engines["Tanh"] == "native"
    for name, make in models.items():
        assert_same(run.replicas[name][1], alone(make, Noise(), 8, STEPS))


def test_both_ways_give_the_same_table(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = ranges("a * b", batch=5)
    x = torch.rand(30, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    settings = {
        "seeds": [3, 8], "steps": 20, "lr": 1e-3, "workers": 1, "dtype": torch.float64, "checkpoints": 3,
        "tests": {name: {"near": (x, x[:, :1]), "far": (9 * x, x[:, 1:])} for name in tasks},
        "measures": {"largest": lambda network: torch.stack([p.abs().amax() for p in network.parameters()]).amax()},
        "retire": lambda rows: ((rows.step > 6) & (rows.seed == 3)).to_numpy(),
    }  # fmt: skip
    tables = []
    for engine in ("native", "torch"):
        monkeypatch.setenv("NALU_ENGINE", engine)
        tables.append(fit({"NALU": partial(NALU, 2, 1)}, tasks, **told(**settings)).table)
    pd.testing.assert_frame_equal(*tables, rtol=1e-9)
