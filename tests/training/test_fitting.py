"""What training returns, records, leaves alone and refuses. That it trains rightly is the law's to test."""

import math
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from helpers.settings import told
from torch import Tensor, nn

from nalu import MLP, NAC, Fit, Linear, Replicas, fit, mean_absolute_error, mean_squared_error, stack
from nalu.tasks import Identity, StaticFunction
from nalu.tasks.identity import integers

MODELS: dict[str, Callable[[torch.Generator], nn.Module]] = {
    "Tanh": partial(MLP, 1, 1, activation="Tanh", hidden=(3,)),
    "NAC": partial(stack, NAC, [1, 2, 1]),
    "ELU": partial(MLP, 1, 1, activation="ELU", hidden=(3,)),
}
SEEDS = [7, 0, 3]
FAR = integers(-20, 20)


def train(models: object = MODELS, task: object = Identity(), **settings: object) -> Fit:
    return fit(models, task, **told(**{"seeds": SEEDS, "steps": 5, "workers": 1, **settings}))


@pytest.fixture(scope="module")
def run() -> Fit:
    return train(steps=10, checkpoints=5, tests={"far": (FAR, FAR), "doubled": (FAR, 2 * FAR)})


def test_a_row_for_each_model_seed_and_checkpoint_in_the_callers_order(run: Fit) -> None:
    table = run.table
    assert list(table.columns) == ["model", "seed", "step", "loss", "diverged", "far", "doubled"]
    expected = [(model, seed, step) for model in MODELS for seed in SEEDS for step in (0, 2, 4, 6, 8, 10)]
    assert list(zip(table.model, table.seed, table.step, strict=True)) == expected
    assert list(table.model.cat.categories) == list(MODELS) and list(table.index) == list(range(len(table)))
    assert all(pd.api.types.is_integer_dtype(table[name]) for name in ("seed", "step"))
    assert table.diverged.dtype == bool and not table.diverged.any()
    assert list(run.replicas) == list(MODELS) and all(len(part) == 3 for part in run.replicas.values())
    assert run.network_steps == 3 * 3 * 10


@pytest.mark.parametrize(
    ("steps", "checkpoints", "stops"),
    [(1, 1, [0, 1]), (7, 1, [0, 7]), (3, 10, [0, 1, 2, 3]), (10, 3, [0, 3, 7, 10]), (5, 5, [0, 1, 2, 3, 4, 5])],
)
def test_checkpoints_are_spread_from_before_the_first_step_to_the_last(
    steps: int, checkpoints: int, stops: list[int]
) -> None:
    found = train({"Tanh": MODELS["Tanh"]}, seeds=[0], steps=steps, checkpoints=checkpoints)
    assert list(found.table.step) == stops


def test_the_last_rows_are_those_of_the_returned_replicas(run: Fit) -> None:
    x = integers(-5, 5)
    last = run.table[run.table.step == 10]
    for name, replicas in run.replicas.items():
        rows = last[last.model == name]
        losses = [F.mse_loss(replicas[r](x), x).item() for r in range(3)]
        np.testing.assert_allclose(rows.loss, losses, rtol=1e-5)
        np.testing.assert_allclose(
            rows.far, [(replicas[r](FAR) - FAR).abs().mean().item() for r in range(3)], rtol=1e-5
        )
        np.testing.assert_allclose(rows.doubled, mean_absolute_error(replicas(FAR), 2 * FAR), rtol=1e-5)


def test_several_tasks_are_a_column_of_the_table_and_a_key_of_the_replicas() -> None:
    models = {
        "NAC": partial(stack, NAC, [2, 2, 1]),
        "Tanh": partial(MLP, 2, 1, activation="Tanh"),
    }
    tasks = {f: StaticFunction(f, given=True) for f in ("a * b", "a + b")}
    tests = {f: {"inside": task.interpolation(50), "outside": task.extrapolation(40)} for f, task in tasks.items()}
    found = train(models, tasks, checkpoints=1, tests=tests, error=mean_squared_error)
    table = found.table
    assert list(table.columns) == ["model", "task", "seed", "step", "loss", "diverged", "inside", "outside"]
    expected = [(m, t, seed, step) for m in models for t in tasks for seed in SEEDS for step in (0, 5)]
    assert list(zip(table.model, table.task, table.seed, table.step, strict=True)) == expected
    assert list(found.replicas) == [(m, t) for m in models for t in tasks]
    for (model, task), replicas in found.replicas.items():
        last = table[(table.model == model) & (table.task == task) & (table.step == 5)]
        for name, (x, y) in tests[task].items():
            np.testing.assert_allclose(
                last[name], [((replicas[r](x) - y) ** 2).mean().item() for r in range(3)], rtol=1e-4
            )
    first = table[table.step == 0].pivot(index=["model", "seed"], columns="task", values="inside")
    assert len(first) == 6 and not np.allclose(first["a * b"], first["a + b"])  # other targets


