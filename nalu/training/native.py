"""Training with compiled steps: replicas in blocks of sixteen, blocks that share data in groups, groups on threads.

What a replica becomes depends on its seed, its task and its recipe alone: not on who shares its block, nor on how many
blocks, groups and threads there are.
"""

import copy
import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool
from torch import nn

from nalu import checks
from nalu.engine import compiler
from nalu.engine.compiler import CompilerFailed, NoCompiler
from nalu.engine.kernel import LANES, Kernel, Layout, Points, Work
from nalu.engine.tracing import Unknown
from nalu.training.batches import like
from nalu.training.data import LONG, Drawn, Picked, Uniform, pooled
from nalu.training.metrics import mean_absolute_error, mean_squared_error
from nalu.training.models import Model
from nalu.training.replicas import Replicas
from nalu.training.restarts import Restarts
from nalu.training.watch import Columns, Label, columns

ERRORS = {mean_absolute_error: False, mean_squared_error: True}
"""The errors that are computed in C, and whether they are squares."""


def compiled(models: Mapping[str, Model], workers: int) -> tuple[dict[str, Kernel], dict[str, str]]:
    """C for the models that have one, and for each model how it is trained: "native", or "torch" and why.

    The environment variable NALU_ENGINE forces one of them.

    Raises:
        ValueError: NALU_ENGINE is neither; or it is native, and a model has no C.
    """
    forced = os.environ.get("NALU_ENGINE", "")
    checks.one_of(forced, ["", "native", "torch"], "NALU_ENGINE")
    found: dict[str, Kernel] = {}
    engines = dict.fromkeys(models, "torch, as NALU_ENGINE asks")
    if forced == "torch":
        return found, engines
    for name, model in models.items():
        try:
            found[name] = _kernel(model)
            engines[name] = "native"
        except Unknown as reason:
            engines[name] = f"torch, for there is no C for {reason}"
        except RuntimeError as error:  # of the trace; the other way may know what to do
            engines[name] = f"torch, for its step cannot be recorded: {(str(error) or repr(error)).splitlines()[0]}"
    futures: dict[str, Future[str | None]] = {}
    with ThreadPoolExecutor(workers) as pool:
        try:
            for name, kernel in found.items():
                futures[name] = pool.submit(_compile, kernel)
            problems = {name: future.result() for name, future in futures.items()}
        except BaseException:  # an interrupt, which comes to this thread alone
            pool.shutdown(wait=False, cancel_futures=True)
            while wait(futures.values(), timeout=0.05).not_done:  # one of them may be about to start its compiler
                compiler.stop()
            raise
    if problems := {name: problem for name, problem in problems.items() if problem}:
        engines |= {name: f"torch, for {problem}" for name, problem in problems.items()}
        warnings.warn(f"training takes the slow way: {next(iter(problems.values()))}", stacklevel=3)
    found = {name: kernel for name, kernel in found.items() if engines[name] == "native"}
    if forced and (others := [f"{name}: {how}" for name, how in engines.items() if name not in found]):
        raise ValueError(f"NALU_ENGINE: expected models that can all be trained natively, got {'; '.join(others)}")
    return found, engines


def _compile(kernel: Kernel) -> str | None:
    """Compile, and say what was in the way."""
    try:
        kernel.library  # noqa: B018
    except (NoCompiler, CompilerFailed, OSError) as problem:  # also a library that cannot be loaded from where it is
        return str(problem).splitlines()[0]
    return None


def _kernel(model: Model) -> Kernel:
    """The C of a model.

    Raises:
        Unknown: something in it has none.
    """
    state, task, watch = model.replicas.state, model.task, model.watch
    if state.device.type != "cpu":
        raise Unknown(f"the device {state.device}")
    network = copy.deepcopy(model.replicas.network).to(state.dtype).requires_grad_()
    if model.scaled:
        scales = [f"scale_{k}" for k in range(len(task.scales))]
        layout = Layout([torch.full(task.noise, 0.25)], numbers=scales, examples=model.examples)
    else:
        x, y = task.draw(torch.Generator().manual_seed(0), 1)
        layout = Layout([x[0], y[0]], shared=task.shared)
    inputs = [x for sets in watch.tests.values() for x, _ in sets.values()]
    return Kernel(network, model.recipe, layout, inputs=inputs, measures=watch.measures, dtype=state.dtype)


