"""The training loop. There is one, and it trains many replicas of several models at once."""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
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
from nalu.replicas import Build, Replicas, build, stackable
from nalu.tasks import Task

ELEMENTWISE = (torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.SGD, torch.optim.Adagrad)
"""Optimisers that treat each number apart, so that neighbours in a stack stay strangers."""

SMALLEST_PART = 400
"""A stack is cut into parts for several processes only where each part keeps this many replicas: fewer waste cores."""

BLOCK = 100
"""Steps whose random batches are drawn together, for drawing is slow by the call and fast by the number."""

COLUMNS = frozenset({"model", "seed", "step", "loss", "diverged"})

TestSets = Mapping[str, tuple[Float[Tensor, "batch in"], Float[Tensor, "batch out"]]]


@dataclass(frozen=True)
class Fit:
    """What training left.

    Attributes:
        table: a row for each model, seed and checkpoint, in this order: `model`, `seed`, `step` (updates done so far),
            `loss` (on the last training batch), `diverged` (a parameter or the loss is not finite), and for each test
            set the mean absolute error in a column of its name.
        replicas: the trained networks by model, in the order of the seeds.
        seconds: wall-clock time of the training.
        network_steps: updates of a network done in all.
    """

    table: pd.DataFrame
    replicas: dict[str, Replicas]
    seconds: float
    network_steps: int


