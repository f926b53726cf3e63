"""Data for compiled steps: what sixteen replicas train on, from uniform random numbers, a task's `draw`, or a set."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from nalu.engine.kernel import LANES, Kernel, Streams, Work, array
from nalu.streams import DATA, SHARED_DATA, stream
from nalu.tasks import Pooled, Task
from nalu.training.batches import AHEAD, Shapes, drawn, shapes_of

SEGMENT = 100
"""The most steps of one call whose data has to be there after it."""

LONG = 500
"""The most steps of one call of C, so that an interrupt does not wait."""

CACHED = 2**18
"""Bytes of random numbers that are drawn at once: they are read again for each task while they are at hand."""

PICKED = 2**20
"""Bytes of batches that are picked at once for each task."""


class Block(Protocol):
    """What trains on the data: up to sixteen replicas of one task, see `nalu.training.native.Block`."""

    task: str
    state: np.ndarray
    numbers: np.ndarray
    losses: np.ndarray


class Uniform:
    """Data made of uniform random numbers, which all blocks of a group share: drawn in C, a few steps ahead.

    Args:
        kept: whether the data of all steps of one `train` is to be there after it.
    """

    def __init__(self, kernel: Kernel, seeds: Sequence[int], kept: bool) -> None:
        self.kernel, self.size = kernel, kernel.own_size
        seeds = [stream(DATA, seed).initial_seed() for seed in seeds]
        self.ahead = SEGMENT if kept else max(1, CACHED // (self.size * LANES * np.dtype(kernel.dtype).itemsize))
        self.limit = SEGMENT if kept else LONG
        self.drawn = kernel.array(self.ahead * self.size, LANES)
        Streams(kernel, seeds).fill(self.drawn[: self.size])  # to look at before the first step draws it again
        self.streams, self.there = Streams(kernel, seeds), 1

    def ready(self) -> int:
        """The most steps that `train` can do."""
        return self.limit

    def train(self, blocks: Sequence[Block], first: int, steps: int, work: Work) -> None:
        """Train blocks, which have done `first` steps, for so many more."""
        parts = [(block.state, block.numbers[first : first + steps], block.losses) for block in blocks]
        self.kernel.advance(self.streams, self.drawn, self.ahead, parts, work)
        self.there = (steps - 1) % self.ahead + 1

    def batch(self, task: str, back: int = 1) -> tuple[np.ndarray, int]:
        """The data of the last step, or of one further back, and the distance to that of the step after it."""
        return self.drawn[(self.there - back) * self.size :], self.size


class Drawn:
    """Data that a task's `draw` returns, of each replica or of all."""

    def __init__(self, kernel: Kernel, tasks: Mapping[str, Task], seeds: Sequence[int]) -> None:
        self.kernel, self.tasks = kernel, tasks
        self.shared = bool(kernel.shared_size)
        self.size = kernel.shared_size or kernel.own_size
        self.fresh = any(task.fresh for task in tasks.values())
        self.generators = {
            task: [stream(SHARED_DATA)] if self.shared else [stream(DATA, seed) for seed in seeds] for task in tasks
        }
        self.steps = AHEAD if self.fresh else 1
        shape = (self.steps * self.size,) if self.shared else (self.steps * self.size, LANES)
        self.drawn = {task: kernel.array(*shape) for task in tasks}
        self.shapes: Shapes | None = None
        self._draw()

    def _draw(self) -> None:
        self.used = 0
        for name, task in self.tasks.items():
            for lane, generator in enumerate(generators := self.generators[name]):
                pair = drawn(task, name, generator, self.steps, self.shapes)
                self.shapes = shapes_of(pair)
                parts = [part.reshape(self.steps, -1) for part in pair]
                both = torch.cat(parts, 1).reshape(-1).numpy()
                if self.shared:
                    self.drawn[name][:] = both
                else:
                    stop = lane + 1 if lane + 1 < len(generators) else LANES
                    self.drawn[name][:, lane:stop] = both[:, None]

    def ready(self) -> int:
        """The most steps that `train` can do."""
        if not self.fresh:
            return SEGMENT
        if self.used == self.steps:
            self._draw()
        return self.steps - self.used

    def train(self, blocks: Sequence[Block], first: int, steps: int, work: Work) -> None:
        """Train blocks, which have done `first` steps, for so many more."""
        self.used += steps
        for block in blocks:
            batch, stride = self.batch(block.task, steps)
            self.kernel.train(block.state, batch, stride, block.numbers[first : first + steps], block.losses, work)

    def batch(self, task: str, back: int = 1) -> tuple[np.ndarray, int]:
        """The data of the last step, or of one further back, and the distance to that of the step after it."""
        return self.drawn[task][max(self.used - back, 0) * self.size * self.fresh :], self.size * self.fresh


class Picked(Drawn):
    """Batches of points from a training set, which each replica picks by itself: drawn in C, and once for all tasks."""

    def __init__(self, kernel: Kernel, tasks: Mapping[str, Pooled], seeds: Sequence[int]) -> None:
        self.kernel, self.size, self.fresh = kernel, kernel.own_size, True
        self.batch_size = next(iter(tasks.values())).batch
        self.streams = Streams(kernel, [stream(DATA, seed).initial_seed() for seed in seeds])
        self.pools = {name: [_rows(part, kernel) for part in task.pool] for name, task in tasks.items()}
        self.same_inputs = all(np.array_equal(x, next(iter(self.pools.values()))[0]) for x, _ in self.pools.values())
        self.steps = max(1, min(SEGMENT, PICKED // (self.size * LANES * np.dtype(kernel.dtype).itemsize)))
        self.rows = array(self.steps * self.batch_size, LANES, dtype=np.uint32)
        self.drawn = {name: kernel.array(self.steps * self.size, LANES) for name in tasks}
        self._draw()

    def _draw(self) -> None:
        self.used, first = 0, None
        self.streams.below(len(next(iter(self.pools.values()))[0]), self.rows)
        for name, (x, y) in self.pools.items():
            inputs = self.batch_size * x.shape[1]
            drawn = self.drawn[name]
            if first is None or not self.same_inputs:
                self.kernel.take(self.rows, x, drawn, self.steps, self.size)
                first = drawn
            else:  # of another task, in the same rows
                by_step = (self.steps, self.size, LANES)
                drawn.reshape(by_step)[:, :inputs] = first.reshape(by_step)[:, :inputs]
            self.kernel.take(self.rows, y, drawn[inputs:], self.steps, self.size)


def _rows(part: Tensor, kernel: Kernel) -> np.ndarray:
    rows = kernel.array(len(part), part[0].numel())
    rows[:] = part.reshape(len(part), -1).numpy()
    return rows


def pooled(tasks: Mapping[str, Task]) -> bool:
    """Whether each replica picks its batches from sets of the same size."""
    pooled = all(isinstance(task, Pooled) and task.fresh and not task.shared for task in tasks.values())
    return pooled and len({(task.batch, len(task.pool[0])) for task in tasks.values()}) == 1
