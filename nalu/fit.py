"""The training loop. There is one, and it trains many replicas of several models at once."""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from jaxtyping import Float
from joblib import Parallel, delayed
from torch import Tensor, nn
from torch.func import vmap
from tqdm.auto import tqdm

from nalu import checks
from nalu.metrics import mean_absolute_error
from nalu.program import Loss, training_step
from nalu.replicas import Build, Inputs, Replicas, build, stackable
from nalu.streams import stream
from nalu.tasks import Task

ELEMENTWISE = (torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.SGD, torch.optim.Adagrad)
"""Optimisers that treat each number apart, so that neighbours in a stack stay strangers."""

SMALLEST_PART = 150
"""A stack is cut into parts for several processes only where each part keeps this many replicas: fewer waste cores."""

ENOUGH = 2**17
"""Parameters times examples of a step from which fewer replicas make a part, too."""

BLOCK = 100
"""Steps whose random batches are drawn together, for drawing is slow by the call and fast by the number."""

DATA, SHARED_DATA = 1, 2
"""The streams of a replica's own data, with its seed, and of data that all share: apart from any initialisation."""

COLUMNS = frozenset({"model", "task", "seed", "step", "loss", "diverged"})

TestSets = Mapping[str, tuple[Inputs, Float[Tensor, "batch out"]]]
Error = Callable[[Tensor, Tensor], Tensor]
Schedule = Callable[[float], float]
Label = tuple[str, str, int]
"""A replica's model, task and seed."""


@dataclass(frozen=True)
class Fit:
    """What training left.

    Attributes:
        table: a row for each model, seed and checkpoint, in this order: `model`, `seed`, `step` (updates done so far),
            `loss` (on the last training batch), `diverged` (a parameter or the loss is not finite), and for each test
            set the error in a column of its name. With several tasks, a column `task` follows the model's.
        replicas: the trained networks by model, in the order of the seeds; with several tasks, by (model, task).
        seconds: wall-clock time of the training.
        network_steps: updates of a network done in all.
    """

    table: pd.DataFrame
    replicas: dict[str, Replicas] | dict[tuple[str, str], Replicas]
    seconds: float
    network_steps: int


