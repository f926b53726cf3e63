"""Training many replicas of several models at once."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from nalu import checks
from nalu.engine.kernel import Kernel
from nalu.engine.optimisers import KNOWN, optimiser
from nalu.engine.step import Loss
from nalu.recipe import Restart
from nalu.schedules import Schedule
from nalu.tasks import Task
from nalu.training import eager, native, refusals
from nalu.training.batches import drawn, like
from nalu.training.errors import mean_absolute_error
from nalu.training.models import Decided, Error, Measure, Model, Rules, TestSets, Watch
from nalu.training.replicas import Build, Replicas, build

COLUMNS = frozenset({"model", "task", "seed", "step", "loss", "diverged"})


@dataclass(frozen=True)
class Fit:
    """What training left.

    Attributes:
        table: a row for each model, seed and checkpoint, in this order: `model`, `seed`, `step` (updates done so far),
            `loss` (on the last training batch), `diverged` (a parameter or the loss is not finite), and for each test
            set the error in a column of its name, and each measure. With several tasks, a column `task` follows the
            model's. A replica that was retired has no rows after that.
        replicas: the trained networks by model, in the order of the seeds; with several tasks, by (model, task).
        seconds: wall-clock time of the training.
        network_steps: replicas times steps, whether or not a replica was retired on the way.
        engines: which way each model was trained: "native", by C made for it; or "torch" and why.
        kernels: of the models that have C, what it is: `kernels[name].body` is made for the model, `source` is all.
    """

    table: pd.DataFrame
    replicas: dict[str, Replicas] | dict[tuple[str, str], Replicas]
    seconds: float
    network_steps: int
    engines: dict[str, str]
    kernels: dict[str, Kernel]


def fit(
    models: Mapping[str, Build],
    task: Task | Mapping[str, Task],
    *,
    seeds: Iterable[int] = range(100),
    steps: int,
    lr: float,
    schedule: Schedule | None = None,
    clip: float | None = None,
    clip_value: float | None = None,
    penalty: Schedule | None = None,
    penalty_below: float | None = None,
    restart: Restart | None = None,
    retire: Decided | None = None,
    loss: Loss = F.mse_loss,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    checkpoints: int = 10,
    tests: TestSets | Mapping[str, TestSets] | None = None,
    error: Error = mean_absolute_error,
    measures: Mapping[str, Measure] | None = None,
    workers: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Fit:
    """Train one replica of every model for every seed (and for every task, if there are several).

    A replica draws its initial parameters and its data from its own seed, and trains as if it were alone: neither the
    other replicas nor the number of threads change it. One that diverges stays as it is and is recorded. After each
    step, what modules have a method `project_()` are projected by it.

    Args:
        models: by name, a function that makes a network from a generator: the networks of a model differ in nothing but
            their initial parameters.
        task: what to learn; see `nalu.tasks.Task`. Or several by name, of inputs and outputs of the same sizes; a seed
            means the same initial network for all of them.
        seeds: one replica each.
        steps: updates of each network.
        lr: learning rate.
        schedule: a factor on the learning rate, given the share of the steps that are done; see `nalu.schedules`.
        clip: the largest norm of a replica's gradient, taken over all its parameters; a longer one is shortened to it.
        clip_value: the largest size of each number in the gradient; larger ones are cut to it.
        penalty: the weight in the loss of what the networks' modules return from their methods `penalty()`, given the
            share of the steps that is done.
        penalty_below: penalise a replica only where its loss is below this.
        restart: draw a replica's parameters anew where its loss stays high; see `nalu.recipe.Restart`. Its
            optimiser goes on as it is.
        retire: given the rows of a checkpoint, in which replicas nothing that is still to come can matter. They may be
            left as they are from then on, and have no more rows.
        loss: maps the output and the target of one replica to a scalar.
        optimizer: Adam, AdamW, SGD, RMSprop or Adagrad of torch.optim, called with the parameters and lr.
        checkpoints: how often the table has a row, evenly spread up to the last step; and always one before the first.
        tests: by name, inputs and targets on which the error is taken at each checkpoint; with several tasks, for each
            of them, with the same names.
        error: `mean_absolute_error` or `mean_squared_error` (`nalu.training.errors`), or one of your own.
        measures: by name, a function from a network to a number, taken at each checkpoint.
        workers: threads; as many as there are cores, if not given.
        dtype: float32, or float64 to compare trajectories.
        device: where to train. On anything but the CPU it is slow, for models are compiled for the CPU alone.

    Raises:
        TypeError, ValueError: an argument out of its range; outputs of another shape than the targets; a loss that is
            not a scalar; networks with frozen parameters, or of a kind that cannot be trained (see
            `nalu.training.refusals`); an option of the optimizer that is not known; a schedule that is negative
            or not finite at some step; a task that draws other shapes than the first time.
    """
    if not isinstance(seeds, Iterable):
        raise TypeError(f"seeds: expected some whole numbers, one for each replica, got {seeds!r}")
    seeds = [checks.at_least(seed, 0, "seed") for seed in seeds]
    checks.distinct(seeds, "seeds")
    if any(seed >= 2**32 for seed in seeds):
        raise ValueError(f"expected seeds below 2**32, of which PyTorch uses no more bits, got {max(seeds)}")
    checks.at_least(len(seeds), 1, "number of replicas")
    if not isinstance(models, Mapping):
        raise TypeError(f"models: expected functions by name, got {type(models).__name__}")
    checks.at_least(len(models), 1, "number of models")
    checks.at_least(steps, 1, "steps")
    checks.at_least(checkpoints, 1, "checkpoints")
    checks.positive(lr, "learning rate")
    for what, limit in {"clip": clip, "clip_value": clip_value}.items():
        if limit is not None:
            checks.positive(limit, what)
    measures = dict(measures or {})
    workers = checks.at_least(_cores() if workers is None else workers, 1, "workers")
    if not dtype.is_floating_point:
        raise ValueError(f"expected a floating-point dtype, got {dtype}")
    if dtype not in refusals.DTYPES:
        raise ValueError(f"dtype: expected torch.float32 or torch.float64, got {dtype}")
    refusals.schedule(schedule, steps, "schedule")
    refusals.schedule(penalty, steps, "penalty")
    tasks, tests = _tasks(task, tests)
    names = [*measures, *next(iter(tests.values()))]
    if taken := sorted(COLUMNS.intersection(names)) + [name for name in measures if names.count(name) > 1]:
        raise ValueError(f"expected test sets and measures with names of their own, got {', '.join(taken)}")
    if getattr(optimizer, "func", optimizer) not in KNOWN:
        raise ValueError(f"expected an optimizer among {[known.__name__ for known in KNOWN]}, got {optimizer!r}")

    start = time.perf_counter()
    rules = Rules(
        steps, loss, optimiser(partial(optimizer, lr=lr)), schedule, clip, clip_value, penalty, penalty_below, restart,
        retire,
    )  # fmt: skip
    stops = sorted({0, *np.linspace(0, steps, checkpoints + 1).round().astype(int).tolist()})
    watch = Watch(stops, tests, error, measures)
    labels = [(key, seed) for key in tasks for seed in seeds]
    networks = {name: _networks(name, make, seeds) for name, make in models.items()}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two threads on tensors this small wait for each other longer than they work
    try:
        made: dict[str, Model] = {}
        for name, of_seeds in networks.items():
            replicas = Replicas(of_seeds).to(dtype).to(device)
            replicas.state = replicas.state.repeat(1, len(tasks))
            made[name] = Model(replicas, [(name, *label) for label in labels], models[name], rules, tasks, watch)
        batches = _first_batches(tasks)
        for name, model in made.items():
            _check(model, name, batches)
        kernels, engines = native.compiled(made, workers)
        groups = [group for name, kernel in kernels.items() for group in native.groups(made[name], kernel, workers)]
        others = [model for name, model in made.items() if name not in kernels]
        sizes = [group.size * steps for group in groups] + [len(labels) * steps for _ in others]
        with _progress(sizes) as counter:
            tables = native.train(groups, counter, workers) if groups else []
            tables += [eager.train(model, partial(counter, k)) for k, model in enumerate(others, len(groups))]
    finally:
        torch.set_num_threads(threads)
    table = pd.concat(tables, ignore_index=True)
    for column, order in {"model": list(models), "task": list(tasks), "seed": seeds}.items():
        table[column] = pd.Categorical(table[column], categories=order)  # the caller's order
    table = table.sort_values(["model", "task", "seed", "step"], ignore_index=True).astype({"seed": "int64"})
    found = {
        (name, key): model.replicas.take(k * len(seeds), (k + 1) * len(seeds))
        for name, model in made.items()
        for k, key in enumerate(tasks)
    }
    if not isinstance(task, Mapping):
        table, found = table.drop(columns="task"), {name: part for (name, _), part in found.items()}
    return Fit(table, found, time.perf_counter() - start, sum(sizes), engines, kernels)


def _tasks(
    task: Task | Mapping[str, Task], tests: TestSets | Mapping[str, TestSets] | None
) -> tuple[dict[str, Task], dict[str, TestSets]]:
    """Tasks and their test sets by the name of the task, which is empty for a single one."""
    for each in task.values() if isinstance(task, Mapping) else [task]:
        if not isinstance(each, Task):
            raise TypeError(f"task: expected one with fresh, shared and draw (nalu.tasks.Task), got {each!r}")
    if not isinstance(task, Mapping):
        return {"": task}, {"": tests or {}}
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


def _check(model: Model, name: str, batches: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """Raise where a model cannot be trained, or tested."""
    replica, rules, watch = model.replicas.take(0, 1), model.rules, model.watch
    network = replica[0].requires_grad_(False).eval()
    for k, (key, (x, y)) in enumerate(batches.items()):
        x, y = like(x, replica.state), y.to(replica.state)
        if k == 0:  # what it looks for does not depend on the data
            refusals.trainable(replica, x, name, penalised=rules.penalty is not None)
        refusals.shapes(network(x), y, rules.loss)
        for inputs, targets in watch.tests[key].values():
            watch.error(network(like(inputs, replica.state)).unsqueeze(0), targets.to(replica.state))


def _networks(name: str, make: Build, seeds: list[int]) -> list[nn.Module]:
    """A model's untrained networks."""
    if not callable(make) or isinstance(make, nn.Module):
        raise TypeError(f"expected a function that makes {name} from a generator, got {make!r}")
    networks = [build(make, seed) for seed in seeds]
    if not isinstance(networks[0], nn.Module):
        raise TypeError(f"expected a function that makes {name} as a module, got {networks[0]!r} from it")
    refusals.kinds(networks[0], name)
    if frozen := [path for path, p in networks[0].named_parameters() if not p.requires_grad]:
        raise ValueError(f"expected networks that train all their parameters, got frozen {', '.join(frozen)} in {name}")
    return networks


@contextmanager
def _progress(sizes: list[int]) -> Iterator[Callable[[int, int], None]]:
    """A bar, and what tells it how many steps are done in which job; TQDM_DISABLE=1 silences it."""
    silent = os.environ.get("TQDM_DISABLE", "0") not in ("", "0")  # in a notebook, tqdm does not look for itself
    done, lock = [0] * len(sizes), threading.Lock()
    with tqdm(total=sum(sizes), unit=" network steps", unit_scale=True, leave=False, disable=silent) as bar:

        def report(job: int, steps: int) -> None:
            with lock:
                bar.update(steps - done[job])
                done[job] = steps

        yield report


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
