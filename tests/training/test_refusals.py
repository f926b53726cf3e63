"""What cannot be trained is refused before anything is, by `fit` and `benchmark` alike, and named."""

import itertools
import math
import random
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.settings import told
from torch import Tensor, nn

from nalu import NAU, SNMU, UNITS, Fit, Linear, Watch, benchmark, fit, stack
from nalu.recipe import Clip, Penalty, Recipe, Restart
from nalu.schedules import cosine
from nalu.tasks import Identity
from nalu.tasks.single_module import ranges
from nalu.training import fitting, refusals
from nalu.training.replicas import Replicas

Forward = Callable[["Own", Tensor], Tensor]


class Own(nn.Module):
    """A reader's module: y = w x, and whatever else a test makes of it."""

    def __init__(self, in_features: int = 1, out_features: int = 1) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.rand(out_features, in_features))
        self.tau, self.calls, self.log, self.recent = 1.0, 0, [], deque([1.0, 2.0], maxlen=2)
        self.scale, self.table, self.held = torch.ones(1), np.ones(2), {"inner": [torch.zeros(1)]}

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.w)


def of(forward: Forward | None = None, penalty: Callable[[Own], Tensor] | None = None) -> type[Own]:
    """A reader's class."""
    methods = {} if forward is None else {"forward": forward}
    return type("Mine", (Own,), methods | ({} if penalty is None else {"penalty": penalty}))