@dataclass(eq=False)
class Block:
    """Up to sixteen replicas of one task.

    Attributes:
        labels: of its lanes.
        columns: where the lanes come from.
        state: parameters and moments, (numbers, 16).
        numbers: of all steps, (steps, numbers).
        left: the lanes that are still in training.
        losses: of the steps of one call.
        restarts: what decides which lanes start anew.
    """

    task: str
    labels: list[Label]
    columns: list[int]
    state: np.ndarray
    numbers: np.ndarray
    left: Bool[np.ndarray, " lane"]
    losses: np.ndarray
    restarts: Restarts | None = None


def numbers(model: Model, kernel: Kernel, task: str) -> np.ndarray:
    """What each step is told, with the scales of a task."""
    scales = model.tasks[task].scales if model.scaled else ()
    told = kernel.array(model.steps, len(model.numbers) + len(scales))
    for k, column in enumerate([*model.numbers, *scales]):
        told[:, k] = column
    return told


TestPoints = Mapping[str, Points | None]
"""Test sets by name; None where C is not known for them."""


class Group:
    """Blocks that train on the same data, on one thread."""

    def __init__(
        self,
        model: Model,
        kernel: Kernel,
        blocks: list[Block],
        seeds: Sequence[int],
        points: Mapping[str, TestPoints],
    ) -> None:
        self.model, self.kernel, self.blocks, self.points = model, kernel, blocks, points
        if model.scaled:
            self.data = Uniform(kernel, seeds, kept=model.recipe.restart is not None)
        else:
            tasks = {block.task: model.tasks[block.task] for block in blocks}
            self.data = (Picked if pooled(tasks) else Drawn)(kernel, tasks, seeds)
        self.work = Work(kernel)
        self.loss = kernel.array(1, LANES)

    @property
    def size(self) -> int:
        return sum(len(block.labels) for block in self.blocks)

    @property
    def left(self) -> bool:
        return any(block.left.any() for block in self.blocks)

    def advance(self, done: int, stop: int) -> int:
        """Train from step `done` towards `stop`, and return how far that went."""
        blocks = [block for block in self.blocks if block.left.any()]
        steps = min(stop - done, self.data.ready())
        before = [block.state.copy() for block in blocks] if self.model.recipe.restart else []
        self.data.train(blocks, done, steps, self.work)
        for block, state in zip(blocks, before, strict=bool(before)):
            self._start_anew(block, state, done, steps)
        return done + steps

    def checkpoint(self, step: int) -> list[Columns]:
        """The table's columns for the lanes that are left, block by block."""
        return [self._checkpoint(block, step) for block in self.blocks if block.left.any()]

    def retire(self, found: Sequence[Columns]) -> None:
        """Leave out lanes, by what the last checkpoint found; a block without any is trained no more."""
        for block, row in zip([block for block in self.blocks if block.left.any()], found, strict=True):
            lanes = np.flatnonzero(block.left)
            gone = np.zeros(LANES, bool)
            gone[lanes[np.asarray(self.model.watch.retire(pd.DataFrame(row)), dtype=bool)]] = True
            self._store(block, gone)
            block.left &= ~gone

    def store(self) -> None:
        """Put the parameters of all lanes that are left where they came from."""
        for block in self.blocks:
            self._store(block, block.left)

    def _start_anew(self, block: Block, before: np.ndarray, first: int, steps: int) -> None:
        """Restart the lanes for which it was time on the way: go back, and only as far as there, then on."""
        end = first + steps
        while (due := block.restarts.due(first, block.losses[: end - first])) is not None:
            stop, lanes = due
            block.state[:] = before
            self._again(block, first, stop, end)
            for lane in lanes:
                fresh = nn.utils.parameters_to_vector(block.restarts.anew(lane, stop))
                block.state[: self.kernel.parameters, lane] = fresh.numpy()
            if stop == end:
                return
            before, first = block.state.copy(), stop
            self._again(block, first, end, end)

    def _again(self, block: Block, first: int, stop: int, end: int) -> None:
        """Train a block from step `first` up to `stop`, on data that reaches to `end`."""
        batch, stride = self.data.batch(block.task, end - first)
        self.kernel.train(block.state, batch, stride, block.numbers[first:stop], block.losses, self.work)

    def _checkpoint(self, block: Block, step: int) -> Columns:
        """The table's columns for the lanes that are left."""
        kernel, lanes = self.kernel, np.flatnonzero(block.left)
        trial = kernel.array(*block.state.shape)  # which lies where vectors may, as a copy need not
        trial[:] = block.state
        kernel.train(trial, *self.data.batch(block.task), block.numbers[:1], self.loss, self.work)
        finite = np.isfinite(block.state[: kernel.parameters, lanes]).all(0)
        told = columns([block.labels[lane] for lane in lanes], step, self.loss[0, lanes], finite)
        for name, points in self.points[block.task].items():
            told[name] = self._errors(block, name, points)[lanes].astype(kernel.dtype)
        for name, measure in self.model.watch.measures.items():
            known = name in kernel.measures
            told[name] = (
                kernel.measure(block.state, name, self.work) if known else self._replicas(block).each(measure).numpy()
            )[lanes]
        return told

    def _errors(self, block: Block, name: str, points: Points | None) -> np.ndarray:
        """The error of each lane on a test set."""
        kernel, error = self.kernel, self.model.watch.error
        if points is not None and error in ERRORS:
            return kernel.errors(block.state, points, ERRORS[error], self.work)
        x, y = self.model.watch.tests[block.task][name]
        y = y.to(self.model.replicas.state)
        if points is None:  # no C is known for it
            return error(self._replicas(block)(like(x, self.model.replicas.state)), y).numpy()
        outputs = torch.from_numpy(kernel.predict(block.state, points, self.work)).movedim(-1, 0)
        return error(outputs.reshape(-1, *y.shape), y).numpy()

    def _replicas(self, block: Block) -> Replicas:
        """The networks of a block, one for each lane."""
        return self.model.replicas.of(torch.from_numpy(block.state[: self.kernel.parameters].copy()))

    def _store(self, block: Block, lanes: Bool[np.ndarray, " lane"]) -> None:
        """Put trained parameters where they came from."""
        for lane in np.flatnonzero(lanes):
            trained = block.state[: self.kernel.parameters, lane]
            self.model.replicas.state[:, block.columns[lane]] = torch.from_numpy(trained.copy())