def test_tasks_that_do_not_fit_together() -> None:
    wide, given = StaticFunction("a + b", size=2, sections=((0, 1), (1, 2))), StaticFunction("a + b", given=True)
    models = {"NAC": partial(NAC, 2, 1)}
    with pytest.raises(
        ValueError, match="expected tasks that all share their inputs or all do not, got some of either"
    ):
        train(models, {"wide": wide, "given": given})
    with pytest.raises(ValueError, match="expected tasks with shared inputs to draw the same ones, got different"):
        train(models, {"wide": wide, "far": replace(wide, high=9.0)})
    with pytest.raises(ValueError, match="number of tasks: expected at least 1, got 0"):
        train(models, {})
    with pytest.raises(ValueError, match="expected test sets of the same names for each of the tasks a, b, got a: far"):
        train(models, {"a": given, "b": given}, tests={"a": {"far": given.extrapolation(5)}})
    with pytest.raises(TypeError, match="task: expected"):
        train(models, {"a": 3})


def test_the_first_rows_are_those_of_the_initial_networks(run: Fit) -> None:
    first = run.table[run.table.step == 0]
    for name, make in MODELS.items():
        found = first[first.model == name].far
        initial = [make(generator=torch.Generator().manual_seed(seed)) for seed in SEEDS]
        np.testing.assert_allclose(found, [(m(FAR) - FAR).abs().mean().item() for m in initial], rtol=1e-5)


def test_training_lowers_the_loss() -> None:
    table = train(steps=300, checkpoints=1).table.pivot(index=["model", "seed"], columns="step", values="loss")
    assert (table[300] < 0.5 * table[0]).all()


def test_loss_optimiser_and_precision_are_the_callers() -> None:
    sgd = partial(torch.optim.SGD, momentum=0.5)
    found = train({"Linear": partial(Linear, 1, 1)}, seeds=[4], steps=2, lr=0.1, loss=F.l1_loss,
                  optimizer=sgd, dtype=torch.float64)  # fmt: skip
    network, x = Linear(1, 1, generator=torch.Generator().manual_seed(4)).double(), integers(-5, 5).double()
    update = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.5)
    for _ in range(2):
        update.zero_grad()
        (network(x) - x).abs().mean().backward()
        update.step()
    assert found.replicas["Linear"].state.dtype == torch.float64
    expected = nn.utils.parameters_to_vector(network.parameters()).detach()
    torch.testing.assert_close(found.replicas["Linear"].state[:, 0], expected, rtol=1e-12, atol=1e-12)
    assert found.table.loss.iloc[-1] == pytest.approx((network(x) - x).abs().mean().item(), rel=1e-12)