def changing(change: Callable[[Own], object]) -> type[Own]:
    """A class whose forward changes something."""

    def forward(self: Own, x: Tensor) -> Tensor:
        change(self)
        return F.linear(x, self.w)

    return of(forward)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing gets as far as a training step."""

    def refuse(*arguments: object, **settings: object) -> None:
        pytest.fail("something was trained")

    monkeypatch.setattr(fitting.loop, "train", refuse)
    yield


def train(unit: Callable[..., nn.Module] = Own, sizes: tuple[int, ...] = (1, 1), **settings: object) -> Fit:
    settings = {"task": Identity(), "seeds": [0, 1], "steps": 3, "lr": 0.1, "workers": 1, **settings}
    return fit({"mine": lambda: unit(*sizes)}, **told(**settings))


def refused(unit: type[nn.Module], message: str, error: type[Exception] = ValueError, **settings: object) -> None:
    """By fit, and by the benchmark, each with its name for the model."""
    with pytest.raises(error, match=f"^mine: {message}"):
        train(unit, **settings)
    recipe = told(**settings)["recipe"]
    with pytest.raises(error, match=f"^{unit.__name__}: {message}"):
        benchmark(unit, "a + b", seeds=[0], steps=3, recipe=recipe, workers=1)


# State.


class Counter:
    def __init__(self) -> None:
        self.n = 0


STATES: dict[str, tuple[Callable[[Own], object], str]] = {
    "a number": (lambda self: setattr(self, "tau", self.tau * 0.99), "tau in .* changed"),
    "a count": (lambda self: setattr(self, "calls", self.calls + 1), "calls in .* changed"),
    "a count in training": (lambda self: setattr(self, "calls", self.calls + self.training), "calls in .* changed"),
    "a count in evaluation": (lambda self: setattr(self, "calls", self.calls - self.training + 1), "calls in "),
    "a tensor in place": (lambda self: self.scale.mul_(0.9), "scale in .* changed"),
    "a tensor to NaN": (lambda self: self.scale.fill_(math.nan), "scale in .* changed"),
    "a tensor in a list in a dictionary": (lambda self: self.held["inner"][0].add_(1), "held in .* changed"),
    "an array in place": (lambda self: self.table.__imul__(2), "table in .* changed"),
    "a list": (lambda self: self.log.append(3), "log in .* changed"),
    "a queue": (lambda self: self.recent.append(3.0), "recent in .* changed"),
    "an attribute more": (lambda self: setattr(self, "last", 3), "last in .* added"),
    "an attribute less": (lambda self: vars(self).pop("log", None), "log in .* removed"),
    "a parameter": (lambda self: self.w.mul_(0.9), "w in .* changed"),
    "a parameter behind its back": (lambda self: self.w.data.mul_(0.9), "w in .* changed"),
    "a module more": (lambda self: setattr(self, "more", nn.Tanh()), "more in .* added"),
    "a buffer": (lambda self: self.register_buffer("mean", torch.ones(1)), "mean in .* added"),
    "the mode": (lambda self: self.train(not self.training), "training in .* changed"),
}


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("name", STATES)
def test_state_that_forward_changes(name: str) -> None:
    change, found = STATES[name]
    refused(changing(change), f"expected forward to change neither the network nor its input, got {found}")


@pytest.mark.usefixtures("untrained")
def test_state_in_an_object_and_in_a_module_inside() -> None:
    class Counting(Own):
        def __init__(self, *sizes: int) -> None:
            super().__init__(*sizes)
            self.counter = Counter()

        def forward(self, x: Tensor) -> Tensor:
            self.counter.n += 1
            return super().forward(x)

    refused(Counting, r"expected forward to .* got counter in the network \(Counting\) changed; compute it anew in eac")
    with pytest.raises(ValueError, match=r"^mine: .* got counter in 1\.0 \(Counting\) changed"):
        train(lambda: nn.Sequential(Linear(1, 1), nn.Sequential(Counting(1, 1))), ())


def count(self: Own) -> Tensor:
    self.calls += 1
    return self.w.sum()


def test_state_that_the_penalty_changes_where_there_is_one() -> None:
    with pytest.raises(ValueError, match=r"^mine: expected penalty to .* got calls in the network \(Mine\) changed"):
        train(of(penalty=count), penalty=lambda done: 0.1)
    with pytest.raises(ValueError, match=r"^Mine: expected penalty to .* got calls in the network \(Mine\) changed"):
        benchmark(of(penalty=count), "a + b", seeds=[0], steps=3, recipe=Recipe(penalty=Penalty(cosine)), workers=1)
    train(of(penalty=count))  # which is never called


@pytest.mark.usefixtures("untrained")
def test_an_input_that_forward_changes() -> None:
    message = "expected forward to change neither the network nor its input, got the input changed; work on a copy"
    refused(of(lambda self, x: F.linear(x.mul_(0.9), self.w)), message)
    with pytest.raises(ValueError, match=f"^mine: {message} of it; modules of torch do with inplace=False"):
        train(lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(1, 1)), ())


def test_the_readers_network_stays_as_it_was() -> None:
    mine = changing(lambda self: (self.w.data.mul_(0.9), self.log.append(1)))(1, 1)
    w = mine.w.detach().clone()
    with pytest.raises(ValueError, match="changed"):
        train(lambda: mine, ())
    assert torch.equal(mine.w, w) and mine.log == [] and mine.w.requires_grad and mine.training
    assert not mine._forward_hooks and not mine._forward_pre_hooks


class Silent:
    """Fails at whatever is done with it."""

    __slots__ = ()

    def __repr__(self) -> str:
        raise RuntimeError("looked at")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    __hash__ = None


def test_what_cannot_be_looked_into_is_no_change() -> None:
    circle: list[object] = [1, math.nan]
    circle.append(circle)
    odd = {
        "locked": threading.Lock(), "silent": Silent(), "circle": circle, "generator": torch.Generator(),
        "function": lambda x: x, "empty": torch.ones(0), "half": torch.ones(2, dtype=torch.bfloat16), "none": None,
        "sparse": torch.eye(2).to_sparse(), "numbers": np.random.default_rng(0), "type": Own, "module": math,
        "unregistered": [nn.Linear(1, 1)], "strange": {torch.ones(1): {1, 2}, (1, math.nan): torch.tensor(math.nan)},
    }  # fmt: skip
    network = Own()
    vars(network).update(odd)
    x, replicas = torch.ones(2, 1), Replicas([Own()])
    before = refusals._state(network, x)
    network(x)
    refusals._unchanged(before, refusals._state(network, x), "expected nothing")
    network.unregistered[0].weight.data.add_(1)
    with pytest.raises(ValueError, match="unregistered in the network"):
        refusals._unchanged(before, refusals._state(network, x), "expected nothing")
    refusals.trainable(replicas, x, "mine")


# Random numbers.


def twice(self: Own) -> Tensor:
    return self.w.sum() * torch.rand(())


RANDOM: dict[str, tuple[Forward, str]] = {
    "rand": (lambda self, x: F.linear(x, self.w) * torch.rand(1), r"rand\(\)"),
    "rand_like": (lambda self, x: F.linear(x * torch.rand_like(x), self.w), r"rand_like\(\)"),
    "bernoulli": (lambda self, x: F.linear(torch.bernoulli(x.sigmoid()), self.w), r"bernoulli\(\)"),
    "dropout": (lambda self, x: F.dropout(F.linear(x, self.w), 0.5, self.training), r"dropout\(\)"),
    "a method": (lambda self, x: F.linear(x, self.w) + torch.empty(1).normal_(), r"normal\(\)"),
    "its own": (lambda self, x: F.linear(x, self.w) + torch.randn(1, generator=torch.Generator()), r"randn\(\)"),
    "in evaluation": (lambda self, x: F.dropout(F.linear(x, self.w), 0.5, not self.training), r"dropout\(\)"),
}


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("name", RANDOM)
def test_random_numbers_of_torch(name: str) -> None:
    forward, found = RANDOM[name]
    refused(of(forward), rf"expected .* draws no random numbers, got: {found} in the network \(Mine\); leave it out")


@pytest.mark.usefixtures("untrained")
def test_dropout_is_named_by_its_path() -> None:
    with pytest.raises(ValueError, match=r"^mine: .* got: dropout\(\) in 1\.noise \(Dropout\)"):
        train(lambda: nn.Sequential(Linear(1, 1), Holding(nn.Dropout())), ())


class Holding(nn.Module):
    def __init__(self, noise: nn.Module) -> None:
        super().__init__()
        self.noise = noise

    def forward(self, x: Tensor) -> Tensor:
        return self.noise(x)


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("draw", [np.random.rand, random.random, np.random.default_rng(0).random])
@pytest.mark.parametrize("mode", [True, False])
def test_random_numbers_of_others(draw: Callable[[], float], mode: bool) -> None:
    def forward(self: Own, x: Tensor) -> Tensor:
        return F.linear(x, self.w) * (1 + draw() if self.training == mode else 1)

    refused(of(forward), "expected the same output for the same input, .* no random numbers, also none of NumPy or")


@pytest.mark.usefixtures("untrained")
def test_state_outside_the_network() -> None:
    calls = itertools.count()
    refused(of(lambda self, x: F.linear(x, self.w) * next(calls)), "expected the same output .* no state outside")


def test_random_numbers_in_the_penalty() -> None:
    with pytest.raises(ValueError, match=r"^mine: .* got: rand\(\) in penalty of 1 \(Mine\)"):
        train(lambda: nn.Sequential(Linear(1, 1), of(penalty=twice)(1, 1)), (), penalty=cosine)


# Numbers read.

LOOKING: dict[str, tuple[Forward, str]] = {
    "a branch": (lambda self, x: F.linear(x if x.sum() > 0 else -x, self.w), "a branch on a number"),
    "a branch on a weight": (lambda self, x: F.linear(x if self.w.sum() > 0 else -x, self.w), "a branch on a number"),
    "item": (lambda self, x: F.linear(x, self.w) * x.sum().item(), r"item\(\)"),
    "float": (lambda self, x: F.linear(x, self.w) * float(x.sum()), r"float\(\)"),
    "int": (lambda self, x: F.linear(x, self.w) ** int(x.sum()), r"int\(\)"),
    "tolist": (lambda self, x: F.linear(x, self.w) * x.tolist()[0][0], r"tolist\(\)"),
    "numpy": (lambda self, x: F.linear(x, self.w) * float(x.numpy().sum()), r"numpy\(\)"),
    "numpy of a weight": (lambda self, x: x.sum(-1, True) * float(self.w.detach().numpy().sum()), r"numpy\(\)"),
    "asarray": (lambda self, x: F.linear(x, self.w) * float(np.asarray(x).sum()), r"array\(\)"),
    "a mask": (lambda self, x: F.linear(x, self.w) * x[x > 0].sum(), r"getitem\(\)"),
    "a branch in evaluation": (
        lambda self, x: F.linear(x if self.training or x.sum() > 0 else -x, self.w),
        "a branch on a number",
    ),
}


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("name", LOOKING)
def test_what_reads_numbers(name: str) -> None:
    forward, found = LOOKING[name]
    refused(
        of(forward), rf"expected .* takes no branch on its numbers, got: {found} in the network \(Mine\); use torch"
    )


def test_numbers_read_in_the_penalty() -> None:
    def penalty(self: Own) -> Tensor:
        return self.w.sum() if self.w.sum() > 0 else -self.w.sum()

    with pytest.raises(ValueError, match=r"^mine: .* got: a branch on a number in penalty of the network \(Mine\)"):
        train(of(penalty=penalty), penalty=cosine)


@pytest.mark.usefixtures("untrained")
def test_what_vmap_does_not_know() -> None:
    refused(
        of(lambda self, x: F.rrelu(F.linear(x, self.w), training=True)),
        r"expected .* is made of operations that vmap knows, got: rrelu\(\) in the network \(Mine\): vmap: ",
    )


def test_a_branch_on_a_number_that_never_changes_trains_eagerly() -> None:
    unit = of(lambda self, x: F.linear(x if self.scale.sum() > 0 else -x, self.w))
    run = train(unit)
    assert run.engines["mine"].startswith("torch, for its step cannot be recorded")
    assert torch.allclose(run.replicas["mine"].state, train(Own).replicas["mine"].state)


def test_a_projection_that_reads_numbers() -> None:
    class Mine(Own):
        def project_(self) -> None:
            if self.w.sum() > 0:
                self.w.mul_(0.5)

    with pytest.raises(ValueError, match=r"^mine: expected a unit that can be .* project_\(\) are made of operations"):
        train(Mine)


def test_an_optimiser_with_an_option_that_is_not_known() -> None:
    with pytest.raises(ValueError, match="expected an optimizer with options that are known, got Adam with amsgrad"):
        train(optimizer=partial(torch.optim.Adam, amsgrad=True))


# What is no such thing.

ALLOWED: dict[str, Forward] = {
    "a number that never changes": lambda self, x: F.linear(x, self.w) * torch.tensor(2.0).item(),
    "an attribute set to what it was": lambda self, x: F.linear(x, self.w) * (setattr(self, "tau", 1.0) or self.tau),
    "no dropout": lambda self, x: F.dropout(F.linear(x, self.w), 0.0),
    "a choice of numbers": lambda self, x: torch.where(x > 0, F.linear(x, self.w), x),
    "noise of the input": lambda self, x: F.linear(x + 0.1 * (1e3 * x).sin(), self.w),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_can_be_trained(name: str) -> None:
    assert not train(of(ALLOWED[name])).table.diverged.any()


def test_the_noise_of_the_snmu_can_be_trained() -> None:
    assert not train(SNMU).table.diverged.any()


def test_nothing_is_drawn_from_global_generators() -> None:
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    train(Linear)
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[2]
    assert (np.random.get_state()[1] == states[1]).all()


# Modules and dtypes.


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("unit", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_modules_of_torch(unit: type[nn.Module]) -> None:
    way = "which cannot; use nalu.LSTM, nalu.RNN or nalu.Recurrent"
    refused(unit, rf"expected modules that can be .* got the network \({unit.__name__}\), {way}")
    with pytest.raises(ValueError, match=rf"^mine: .* got 1 \({unit.__name__}\), {way}"):
        train(lambda: nn.Sequential(nn.Linear(1, 1), unit(1, 1)), ())


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64, torch.int64])
def test_parameters_of_other_dtypes(dtype: torch.dtype) -> None:
    class Other(Own):
        def __init__(self, *sizes: int) -> None:
            super().__init__(*sizes)
            self.w = nn.Parameter(torch.ones(1, sizes[0], dtype=dtype), requires_grad=dtype != torch.int64)

    way = r"use two real ones" if dtype.is_complex else r"convert the network with \.float\(\)"
    refused(
        Other,
        rf"expected parameters of torch.float32 or torch.float64, got w in the network \(Other\) of {dtype}; {way}",
    )


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("make", [lambda self: threading.Lock(), lambda self: [2 * self.w]], ids=["lock", "computed"])
def test_networks_that_cannot_be_copied(make: Callable[[Own], object]) -> None:
    class Holder(Own):
        def __init__(self, *sizes: int) -> None:
            super().__init__(*sizes)
            self.extra = make(self)

    refused(Holder, r"expected a network that can be copied, got extra in the network \(Holder\), which", TypeError)


@pytest.mark.usefixtures("untrained")
def test_parameters_without_a_shape() -> None:
    with pytest.raises(
        ValueError, match=r"^mine: .* got weight in the network \(LazyLinear\) without; make it with all"
    ):
        train(nn.LazyLinear, (1,))


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_training_in_half_precision(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=rf"^dtype: expected torch.float32 or torch.float64, got {dtype}$"):
        train(dtype=dtype)


@pytest.mark.usefixtures("untrained")
def test_outputs_that_are_no_tensor() -> None:
    with pytest.raises(TypeError, match=r"^mine: expected forward to return a tensor, got tuple$"):
        train(of(lambda self, x: (F.linear(x, self.w),)))


# Schedules.

SCHEDULES: list[tuple[Callable[[float], object], type[Exception], str]] = [
    (lambda done: math.nan, ValueError, "got nan at 0, after 0 of 200 steps"),
    (lambda done: math.inf if done >= 0.5 else 1, ValueError, "got inf at 0.5, after 100 of 200 steps"),
    (lambda done: 0.99 - done, ValueError, "got -0.005.* at 0.995, after 199 of 200 steps"),
    (lambda done: None, TypeError, "got None at 0, after 0 of 200 steps"),
    (lambda done: "1", TypeError, "got '1' at 0, after 0 of 200 steps"),
    (lambda done: torch.ones(2) if done else 1.0, TypeError, r"got tensor\(\[1., 1.\]\) at 0.005, after 1 of 200"),
    (lambda done: 1j, TypeError, "got 1j at 0, after 0 of 200 steps"),
]


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("what", ["schedule", "penalty"])
@pytest.mark.parametrize(("rule", "error", "message"), SCHEDULES)
def test_schedules(what: str, rule: Callable[[float], object], error: type[Exception], message: str) -> None:
    expected = rf"{what}: expected a finite number of at least 0 at every share of the steps, {message}"
    with pytest.raises(error, match=f"^{expected}"):
        train(steps=200, **{what: rule})
    if what == "penalty":
        with pytest.raises(error, match=f"^NAU: {expected}"):
            benchmark(NAU, ["a + b", "a - b"], seeds=[0], steps=200, recipe=Recipe(penalty=Penalty(rule)), workers=1)


def test_a_schedule_is_a_function() -> None:
    with pytest.raises(
        TypeError, match=r"^schedule: expected a function of the share of the steps that is done, got 0\.1"
    ):
        train(schedule=0.1)


RECIPES: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: Recipe(lr=0), ValueError, "learning rate: expected a positive, finite number, got 0"),
    (lambda: Recipe(lr="fast"), TypeError, "learning rate: expected a positive number, got 'fast'"),
    (lambda: Recipe(rates={"cell": -1}), ValueError, "learning rate of cell: expected a positive, finite number, got"),
    (lambda: Recipe(rates=0.1), TypeError, r"rates: expected learning rates by the names of modules, got 0\.1"),
    (lambda: Recipe(loss=3), TypeError, "loss: expected a function of output and target, got 3"),
    (lambda: Recipe(loss=nn.MSELoss), TypeError, "loss: expected a function of output and target, got <class"),
    (lambda: Recipe(rates={0: 0.1}), TypeError, "rates: expected names of modules, got 0"),
    (lambda: Recipe(optimizer="Adam"), TypeError, r"optimizer: expected one of torch\.optim, got 'Adam'"),
    (
        lambda: Recipe(schedule=0.5),
        TypeError,
        "schedule: expected a function of the share of the steps that is done, got",
    ),
    (lambda: Restart(every=0), ValueError, "restart every: expected at least 1, got 0"),
    (lambda: Restart(after=2.5), TypeError, r"restart after: expected a whole number, got 2\.5"),
    (lambda: Restart(above=math.nan), ValueError, "restart above: expected a loss, a number of at least 0, got nan"),
    (lambda: Penalty(False), TypeError, "penalty: expected a positive number, got False"),
    (lambda: Recipe(clip=1.0), TypeError, r"clip: expected a Clip \(nalu\.recipe\.Clip\), got 1\.0"),
    (
        lambda: Recipe(penalty=cosine),
        TypeError,
        r"penalty: expected a Penalty \(nalu\.recipe\.Penalty\), got <fun",
    ),
    (lambda: Recipe(restart=5), TypeError, r"restart: expected a Restart \(nalu\.recipe\.Restart\), got 5"),
    (Clip, ValueError, "clip: expected a norm or a value, got neither"),
    (lambda: Clip(norm=math.inf), ValueError, "clip by norm: expected a positive, finite number, got inf"),
    (lambda: Clip(value=-1), ValueError, "clip by value: expected a positive, finite number, got -1"),
    (lambda: Penalty("much"), TypeError, "penalty: expected a positive number, got 'much'"),
    (lambda: Penalty(cosine, below=0), ValueError, "penalty below: expected a positive, finite number, got 0"),
]


@pytest.mark.parametrize(("make", "error", "message"), RECIPES)
def test_recipes_that_cannot_be(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        make()


@pytest.mark.usefixtures("untrained")
def test_a_rate_for_a_module_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"^m: rates: expected names of modules with parameters, 0, 1, got cell$"):
        fit({"m": partial(stack, NAU, [1, 2, 1])}, Identity(), Recipe(rates={"cell": 0.1}), seeds=[0], steps=1)


FAR = torch.zeros(3, 1)
WATCHES: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: Watch(checkpoints=0), ValueError, "checkpoints: expected at least 1, got 0"),
    (lambda: Watch([FAR]), TypeError, "tests: expected some by name, got "),
    (
        lambda: Watch({"far": FAR}),
        TypeError,
        "tests: expected inputs and targets, a pair of tensors, got Tensor for far",
    ),
    (lambda: Watch({"far": (FAR, FAR[1:])}), ValueError, "tests: expected a target for each input, got 2 for 3 inputs"),
    (lambda: Watch({3: (FAR, FAR)}), TypeError, "tests: expected names, got 3"),
    (lambda: Watch({"loss": (FAR, FAR)}), ValueError, "expected test sets with names of their own, got loss"),
    (lambda: Watch({"t": {"seed": (FAR, FAR)}}), ValueError, "expected test sets with names of their own, got seed"),
    (lambda: Watch({"a": (FAR, FAR)}, measures={"a": count}), ValueError, "expected test sets with names of their own"),
    (lambda: Watch(measures={"step": count}), ValueError, "expected measures with names of their own, got step"),
    (lambda: Watch(measures={"w": 3}), TypeError, "measure w: expected a function, got 3"),
    (lambda: Watch(error="mse"), TypeError, "error: expected a function, got 'mse'"),
    (lambda: Watch(retire=True), TypeError, "retire: expected a function, got True"),
]


@pytest.mark.parametrize(("make", "error", "message"), WATCHES)
def test_watches_that_cannot_be(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        make()


MISFITS: dict[str, tuple[dict, str]] = {
    "sets of tasks for one": ({"watch": Watch({"t": {"far": (FAR, FAR)}})}, "tests: expected test sets, one task's"),
    "sets of one for tasks": (
        {"task": {"t": Identity()}, "watch": Watch({"far": (FAR, FAR)})},
        r"tests: expected test sets, those of each task, by its name \(t\), got far",
    ),
    "a task without a name": ({"task": {1: Identity()}}, "task: expected names, got 1"),
    "a model without a name": ({"models": {8: Linear}}, "models: expected names, got 8"),
    "an error of all replicas": (
        {"watch": Watch({"far": (FAR, FAR)}, error=lambda o, y: (o - y).abs().mean())},
        r"error: expected one for each of 2 replicas, of shape \(2,\), got \(\)",
    ),
    "an error of each point": (
        {"watch": Watch({"far": (FAR, FAR)}, error=lambda o, y: (o - y).abs())},
        r"error: expected one for each of 2 replicas, of shape \(2,\), got \(2, 3, 1\)",
    ),
    "a measure of several numbers": (
        {"watch": Watch(measures={"v": lambda n: n.W.flatten()})}, r"measure v: .* for m, got one of shape \(1,\)"
    ),
    "a measure that is no tensor": ({"watch": Watch(measures={"v": lambda n: 0.5})}, r"measure v: .* got 0\.5"),
    "an optimizer with a rate": (
        {"recipe": Recipe(optimizer=partial(torch.optim.SGD, lr=5.0))}, "optimizer: expected one whose learning rate is"
    ),
}  # fmt: skip


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(("settings", "message"), MISFITS.values(), ids=MISFITS)
def test_what_does_not_fit_together(settings: dict, message: str) -> None:
    settings = {"models": {"m": partial(Linear, 1, 1)}, "task": Identity(), "seeds": [0], "steps": 1} | settings
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        fit(**settings)


@pytest.mark.usefixtures("untrained")
def test_a_rate_for_half_of_what_modules_share() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(1, 1), nn.Linear(1, 1)
            self.b.weight = self.a.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x))

    message = r"^m: rates: expected one learning rate for what modules share, got several for a\.weight and b\.weight$"
    with pytest.raises(ValueError, match=message):
        fit({"m": Tied}, Identity(), Recipe(rates={"b": 0.1}), seeds=[0], steps=1)


def test_what_a_recipe_and_a_watch_were_made_of_may_change() -> None:
    rates, sets = {"0": 0.1}, {"far": (FAR, FAR)}
    recipe, watch = Recipe(rates=rates), Watch(sets)
    rates["0"] = -1.0
    sets["near"] = 3
    assert recipe.rates == {"0": 0.1} and list(watch.tests) == ["far"]


def test_a_model_that_cannot_be_trained_is_refused_before_another_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deciding(NAU):
        def project_(self) -> None:
            if self.W.sum().item() > 0:
                self.W.clamp_(0, 1)

    trained = []
    monkeypatch.setattr(fitting.loop, "run", lambda *arguments: trained.append(arguments) or [])
    with pytest.raises(ValueError, match=r"^bad: expected a unit that can be trained in a stack of replicas"):
        fit({"good": partial(NAU, 1, 1), "bad": partial(Deciding, 1, 1)}, Identity(), seeds=[0], steps=5)
    assert not trained


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("what", ["recipe", "seeds"])
def test_what_is_told_of_other_models(what: str) -> None:
    settings = {"recipe": Recipe(), "seeds": [0], "steps": 1}
    with pytest.raises(ValueError, match=f"^{what}: expected one for each model, a, b, got a, c$"):
        fit({"a": Linear, "b": Linear}, Identity(), **settings | {what: {"a": settings[what], "c": settings[what]}})


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(("name", "given"), [("recipe", {"lr": 1}), ("recipe", 0.1), ("watch", {"tests": {}})])
def test_settings_that_are_of_another_kind(name: str, given: object) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{name}: expected"):
        fit({"a": partial(Linear, 1, 1)}, Identity(), **{"seeds": [0], "steps": 1, name: given})


@pytest.mark.parametrize("rule", [lambda done: 0, lambda done: done > 0.5, lambda done: np.float32(done)])
def test_numbers_of_any_type_are_numbers(rule: Callable[[float], object]) -> None:
    train(NAU, schedule=rule, penalty=rule)
    train(NAU, penalty=Penalty(0.5))


# Tasks.


class Drawing:
    """A task that draws what it is told to, given how often it was asked and for how many steps."""

    shared = False

    def __init__(self, draw: Callable[[int, int], object], fresh: bool = True) -> None:
        self.made, self.fresh, self.asked = draw, fresh, 0

    def draw(self, generator: torch.Generator, steps: int) -> object:
        self.asked += 1
        return self.made(self.asked, steps)


def ones(*shape: int) -> tuple[Tensor, Tensor]:
    return torch.ones(shape), torch.ones(shape)


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda n, steps: torch.ones(steps, 4, 1), TypeError, "a pair of tensors, got Tensor"),
        (lambda n, steps: (torch.ones(steps, 4, 1),), TypeError, r"a pair of tensors, got \['Tensor'\]"),
        (lambda n, steps: (torch.ones(steps, 4, 1), 3), TypeError, r"a pair of tensors, got \['Tensor', 'int'\]"),
        (lambda n, steps: None, TypeError, "a pair of tensors, got NoneType"),
        (lambda n, steps: ones(2 * steps, 4, 1), ValueError,
         r"of shapes \(1, batch, ...\) for 1 steps, got \(2, 4, 1\) and \(2, 4, 1\)"),
        (lambda n, steps: (torch.ones(steps, 4, 1), torch.ones(steps)), ValueError, r"got \(1, 4, 1\) and \(1,\)"),
    ],
)  # fmt: skip
def test_draws_of_another_make(draw: Callable, error: type[Exception], message: str, fresh: bool) -> None:
    with pytest.raises(error, match=f"^task: expected draw to return inputs and targets.* {message}"):
        train(task=Drawing(draw, fresh))
    with pytest.raises(error, match=f"^task b: expected draw to return inputs and targets.* {message}"):
        train(task={"a": Identity(), "b": Drawing(draw, fresh)})


def test_draws_for_another_number_of_steps() -> None:
    with pytest.raises(ValueError, match=r"^task: .* of shapes \(100, batch, ...\) for 100 steps, got \(1, 4, 1\) and"):
        train(task=Drawing(lambda n, steps: ones(1, 4, 1)))


def test_draws_of_another_shape_than_the_first_time() -> None:
    message = (
        r"expected draw to return inputs and targets of the shapes \(4, 1\) and \(4, 1\) for each step, as the first "
        r"time, got \({}, 1\) and \({}, 1\)"
    )
    # The first is looked at, and one for each of two seeds follows, for each hundred steps.
    with pytest.raises(ValueError, match="^task: " + message.format(5, 5)):
        train(task=Drawing(lambda n, steps: ones(steps, 4 if n <= 3 else 5, 1)), steps=150)
    with pytest.raises(ValueError, match="^task: " + message.format(1, 1)):  # which would fill the batch all the same
        train(task=Drawing(lambda n, steps: ones(steps, 4 if n <= 3 else 1, 1)), steps=150)
    with pytest.raises(ValueError, match="^task b: " + message.format(6, 6)):
        tasks = {name: Drawing(lambda n, steps, size=size: ones(steps, size, 1)) for name, size in [("a", 4), ("b", 6)]}
        train(task=tasks)


# All units can be trained.


@pytest.mark.parametrize("unit", UNITS)
def test_no_unit_is_refused_on_any_range(unit: type[nn.Module]) -> None:
    replicas = Replicas([unit(2, 1)])
    penalised = any(hasattr(module, "penalty") for module in replicas.network.modules())
    for task in ranges("a / b", batch=16).values():
        x, _ = task.draw(torch.Generator().manual_seed(0), 1)
        refusals.trainable(replicas.take(0, 1), x[0], "unit", penalised=penalised)
