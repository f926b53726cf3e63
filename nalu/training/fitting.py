"""Training many replicas of several models at once."""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from nalu import checks
from nalu.engine.step import training_step
from nalu.recipe import Recipe
from nalu.tasks import Task
from nalu.training import eager, loop, native, refusals
from nalu.training.batches import drawn, like
from nalu.training.models import Model
from nalu.training.replicas import Build, Replicas, build
from nalu.training.result import Fit
from nalu.training.watch import TestSets, Watch


def fit(
    models: Mapping[str, Build],
    task: Task | Mapping[str, Task],
    recipe: Recipe | Mapping[str, Recipe] | None = None,
    *,
    seeds: Iterable[int] | Mapping[str, Iterable[int]] = range(100),
    steps: int,
    watch: Watch | None = None,
    workers: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Fit:
    """Train one replica of every model for every seed (and for every task, if there are several).

    A replica draws its initial parameters and its data from its own seed, and trains as if it were alone: neither the
    other replicas nor the number of threads change it. One that diverges stays as it is and is recorded. After each
    step, what modules have a method `project_()` are projected by it.

    Args:
        models: by name, what makes a network when it is called, with `generator=` where it takes that: a function, or
            a `functools.partial` of a class. Networks of a model differ in nothing but their initial parameters.
        task: what to learn; see `nalu.tasks.Task`. Or several by name, of inputs and outputs of the same sizes; a seed
            means the same initial network for all of them.
        recipe: how to train; or one for each model, by its name. Adam with a rate of 1e-3, if not given.
        seeds: one replica each; or those of each model, by its name.
        steps: updates of each network.
        watch: what the table tells; test sets, for instance.
        workers: threads; as many as there are cores, if not given.
        dtype: float32, or float64 to compare trajectories.
        device: where to train. On anything but the CPU it is slow, for models are compiled for the CPU alone.

    Raises:
        TypeError, ValueError: an argument out of its range; outputs of another shape than the targets; a loss that is
            not a scalar; networks with frozen parameters, or of a kind that cannot be trained (see
            `nalu.training.refusals`); an option of the optimizer that is not known; a schedule that is negative or not
            finite at some step; a task that draws other shapes than the first time.
    """
    if not isinstance(models, Mapping):
        raise TypeError(f"models: expected functions by name, got {type(models).__name__}")
    checks.at_least(len(models), 1, "number of models")
    _check_names(models, "models")
    own = isinstance(seeds, Mapping)  # else a list for all, as an iterator ends
    seeds = _by_model({name: _seeds(each) for name, each in seeds.items()} if own else _seeds(seeds), models, "seeds")
    checks.at_least(steps, 1, "steps")
    own = isinstance(recipe, Mapping)
    recipes = _by_model(Recipe() if recipe is None else recipe, models, "recipe")
    for name, each in recipes.items():
        refusals.recipe(each, steps, name if own else "")
    watch = Watch() if watch is None else watch
    if not isinstance(watch, Watch):
        raise TypeError(f"watch: expected a Watch (nalu.Watch), got {watch!r}")
    workers = checks.at_least(_cores() if workers is None else workers, 1, "workers")
    if not dtype.is_floating_point:
        raise ValueError(f"expected a floating-point dtype, got {dtype}")
    if dtype not in refusals.DTYPES:
        raise ValueError(f"dtype: expected torch.float32 or torch.float64, got {dtype}")
    tasks, tests = _tasks(task, watch)
    watch = replace(watch, tests=tests)

    start = time.perf_counter()
    networks = {name: _networks(name, make, seeds[name]) for name, make in models.items()}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two threads on tensors this small wait for each other longer than they work
    try:
        made: dict[str, Model] = {}
        for name, of_seeds in networks.items():
            replicas = Replicas(of_seeds).to(dtype).to(device)
            replicas.state = replicas.state.repeat(1, len(tasks))
            labels = [(name, key, seed) for key in tasks for seed in seeds[name]]
            made[name] = Model(replicas, labels, models[name], recipes[name], steps, tasks, watch)
        batches = _first_batches(tasks)
        for model in made.values():
            _check(model, batches)
        kernels, engines = native.compiled(made, workers)
        groups = [group for name, kernel in kernels.items() for group in native.groups(made[name], kernel, workers)]
        stacks = [eager.Stack(model) for name, model in made.items() if name not in kernels]
        table = loop.train(groups, stacks, workers)
    finally:
        torch.set_num_threads(threads)
    seconds = time.perf_counter() - start
    places = {label: k for k, label in enumerate(label for model in made.values() for label in model.labels)}
    order = [places[label] for label in zip(table.model, table.task, table.seed, strict=True)]
    table = table.iloc[np.lexsort([table.step, order])].reset_index(drop=True)
    for column, names in {"model": models, "task": tasks}.items():
        table[column] = pd.Categorical(table[column], categories=list(names))  # the caller's order
    found = {
        (name, key): model.replicas.take(k * len(seeds[name]), (k + 1) * len(seeds[name]))
        for name, model in made.items()
        for k, key in enumerate(tasks)
    }
    if not isinstance(task, Mapping):
        table, found = table.drop(columns="task"), {name: part for (name, _), part in found.items()}
    return Fit(table, found, seconds, len(places) * steps, engines, kernels)


def _by_model(given: object, models: Mapping[str, Build], what: str) -> dict[str, object]:
    """What each model has of it: its own, or the same for all."""
    if not isinstance(given, Mapping):
        return dict.fromkeys(models, given)
    if set(given) != set(models):
        raise ValueError(f"{what}: expected one for each model, {', '.join(models)}, got {', '.join(given)}")
    return {name: given[name] for name in models}


def _check_names(named: Mapping[str, object], what: str) -> None:
    if others := [name for name in named if not isinstance(name, str)]:
        raise TypeError(f"{what}: expected names, got {', '.join(map(repr, others))}")


def _seeds(given: object) -> list[int]:
    if not isinstance(given, Iterable):
        raise TypeError(f"seeds: expected some whole numbers, one for each replica, got {given!r}")
    seeds = [checks.at_least(seed, 0, "seed") for seed in given]
    checks.distinct(seeds, "seeds")
    if any(seed >= 2**32 for seed in seeds):
        raise ValueError(f"expected seeds below 2**32, of which PyTorch uses no more bits, got {max(seeds)}")
    checks.at_least(len(seeds), 1, "number of replicas")
    return seeds


def _tasks(task: Task | Mapping[str, Task], watch: Watch) -> tuple[dict[str, Task], dict[str, TestSets]]:
    """Tasks and their test sets by the name of the task, which is empty for a single one."""
    for each in task.values() if isinstance(task, Mapping) else [task]:
        if not isinstance(each, Task):
            raise TypeError(f"task: expected one with fresh, shared and draw (nalu.tasks.Task), got {each!r}")
    if isinstance(task, Mapping):
        _check_names(task, "task")
    tests = watch.tests
    if tests and watch.by_task != isinstance(task, Mapping):
        wanted = "one task's, by name" if watch.by_task else f"those of each task, by its name ({', '.join(task)})"
        raise ValueError(f"tests: expected test sets, {wanted}, got {', '.join(tests)}")
    if not isinstance(task, Mapping):
        return {"": task}, {"": tests}
    checks.at_least(len(task), 1, "number of tasks")
    if len({each.shared for each in task.values()}) > 1:
        raise ValueError("expected tasks that all share their inputs or all do not, got some of either")
    tests = tests or {name: {} for name in task}
    if set(tests) != set(task) or len({frozenset(sets) for sets in tests.values()}) > 1:
        raise ValueError(
            f"expected test sets of the same names for each of the tasks {', '.join(task)}, got "
            + "; ".join(f"{name}: {', '.join(sets)}" for name, sets in tests.items())
        )
    return dict(task), dict(tests)


def _first_batches(tasks: Mapping[str, Task]) -> dict[str, tuple[Tensor, Tensor]]:
    """A step's inputs and targets of each task, to check with."""
    batches = {name: drawn(task, name, torch.Generator(), 1) for name, task in tasks.items()}
    batches = {name: (x[0], y[0]) for name, (x, y) in batches.items()}
    (first, _), *others = batches.values()
    if next(iter(tasks.values())).shared and any(not torch.equal(first, other) for other, _ in others):
        raise ValueError("expected tasks with shared inputs to draw the same ones, got different")
    return batches


def _check(model: Model, batches: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """Raise where a model cannot be trained, or tested."""
    replica, recipe, watch = model.replicas.take(0, 1), model.recipe, model.watch
    network = replica[0].requires_grad_(False).eval()
    try:
        training_step(network, recipe)
    except ValueError as error:  # a learning rate for a module that is not there
        raise ValueError(f"{model.name}: {error}") from error
    for name, measure in watch.measures.items():
        if not isinstance(found := measure(network), Tensor) or found.shape != ():
            got = f"one of shape {tuple(found.shape)}" if isinstance(found, Tensor) else repr(found)
            raise ValueError(f"measure {name}: expected a tensor of one number for {model.name}, got {got}")
    for k, (key, (x, y)) in enumerate(batches.items()):
        x, y = like(x, replica.state), y.to(replica.state)
        if k == 0:  # what it looks for does not depend on the data
            refusals.trainable(replica, x, model.name, penalised=recipe.penalty is not None)
        refusals.shapes(network(x), y, recipe.loss)
        for inputs, targets in watch.tests[key].values():
            twice = torch.stack([network(like(inputs, replica.state))] * 2)
            if (shape := watch.error(twice, targets.to(replica.state)).shape) != (2,):
                raise ValueError(f"error: expected one for each of 2 replicas, of shape (2,), got {tuple(shape)}")


def _networks(name: str, make: Build, seeds: list[int]) -> list[nn.Module]:
    """A model's untrained networks."""
    if not callable(make) or isinstance(make, nn.Module):
        raise TypeError(f"expected a function that makes {name}, got {make!r}")
    networks = [build(make, seed) for seed in seeds]
    if not isinstance(networks[0], nn.Module):
        raise TypeError(f"expected a function that makes {name} as a module, got {networks[0]!r} from it")
    refusals.kinds(networks[0], name)
    if frozen := [path for path, p in networks[0].named_parameters() if not p.requires_grad]:
        raise ValueError(f"expected networks that train all their parameters, got frozen {', '.join(frozen)} in {name}")
    return networks


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