class Fragile(nn.Module):
    """Overflows where its seed is even."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(3e38 if generator.initial_seed() % 2 == 0 else 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.w * x


def test_divergence_is_recorded_for_the_replica_that_diverges() -> None:
    far = (integers(0, 2), integers(0, 2))
    table = train({"Fragile": Fragile}, seeds=[1, 2, 3], checkpoints=1, tests={"far": far}).table
    assert list(table.diverged) == [False, False, True, True, False, False]  # the loss overflows before the first step
    assert table.far[table.seed != 2].map(math.isfinite).all() and not math.isfinite(table.far[3])


def around(kind: type[nn.Module], *sizes: int, generator: torch.Generator) -> nn.Module:
    """A layer between two linear ones."""
    return nn.Sequential(Linear(1, 3, generator=generator), kind(*sizes), Linear(3, 1, generator=generator))


def test_models_train_beside_each_other() -> None:
    models = {
        "wide": partial(around, nn.PReLU, 3),
        "plain": partial(around, nn.Tanh),
        "narrow": partial(around, nn.PReLU),
        "PReLU alone": nn.PReLU,
        "Tanh and scale": lambda: nn.Sequential(nn.Tanh(), nn.PReLU()),
    }
    together = train(models)
    for name in models:
        alone = train({name: models[name]})
        torch.testing.assert_close(together.replicas[name].state.nan_to_num()[: alone.replicas[name].state.shape[0]],
                                   alone.replicas[name].state, rtol=1e-5, atol=1e-6)  # fmt: skip
        assert repr(together.replicas[name][0]) == repr(alone.replicas[name][0])


# What must stay as it was.


def test_threads_random_numbers_and_the_callers_networks_stay_as_they_were() -> None:
    mine = Linear(1, 1)
    held = {name: p.detach().clone() for name, p in mine.named_parameters()}
    threads, state = torch.get_num_threads(), (torch.get_rng_state(), np.random.get_state()[1].copy())
    torch.set_num_threads(2)
    try:
        found = train({"mine": lambda: mine}, seeds=[0, 1])
        assert torch.get_num_threads() == 2
        with pytest.raises(ValueError):
            train({"mine": lambda: Linear(1, 2)})
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), state[0]) and (np.random.get_state()[1] == state[1]).all()
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    assert all(torch.equal(p, held[name]) and p.requires_grad and p.grad is None for name, p in mine.named_parameters())
    assert not torch.equal(found.replicas["mine"][0].W, mine.W)  # though it did train


def test_the_global_seed_does_not_matter_even_to_modules_of_torch() -> None:
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(train({"torch": partial(nn.Linear, 1, 1)}).replicas["torch"].state)
    assert torch.equal(*states)
    assert states[0].unique().numel() == states[0].numel()  # yet each replica has numbers of its own


def test_returned_replicas_can_be_trained_on() -> None:
    network = train().replicas["Tanh"][0]
    network(integers(-5, 5)).square().mean().backward()  # inference tensors would refuse
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.slow
def test_more_threads_give_the_same_run(run: Fit) -> None:
    spread = train(steps=10, checkpoints=5, tests={"far": (FAR, FAR), "doubled": (FAR, 2 * FAR)}, workers=2)
    pd.testing.assert_frame_equal(spread.table, run.table, rtol=1e-4)
    for name, replicas in run.replicas.items():
        torch.testing.assert_close(spread.replicas[name].state, replicas.state, rtol=1e-4, atol=1e-6)


class Broken(nn.Module):
    """Raises in training, wherever it runs; its error has a message to be recognised by."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        raise ZeroDivisionError("broken on purpose")


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_error_in_training_reaches_the_caller(workers: int) -> None:
    with pytest.raises(ZeroDivisionError, match="broken on purpose"):
        train({"Broken": Broken, "Tanh": MODELS["Tanh"]}, workers=workers)


@pytest.mark.parametrize(("value", "shown"), [(None, True), ("0", True), ("", True), ("1", False)])
def test_progress_is_shown_unless_it_is_silenced(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture, value: str | None, shown: bool
) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    if value is not None:
        monkeypatch.setenv("TQDM_DISABLE", value)
    threads = threading.active_count()
    train({"Tanh": MODELS["Tanh"]}, seeds=[0], steps=1)
    out, err = capfd.readouterr()
    assert out == "" and (("network steps" in err) if shown else err == "")
    assert threading.active_count() <= threads + 1  # tqdm keeps a thread of its own, the engine none


# Bad input names what was expected and what came.


class Task:
    """Targets of a shape to choose, and inputs of a kind to choose."""

    fresh = False
    shared = False

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def draw(self, generator: torch.Generator, steps: int) -> tuple[Tensor, Tensor]:
        return self.x.expand(steps, *self.x.shape), self.y.expand(steps, *self.y.shape)


