"""What every task keeps to: what it says of itself, what it draws, and what it refuses.

A task is here as soon as its file is in nalu/tasks. What its numbers are is tested apart.
"""

import dataclasses
import importlib
import inspect
import itertools
import math
import pickle
import pkgutil
from typing import get_args, get_type_hints

import pytest
import torch
from helpers.seeds import seeded
from torch import Tensor

from nalu import tasks
from nalu.tasks import Pooled, Scaled, Task

FILES = [importlib.import_module(f"{tasks.__name__}.{file.name}") for file in pkgutil.iter_modules(tasks.__path__)]
CLASSES = {
    name: each
    for file in FILES
    for name, each in vars(file).items()
    if inspect.isclass(each) and each.__module__ == file.__name__ and hasattr(each, "draw")
}

SETTINGS: dict[str, list[dict]] = {
    "Identity": [{}, {"low": 0, "high": 3, "reals": 7}, {"reals": 1}],
    "LanguageToNumber": [{}, {"batch": 5}, {"largest": 120, "training": 60, "validation": 9, "batch": 1}],
    "RecurrentFunction": [
        {"function": "a + b"},
        {"function": "a * b", "size": 3, "length": 1, "sections": ((0, 1), (2, 3)), "batch": 1},
    ],
    "SingleModule": [
        {"operation": "a * b", "low": -2, "high": 2},
        {"operation": "a * b", "low": 1, "high": 2},
        {"operation": "a / b", "low": 3, "high": 4, "beyond": ((4, 5), (-2, -1)), "batch": 1},
    ],
    "StaticFunction": [
        {"function": "a - b"},
        {"function": "sqrt(a)", "given": True},
        {"function": "a ^ 2", "size": 5, "sections": ((0, 3), (2, 5)), "points": 9, "batch": 1, "given": True},
    ],
}
"""Of each task that is made with something, or in several ways. The others are made with nothing."""

MADE: dict[str, Task] = {}
NOT_MADE: list[str] = []
for name, make in CLASSES.items():
    for settings in SETTINGS.get(name, [{}]):
        try:
            MADE[f"{name}({', '.join(f'{key}={value}' for key, value in settings.items())})"] = make(**settings)
        except TypeError as error:
            NOT_MADE.append(f"add {name} to SETTINGS in {__file__}, for {error}")

FRESH = {name: task for name, task in MADE.items() if getattr(task, "fresh", False)}
SEEDED = {name: task for name, task in MADE.items() if hasattr(task, "seed")}
SCALED = {name: task for name, task in MADE.items() if isinstance(task, Scaled)}
POOLED = {name: task for name, task in MADE.items() if isinstance(task, Pooled)}

each_task = pytest.mark.parametrize("task", MADE.values(), ids=MADE)
each_fresh = pytest.mark.parametrize("task", FRESH.values(), ids=FRESH)
each_seeded = pytest.mark.parametrize("task", SEEDED.values(), ids=SEEDED)
each_scaled = pytest.mark.parametrize("task", SCALED.values(), ids=SCALED)
each_pooled = pytest.mark.parametrize("task", POOLED.values(), ids=POOLED)


def same(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(mine, its) for mine, its in zip(one, other, strict=True))


# What it says of itself.


def test_each_can_be_made_here() -> None:
    assert NOT_MADE == []


def test_all_are_public() -> None:
    protocols = {name for name in tasks.__all__ if getattr(getattr(tasks, name), "_is_protocol", False)}
    assert set(CLASSES) == set(tasks.__all__) - protocols, "add it to nalu/tasks/__init__.py"
    assert all(getattr(tasks, name) is each for name, each in CLASSES.items())


def test_there_are_some_of_each_kind() -> None:
    assert SCALED and POOLED and SEEDED and len(FRESH) < len(MADE)


@each_task
def test_it_is_a_task(task: Task) -> None:
    assert isinstance(task, Task)
    assert type(task.fresh) is type(task.shared) is bool


@each_task
def test_it_is_a_frozen_record_of_its_settings(task: Task) -> None:
    assert inspect.getdoc(type(task)) and "Raises:" in inspect.getdoc(type(task))
    fields = [field.name for field in dataclasses.fields(task)]
    for name in [*fields, "fresh", "shared"]:
        with pytest.raises(AttributeError):
            setattr(task, name, getattr(task, name))
    settings = {name: getattr(task, name) for name in fields}
    again = type(task)(**settings)
    assert again == task and hash(again) == hash(task) and again is not task
    assert eval(repr(task), dict(CLASSES)) == task