def fit(
    models: Mapping[str, Build],
    task: Task,
    *,
    seeds: Iterable[int] = range(100),
    steps: int,
    lr: float,
    loss: Loss = F.mse_loss,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    checkpoints: int = 10,
    tests: TestSets | None = None,
    workers: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Fit:
    """Train one replica of every model for every seed.

    A replica draws its initial parameters and its data from its own seed, and trains as if it were alone: neither the
    other replicas nor the number of processes change it. One that diverges stays as it is and is recorded.

    Args:
        models: by name, a function that makes a network from a generator. Networks that differ only in their activation
            are trained in one stack.
        task: what to learn; see `nalu.tasks.Task`.
        seeds: one replica each.
        steps: updates of each network.
        lr: learning rate.
        loss: maps the output and the target of one replica to a scalar.
        optimizer: one of ELEMENTWISE, called with the parameters and lr.
        checkpoints: how often the table has a row, evenly spread up to the last step; and always one before the first.
        tests: by name, inputs and targets on which the mean absolute error is taken at each checkpoint.
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
    checks.at_least(len(seeds), 1, "number of replicas")
    if not isinstance(models, Mapping):
        raise TypeError(f"models: expected functions by name, got {type(models).__name__}")
    checks.at_least(len(models), 1, "number of models")
    checks.at_least(steps, 1, "steps")
    checks.at_least(checkpoints, 1, "checkpoints")
    checks.positive(lr, "learning rate")
    workers = checks.at_least(_cores() if workers is None else workers, 1, "workers")
    if not dtype.is_floating_point:
        raise ValueError(f"expected a floating-point dtype, got {dtype}")
    if taken := sorted(COLUMNS.intersection(tests or {})):
        raise ValueError(f"expected test sets with names other than the table's columns, got {', '.join(taken)}")
    if getattr(optimizer, "func", optimizer) not in ELEMENTWISE:
        raise ValueError(f"expected an optimizer among {[o.__name__ for o in ELEMENTWISE]}, got {optimizer!r}")

    start = time.perf_counter()
    stacks = _stacks(models, seeds, dtype, device)
    train = partial(
        _train, task=task, steps=steps, loss=loss, optimizer=partial(optimizer, lr=lr),
        stops=sorted({0, *np.linspace(0, steps, checkpoints + 1).round().astype(int).tolist()}), tests=tests or {},
    )  # fmt: skip
    jobs = [(stack, part) for stack in stacks for part in _parts(len(stack.replicas), workers)]
    sizes = [(stop - first) * steps for _, (first, stop) in jobs]
    with _progress(sizes) as counter:
        results = Parallel(min(workers, len(jobs)), batch_size=1)(
            delayed(train)(stack.replicas.take(*part), stack.labels[slice(*part)], report=partial(counter, k))
            for k, (stack, part) in enumerate(jobs)
        )
    for (stack, (first, _)), (_, trained) in zip(jobs, results, strict=True):
        stack.replicas.put(first, trained)
    replicas = {name: part for stack in stacks for name, part in stack.by_model(len(seeds))}
    table = pd.concat([table for table, _ in results], ignore_index=True)
    table["model"] = pd.Categorical(table["model"], categories=list(models))
    table["seed"] = pd.Categorical(table["seed"], categories=seeds)  # in their order, which is that of the replicas
    table = table.sort_values(["model", "seed", "step"], ignore_index=True).astype({"seed": "int64"})
    return Fit(table, {name: replicas[name] for name in models}, time.perf_counter() - start, sum(sizes))


@dataclass(frozen=True)
class _Stack:
    """Models that share a stack, and for each of its replicas the model's name and the seed."""

    replicas: Replicas
    labels: list[tuple[str, int]]

    def by_model(self, n: int) -> Iterator[tuple[str, Replicas]]:
        for first in range(0, len(self.labels), n):
            yield self.labels[first][0], self.replicas.take(first, first + n)


def _stacks(
    models: Mapping[str, Build], seeds: list[int], dtype: torch.dtype, device: torch.device | str
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
        replicas = Replicas([network for networks in family.values() for network in networks])
        stacks.append(_Stack(replicas.to(dtype).to(device), [(name, seed) for name in family for seed in seeds]))
    # Long jobs first, so that short ones fill the gaps.
    return sorted(stacks, key=lambda stack: stack.replicas.state.numel(), reverse=True)


def _parts(replicas: int, workers: int) -> list[tuple[int, int]]:
    """Cut a stack in neighbouring parts of nearly equal size, one for each worker unless they would be too small."""
    edges = np.linspace(0, replicas, max(1, min(workers, replicas // SMALLEST_PART)) + 1).round().astype(int).tolist()
    return list(pairwise(edges))


def _train(
    replicas: Replicas,
    labels: list[tuple[str, int]],
    *,
    task: Task,
    steps: int,
    loss: Loss,
    optimizer: Callable[[list[Tensor]], torch.optim.Optimizer],
    stops: list[int],
    tests: TestSets,
    report: Callable[[int], None],
) -> tuple[pd.DataFrame, Replicas]:
    """Train one stack on one thread, and return its rows of the table and the trained replicas."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two threads on tensors this small wait for each other longer than they work
    try:
        data = _Batches(task, [seed for _, seed in labels], replicas.state)
        data.next()
        _check_shapes(replicas, data, loss)
        step = training_step(replicas, loss, data.x, data.y)
        fused = {"fused": True} if getattr(optimizer, "func", None) in (torch.optim.Adam, torch.optim.AdamW) else {}
        update = optimizer([replicas.state], **fused)
        tables = []
        with torch.inference_mode():
            for done in range(steps + 1):
                if done in stops:
                    tables.append(_checkpoint(replicas, labels, done, step()[0], tests))
                    report(done * len(labels))
                if done < steps:
                    if task.fresh and done:
                        data.next()
                    _, replicas.state.grad = step()
                    update.step()
        replicas.state.grad = None
        return pd.concat(tables, ignore_index=True), replicas
    finally:
        torch.set_num_threads(threads)


class _Batches:
    """The replicas' batches, each replica's from a generator of its own, in two buffers that keep their place."""

    def __init__(self, task: Task, seeds: list[int], like: Tensor) -> None:
        self.task, self.like = task, like
        # The data's stream is another one than the initialisation's.
        self.generators = [torch.Generator().manual_seed(2**32 + seed) for seed in seeds]
        self.block: Iterator[tuple[Tensor, Tensor]] = iter(())
        self.x = self.y = None

    def next(self) -> None:
        batch = next(self.block, None)
        if batch is None:
            drawn = [self.task.draw(g, BLOCK if self.task.fresh else 1) for g in self.generators]
            x, y = (torch.stack(part, -1).to(self.like) for part in zip(*drawn, strict=True))
            self.block = zip(x, y, strict=True)
            batch = next(self.block)
        if self.x is None:
            self.x, self.y = (part.clone().movedim(-1, 0) for part in batch)
        else:
            self.x.copy_(batch[0].movedim(-1, 0))
            self.y.copy_(batch[1].movedim(-1, 0))


def _check_shapes(replicas: Replicas, data: _Batches, loss: Loss) -> None:
    outputs = replicas(data.x)
    if outputs.shape != data.y.shape:
        raise ValueError(
            f"expected outputs of the shape of the targets, {tuple(data.y.shape[1:])}, got {tuple(outputs.shape[1:])}"
        )
    if (shape := vmap(loss)(outputs, data.y).shape[1:]) != ():
        raise ValueError(f"expected a loss that is a scalar for each replica, got one of shape {tuple(shape)}")


def _checkpoint(
    replicas: Replicas, labels: list[tuple[str, int]], step: int, losses: Tensor, tests: TestSets
) -> pd.DataFrame:
    names, seeds = zip(*labels, strict=True)
    diverged = ~(losses.isfinite() & replicas.state.isfinite().all(0))
    columns = {"model": names, "seed": seeds, "step": step, "loss": losses.cpu(), "diverged": diverged.cpu()}
    for name, (x, y) in tests.items():
        columns[name] = mean_absolute_error(replicas(x.to(replicas.state)), y.to(replicas.state)).cpu()
    return pd.DataFrame(columns)


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