def groups(model: Model, kernel: Kernel, workers: int) -> list[Group]:
    """Cut the replicas of a model, whose labels are in the order of tasks and seeds, in groups for so many threads."""
    replicas, labels = model.replicas, model.labels
    tables = {task: numbers(model, kernel, task) for task in model.tasks}
    points = {
        task: {
            name: kernel.points(x, y) if tuple(x.shape[1:]) in kernel.outputs else None for name, (x, y) in sets.items()
        }
        for task, sets in model.watch.tests.items()
    }
    places = {label[1:]: k for k, label in enumerate(labels)}
    seeds = list(dict.fromkeys(label[2] for label in labels))
    parts = [seeds[k : k + LANES] for k in range(0, len(seeds), LANES)]
    tasks = list(model.tasks)
    pieces = [(part, task) for part in parts for task in tasks]
    if kernel.shared_size:  # drawn once for a group, however many blocks
        count = min(workers, len(pieces))
        cut = [pieces[k::count] for k in range(count)]
    else:  # drawn for each part of the seeds, once for all tasks if they share that
        cut = [[(part, task) for task in tasks] for part in parts]
        if len(cut) < workers:
            cut = [half for piece in cut for half in (piece[::2], piece[1::2]) if half]
    found = []
    for piece in cut:
        blocks = []
        for part, task in piece:
            own = [places[task, seed] for seed in part]
            block = Block(
                task, [labels[k] for k in own], own, kernel.state(replicas.state[:, own].numpy()), tables[task],
                np.arange(LANES) < len(own), kernel.array(LONG, LANES),
            )  # fmt: skip
            if model.recipe.restart is not None:
                block.restarts = Restarts(model, [part[min(lane, len(part) - 1)] for lane in range(LANES)])
            blocks.append(block)
        found.append(Group(model, kernel, blocks, piece[0][0], points))
    return found