@each_task
def test_it_travels_to_other_processes(task: Task) -> None:
    there = pickle.loads(pickle.dumps(task))
    assert there == task and hash(there) == hash(task)
    assert same(there.draw(seeded(), 2), task.draw(seeded(), 2))
    assert len(pickle.dumps(task)) < 1_000  # what it can draw anew does not travel


# What it draws.


@each_task
def test_it_draws_as_many_batches_as_there_are_steps(task: Task) -> None:
    shapes = set()
    for steps in (1, 2, 5):
        x, y = task.draw(seeded(), steps)
        assert x.ndim >= 3 and y.ndim == 3 and x.shape[:2] == y.shape[:2] and len(x) == steps
        assert y.dtype == torch.float32 and x.dtype in (torch.float32, torch.int64)  # tokens are whole numbers
        assert x.isfinite().all() and y.isfinite().all() and not x.requires_grad and not y.requires_grad
        shapes.add((x.shape[1:], y.shape[1:]))
    ((_, (batch, _)),) = shapes
    assert batch == (getattr(task, "batch", None) or batch) >= 1


@each_task
def test_what_it_draws_is_the_generators_alone(task: Task) -> None:
    torch.manual_seed(0)
    state, first = torch.get_rng_state(), task.draw(seeded(7), 20)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(1)
    assert same(first, task.draw(seeded(7), 20)) and same(first, dataclasses.replace(task).draw(seeded(7), 20))


@each_fresh
def test_fresh_steps_differ_and_so_do_generators(task: Task) -> None:
    generator = seeded(7)
    first, next_, other = task.draw(generator, 20), task.draw(generator, 20), task.draw(seeded(8), 20)
    for one, another in itertools.combinations((first, next_, other), 2):
        assert not any(torch.equal(mine, its) for mine, its in zip(one, another, strict=True))
    assert all(len(numbers.flatten(1).unique(dim=0)) > 1 for numbers in first)


@each_seeded
def test_another_seed_of_its_own_is_another_set(task: Task) -> None:
    other = dataclasses.replace(task, seed=task.seed + 1)
    assert other != task
    for mine, its in zip(task.draw(seeded(7), 20), other.draw(seeded(7), 20), strict=True):
        assert mine.shape == its.shape and not torch.equal(mine, its)


@each_scaled
def test_scaled_examples_are_those_that_it_draws(task: Scaled) -> None:
    assert task.fresh and not task.shared
    assert all(type(size) is int and size >= 1 for size in task.noise)
    steps = 4
    noise, (x, y) = torch.rand(steps, *task.noise, generator=seeded(7)), task.draw(seeded(7), steps)
    for step in range(steps):
        assert same(task.examples(noise[step], *task.scales), (x[step], y[step]))
    assert noise[0].shape[0] == x.shape[1]
    together = task.examples(noise.movedim(0, -1), *task.scales)  # of four replicas, on the last axis
    assert same(tuple(numbers.movedim(-1, 0) for numbers in together), (x, y))
    scales = [torch.full((steps,), float(scale)) for scale in task.scales]  # of four tasks, as an engine has them
    apart = task.examples(noise.movedim(0, -1), *scales)
    for found, expected in zip(apart, (x, y), strict=True):
        torch.testing.assert_close(found.movedim(-1, 0), expected, rtol=1e-4, atol=1e-5)


@each_scaled
def test_a_family_differs_in_its_scales_alone(task: Scaled) -> None:
    hash(task.family)
    noise = torch.rand(task.noise, generator=seeded(7))
    for other in SCALED.values():
        if other.family == task.family:
            assert other.noise == task.noise
            assert same(task.examples(noise, *other.scales), other.examples(noise, *other.scales))


@each_pooled
def test_pooled_draws_are_picked_from_the_pool(task: Pooled) -> None:
    x, y = task.pool
    assert task.fresh and len(x) == len(y) >= 1
    chosen = torch.randint(len(x), (30, task.batch), generator=seeded(7))
    assert same(task.draw(seeded(7), 30), (x[chosen], y[chosen]))
    assert same(task.pool, (x, y)) and same(pickle.loads(pickle.dumps(task)).pool, (x, y))


# What it refuses.

WRONG: dict[type, list[object]] = {
    int: [0.5, "3", True, math.nan],
    float: ["1", math.nan, math.inf, True],
    str: ["nonsense", "", 3, None],
}
"""By the type of a setting."""


@each_task
def test_bad_settings_are_named(task: Task) -> None:
    tried = 0
    for name, hint in get_type_hints(type(task)).items():
        for kind in set(get_args(hint) or [hint]) & set(WRONG):
            for value in WRONG[kind]:
                with pytest.raises((TypeError, ValueError), match="expected "):
                    dataclasses.replace(task, **{name: value})
                tried += 1
    assert tried or not dataclasses.fields(task)