ONE = torch.ones(4, 1)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"seeds": []}, ValueError, "number of replicas: expected at least 1, got 0"),
        ({"seeds": range(0)}, ValueError, "number of replicas: expected at least 1, got 0"),
        ({"seeds": [3, 1, 3, 2, 1]}, ValueError, "seeds: expected each once, got 1, 3 more than once"),
        ({"seeds": [0, -1]}, ValueError, "seed: expected at least 0, got -1"),
        ({"seeds": [0.5]}, TypeError, r"seed: expected a whole number, got 0\.5"),
        ({"seeds": 5}, TypeError, "seeds: expected some whole numbers, one for each replica, got 5"),
        ({"seeds": "abc"}, TypeError, "seed: expected a whole number, got 'a'"),
        ({"models": {}}, ValueError, "number of models: expected at least 1, got 0"),
        ({"steps": 0}, ValueError, "steps: expected at least 1, got 0"),
        ({"steps": 1e3}, TypeError, r"steps: expected a whole number, got 1000\.0"),
        ({"checkpoints": 0}, ValueError, "checkpoints: expected at least 1, got 0"),
        ({"workers": 0}, ValueError, "workers: expected at least 1, got 0"),
        ({"workers": -1}, ValueError, "workers: expected at least 1, got -1"),
        ({"lr": 0}, ValueError, "learning rate: expected a positive, finite number, got 0"),
        ({"lr": -0.1}, ValueError, r"learning rate: expected a positive, finite number, got -0\.1"),
        ({"lr": math.nan}, ValueError, "learning rate: expected a positive, finite number, got nan"),
        ({"lr": math.inf}, ValueError, "learning rate: expected a positive, finite number, got inf"),
        ({"lr": "1e-2"}, TypeError, "learning rate: expected a positive number, got '1e-2'"),
        ({"lr": True}, TypeError, "learning rate: expected a positive number, got True"),
        ({"lr": None}, TypeError, "learning rate: expected a positive number, got None"),
        ({"optimizer": torch.optim.LBFGS}, ValueError, r"optimizer among \['Adam', .*LBFGS"),
        ({"optimizer": partial(torch.optim.LBFGS)}, ValueError, r"optimizer among \['Adam', .*LBFGS"),
        ({"optimizer": torch.optim}, TypeError, r"optimizer: expected one of torch\.optim, got <module"),
        ({"dtype": torch.int64}, ValueError, r"expected a floating-point dtype, got torch\.int64"),
        ({"tests": {"loss": (ONE, ONE)}}, ValueError, "names of their own, got loss"),
        ({"tests": {"far": (ONE, ONE[:, 0])}}, ValueError, r"\(4,\).*, got \(2, 4, 1\)"),
        ({"tests": {"far": (ONE.expand(4, 2), ONE)}}, ValueError, r"\(\.\.\., 1\), got \(4, 2\)"),
        ({"loss": lambda y, t: (y - t) ** 2}, ValueError, r"a loss that is a scalar .*got one of shape \(11, 1\)"),
        ({"task": Task(ONE, ONE[:, 0])}, ValueError, r"shape of the targets, \(4,\), got \(4, 1\)"),
        ({"task": Task(ONE, ONE.expand(4, 2))}, ValueError, r"shape of the targets, \(4, 2\), got \(4, 1\)"),
        ({"task": Task(ONE.expand(4, 3), ONE)}, ValueError, r"\(\.\.\., 1\), got \(4, 3\)"),
        ({"models": {"2": lambda: Linear(1, 2)}}, ValueError, r"shape of the targets, \(11, 1\), got \(11, 2\)"),
        ({"models": {"x": lambda: MLP(1, 1, activation="x")}}, ValueError, "unknown activation 'x': expected one of"),
        ({"models": {"it": lambda: Linear(1, 1).requires_grad_(False)}}, ValueError, "got frozen W, b in it"),
        ({"models": {"it": lambda: nn.BatchNorm1d(1)}}, ValueError, "without buffers, got running_mean"),
        ({"models": {"it": lambda: nn.Identity()}}, ValueError, "networks with parameters, got Identity"),
        ({"models": {"it": Linear(1, 1)}}, TypeError, r"function that makes it, got Linear"),
        ({"models": [MODELS["NAC"]]}, TypeError, "models: expected functions by name, got list"),
        ({"models": {"it": lambda: 3}}, TypeError, "function that makes it as a module, got 3 from it"),
    ],
)
def test_bad_settings(settings: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        train(**{"models": {"NAC": MODELS["NAC"]}, **settings})


def test_numpys_numbers_are_numbers() -> None:
    found = train({"NAC": MODELS["NAC"]}, seeds=np.arange(2), steps=np.int64(2), lr=np.float32(0.01))
    assert len(found.table) == 6 and isinstance(found.replicas["NAC"], Replicas)