def fit(
    models: Mapping[str, Build],
    task: Task | Mapping[str, Task],
    *,
    seeds: Iterable[int] = range(100),
    steps: int,
    lr: float,
    schedule: Schedule | None = None,
    clip: float | None = None,
    loss: Loss = F.mse_loss,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    checkpoints: int = 10,
    tests: TestSets | Mapping[str, TestSets] | None = None,
    error: Error = mean_absolute_error,
    workers: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Fit:
    """Train one replica of every model for every seed (and for every task, if there are several).

    A replica draws its initial parameters and its data from its own seed, and trains as if it were alone: neither the
    other replicas nor the number of processes change it. One that diverges stays as it is and is recorded.

    Args:
        models: by name, a function that makes a network from a generator. Networks that differ only in their activation
            are trained in one stack.
        task: what to learn; see `nalu.tasks.Task`. Or several by name, of inputs and outputs of the same sizes: they
            train in one stack, and a seed means the same initial network for all of them.
        seeds: one replica each.
        steps: updates of each network.
        lr: learning rate.
        schedule: a factor on the learning rate, given the share of the steps that are done; see `nalu.schedules`.
        clip: the largest norm of a replica's gradient, taken over all its parameters; a longer one is shortened to it.
        loss: maps the output and the target of one replica to a scalar.
        optimizer: one of ELEMENTWISE, called with the parameters and lr.
        checkpoints: how often the table has a row, evenly spread up to the last step; and always one before the first.
        tests: by name, inputs and targets on which the error is taken at each checkpoint; with several tasks, for each
            of them, with the same names.
        error: `mean_absolute_error` or `mean_squared_error` (`nalu.metrics`), or one of your own.
        workers: processes with one thread each; all cores if not given. One stays in this process.
        dtype: float32, or float64 to compare trajectories.
        device: where to train. On anything but the CPU, one process is enough.

    Raises:
        TypeError, ValueError: an argument out of its range; outputs of another shape than the targets; a loss that is
            not a scalar; networks with frozen parameters.
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
    if clip is not None:
        checks.positive(clip, "clip")
    workers = checks.at_least(_cores() if workers is None else workers, 1, "workers")
    if not dtype.is_floating_point:
        raise ValueError(f"expected a floating-point dtype, got {dtype}")
    tasks, tests = _tasks(task, tests)
    if taken := sorted(COLUMNS.intersection(*(set(sets) for sets in tests.values())) if tests else ()):
        raise ValueError(f"expected test sets with names other than the table's columns, got {', '.join(taken)}")
    if getattr(optimizer, "func", optimizer) not in ELEMENTWISE:
        raise ValueError(f"expected an optimizer among {[o.__name__ for o in ELEMENTWISE]}, got {optimizer!r}")

    start = time.perf_counter()
    stacks = _stacks(models, list(tasks), seeds, dtype, device)
    train = partial(
        _train, tasks=tasks, steps=steps, loss=loss, optimizer=partial(optimizer, lr=lr), schedule=schedule, clip=clip,
        stops=sorted({0, *np.linspace(0, steps, checkpoints + 1).round().astype(int).tolist()}), tests=tests,
        error=error,
    )  # fmt: skip
    examples = len(next(iter(tasks.values())).draw(torch.Generator(), 1)[1][0])
    jobs = [(stack, part) for stack in stacks for part in _parts(stack.replicas, examples, workers)]
    sizes = [(stop - first) * steps for _, (first, stop) in jobs]
    with _progress(sizes) as counter:
        results = Parallel(min(workers, len(jobs)), batch_size=1)(
            delayed(train)(stack.replicas.take(*part), stack.labels[slice(*part)], report=partial(counter, k))
            for k, (stack, part) in enumerate(jobs)
        )
    for (stack, (first, _)), (_, trained) in zip(jobs, results, strict=True):
        stack.replicas.put(first, trained)
    replicas = {key: part for stack in stacks for key, part in stack.groups()}
    table = pd.concat([table for table, _ in results], ignore_index=True)
    for column, order in {"model": list(models), "task": list(tasks), "seed": seeds}.items():
        table[column] = pd.Categorical(table[column], categories=order)  # the caller's order
    table = table.sort_values(["model", "task", "seed", "step"], ignore_index=True).astype({"seed": "int64"})
    found = {(name, key): replicas[name, key] for name in models for key in tasks}
    if not isinstance(task, Mapping):
        table, found = table.drop(columns="task"), {name: part for (name, _), part in found.items()}
    return Fit(table, found, time.perf_counter() - start, sum(sizes))


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


@dataclass(frozen=True)
class _Stack:
    """Models that share a stack, and the label of each of its replicas: equal models and tasks are neighbours."""

    replicas: Replicas
    labels: list[Label]

    def groups(self) -> Iterator[tuple[tuple[str, str], Replicas]]:
        """The replicas of each model and task."""
        keys = [label[:2] for label in self.labels]
        for first, stop in _runs(keys):
            yield keys[first], self.replicas.take(first, stop)


def _stacks(
    models: Mapping[str, Build], tasks: list[str], seeds: list[int], dtype: torch.dtype, device: torch.device | str
) -> list[_Stack]:
    families: list[dict[str, list]] = []
    for name, make in models.items():
        if not callable(make) or isinstance(make, nn.Module):
            raise TypeError(f"expected a function that makes {name} from a generator, got {make!r}")
        networks = [build(make, seed) for seed in seeds]
        if not isinstance(networks[0], nn.Module):
            raise TypeError(f"expected a function that makes {name} as a module, got {networks[0]!r} from it")
        if frozen := [path for path, p in networks[0].named_parameters() if not p.requires_grad]:
            raise ValueError(
                f"expected networks that train all their parameters, got frozen {', '.join(frozen)} in {name}"
            )
        for family in families:
            if all(stackable(others[0], networks[0]) for others in family.values()):
                family[name] = networks
                break
        else:
            families.append({name: networks})
    stacks = []
    for family in families:
        replicas = Replicas([network for networks in family.values() for _ in tasks for network in networks])
        labels = [(name, task, seed) for name in family for task in tasks for seed in seeds]
        stacks.append(_Stack(replicas.to(dtype).to(device), labels))
    # Long jobs first, so that short ones fill the gaps.
    return sorted(stacks, key=lambda stack: stack.replicas.state.numel(), reverse=True)


def _parts(replicas: Replicas, examples: int, workers: int) -> list[tuple[int, int]]:
    """Cut a stack in neighbouring parts of nearly equal size, one for each worker unless they would be too small."""
    least = min(SMALLEST_PART, -(-ENOUGH // (len(replicas.state) * examples)))
    count = max(1, min(workers, len(replicas) // least))
    edges = np.linspace(0, len(replicas), count + 1).round().astype(int).tolist()
    return list(pairwise(edges))


def _train(
    replicas: Replicas,
    labels: list[Label],
    *,
    tasks: dict[str, Task],
    steps: int,
    loss: Loss,
    optimizer: Callable[[list[Tensor]], torch.optim.Optimizer],
    schedule: Schedule | None,
    clip: float | None,
    stops: list[int],
    tests: dict[str, TestSets],
    error: Error,
    report: Callable[[int], None],
) -> tuple[pd.DataFrame, Replicas]:
    """Train one stack on one thread, and return its rows of the table and the trained replicas."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two threads on tensors this small wait for each other longer than they work
    try:
        data = _Batches(tasks, labels, replicas.state)
        data.next()
        _check_shapes(replicas, data, loss)
        step = training_step(replicas, loss, data.x, data.y, own=data.own)
        fused = {"fused": True} if getattr(optimizer, "func", None) in (torch.optim.Adam, torch.optim.AdamW) else {}
        update = optimizer([replicas.state], **fused)
        lr = update.param_groups[0]["lr"]
        tables = []
        with torch.inference_mode():
            for done in range(steps + 1):
                if done in stops:
                    tables.append(_checkpoint(replicas, labels, done, step()[0], tests, error))
                    report(done * len(labels))
                if done < steps:
                    if done:
                        data.next()
                    if schedule is not None:
                        update.param_groups[0]["lr"] = lr * schedule(done / steps)
                    _, gradient = step()
                    if clip is not None:
                        # As torch.nn.utils.clip_grad_norm_, replica by replica.
                        gradient *= (clip / (gradient.norm(dim=0) + 1e-6)).clamp(max=1)
                    replicas.state.grad = gradient
                    update.step()
        replicas.state.grad = None
        return pd.concat(tables, ignore_index=True), replicas
    finally:
        torch.set_num_threads(threads)


class _Batches:
    """The replicas' batches, in two buffers that keep their place: x, of each replica or shared, and y of each."""

    def __init__(self, tasks: dict[str, Task], labels: list[Label], like: Tensor) -> None:
        self.tasks, self.like = tasks, like
        self.own = not next(iter(tasks.values())).shared
        # Models with the same task and seed train on the same data, which is drawn once for all of them.
        streams = list(dict.fromkeys((task, seed if self.own else None) for _, task, seed in labels))
        places = {stream: k for k, stream in enumerate(streams)}
        self.stream_of = torch.tensor([places[task, seed if self.own else None] for _, task, seed in labels])
        self.generators = {
            (task, seed): stream(SHARED_DATA) if seed is None else stream(DATA, seed) for task, seed in streams
        }
        self.fresh = any(tasks[task].fresh for task, _ in streams)
        self.block: Iterator[tuple[Tensor, Tensor]] = iter(())
        self.x = self.y = None

    def next(self) -> None:
        if self.x is not None and not self.fresh:
            return
        batch = next(self.block, None)
        if batch is None:
            self.block = self._draw()
            batch = next(self.block)
        if self.x is None:
            self.x, self.y = (part.clone() for part in batch)
            if self.own:
                self.x = self.x.movedim(-1, 0)
            self.y = self.y.movedim(-1, 0)
        else:
            self.x.copy_(batch[0].movedim(-1, 0) if self.own else batch[0])
            self.y.copy_(batch[1].movedim(-1, 0))

    def _draw(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of the next steps, the replica axis last."""
        drawn = [self.tasks[task].draw(g, BLOCK if self.fresh else 1) for (task, _), g in self.generators.items()]
        inputs, targets = zip(*drawn, strict=True)
        stream_of = self.stream_of.to(self.like.device)
        if self.own:
            xs = (x.index_select(-1, stream_of) for x in _like(torch.stack(inputs, -1), self.like))
        elif any(not torch.equal(inputs[0], other) for other in inputs[1:]):
            raise ValueError("expected tasks with shared inputs to draw the same ones, got different")
        else:
            xs = iter(_like(inputs[0], self.like))
        ys = (y.index_select(-1, stream_of) for y in torch.stack(targets, -1).to(self.like))
        return zip(xs, ys, strict=True)


def _check_shapes(replicas: Replicas, data: _Batches, loss: Loss) -> None:
    outputs = replicas(data.x, own=data.own)
    if outputs.shape != data.y.shape:
        raise ValueError(
            f"expected outputs of the shape of the targets, {tuple(data.y.shape[1:])}, got {tuple(outputs.shape[1:])}"
        )
    if (shape := vmap(loss)(outputs, data.y).shape[1:]) != ():
        raise ValueError(f"expected a loss that is a scalar for each replica, got one of shape {tuple(shape)}")


def _checkpoint(
    replicas: Replicas, labels: list[Label], step: int, losses: Tensor, tests: dict[str, TestSets], error: Error
) -> pd.DataFrame:
    models, tasks, seeds = zip(*labels, strict=True)
    diverged = ~(losses.isfinite() & replicas.state.isfinite().all(0))
    columns = {"model": models, "task": tasks, "seed": seeds, "step": step, "loss": losses.cpu()}
    columns["diverged"] = diverged.cpu()
    errors: dict[str, list[Tensor]] = {}
    for first, stop in _runs(tasks):
        part = replicas if stop - first == len(labels) else replicas.take(first, stop)
        for name, (x, y) in tests[tasks[first]].items():
            errors.setdefault(name, []).append(error(part(_like(x, replicas.state)), y.to(replicas.state)).cpu())
    return pd.DataFrame(columns | {name: torch.cat(parts) for name, parts in errors.items()})


def _like(x: Tensor, state: Tensor) -> Tensor:
    """Inputs on the device of the replicas, and in their dtype unless they are tokens."""
    return x.to(state) if x.is_floating_point() else x.to(state.device)


def _runs(keys: Sequence[object]) -> Iterator[tuple[int, int]]:
    """Where each run of equal neighbours starts and stops."""
    first = 0
    for _, group in groupby(keys):
        stop = first + len(list(group))
        yield first, stop
        first = stop


@contextmanager
def _progress(sizes: list[int]) -> Iterator[Callable[[int, int], None]]:
    """A bar over all processes, which write how far they are into a file; TQDM_DISABLE=1 silences it."""
    silent = os.environ.get("TQDM_DISABLE", "0") not in ("", "0")  # in a notebook, tqdm does not look for itself
    bar = tqdm(total=sum(sizes), unit=" network steps", unit_scale=True, leave=False, disable=silent)
    if bar.disable:
        yield _ignore
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "progress"
        done = np.memmap(path, dtype=np.int64, mode="w+", shape=len(sizes))
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.3):
                bar.n = int(done.sum())
                bar.refresh()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield partial(_write, path, len(sizes))
        finally:
            over.set()
            watcher.join()
            bar.close()


def _write(path: Path, jobs: int, job: int, done: int) -> None:
    np.memmap(path, dtype=np.int64, mode="r+", shape=jobs)[job] = done


def _ignore(job: int, done: int) -> None:
    pass


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
