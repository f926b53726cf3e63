"""Training without C: the step of `nalu.engine.step` under vmap, for all replicas of a model at once, on any device.

It takes some milliseconds a step, and knows all that torch knows.
"""

import copy
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.func import vmap

from nalu.engine.optimisers import optimiser
from nalu.engine.step import training_step
from nalu.streams import DATA, SHARED_DATA, stream
from nalu.training.batches import AHEAD, Shapes, drawn, like, shapes_of
from nalu.training.models import Model
from nalu.training.restarts import Restarts
from nalu.training.watch import Columns, columns


class Stack:
    """The replicas of a model; those that are retired go on, but nobody looks at them."""

    def __init__(self, model: Model) -> None:
        self.model, state = model, model.replicas.state
        self.size, self.going = len(model.labels), np.ones(len(model.labels), bool)
        moments = optimiser(model.recipe.optimizer).moments
        self.parameters = [p.clone() for p in model.replicas.parameters().values()]
        self.moments = [[torch.full_like(p, start) for start in moments] for p in self.parameters]
        self.data = _Data(model)
        self.numbers = torch.from_numpy(np.stack(model.numbers, 1)).to(state)
        scales = [model.tasks[task].scales for _, task, _ in model.labels] if model.scaled else []
        self.scales = [torch.tensor(scale, dtype=torch.float64).to(state) for scale in zip(*scales, strict=True)]
        network = copy.deepcopy(model.replicas.network).to(state).train()
        axes = [None] * self.numbers.shape[1] + [0] * len(self.scales)
        self.step = vmap(training_step(network, model.recipe, model.examples), (0, 0, self.data.axes, axes))
        seeds = [seed for *_, seed in model.labels]
        self.restarts = None if model.recipe.restart is None else Restarts(model, seeds)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they come again
            self._step(0)  # what cannot be trained says so before others are

    def _step(self, k: int) -> tuple[list[Tensor], list[list[Tensor]], Tensor]:
        """With the numbers of step k, on the batch that the data are at."""
        try:
            return self.step(self.parameters, self.moments, self.data.batch(), [*self.numbers[k], *self.scales])
        except RuntimeError as error:  # of vmap: forward has been tried before
            raise ValueError(
                f"{self.model.name}: expected a unit that can be trained in a stack of replicas, whose gradient, "
                f"penalty() and project_() are made of operations that vmap knows, got: {error}"
            ) from error

    @property
    def left(self) -> bool:
        return bool(self.going.any())

    def advance(self, done: int, stop: int) -> int:
        """One step, after so many."""
        if done:
            self.data.next()
        self.parameters, self.moments, losses = self._step(done)
        if self.restarts is not None and (due := self.restarts.due(done, losses.cpu().numpy()[None])):
            for r in due[1]:
                for p, fresh in zip(self.parameters, self.restarts.anew(r, done + 1), strict=True):
                    p[r] = fresh
        return done + 1

    def checkpoint(self, step: int) -> list[Columns]:
        """The table's columns for the replicas that are left."""
        watch, lanes, (*_, losses) = self.model.watch, np.flatnonzero(self.going), self._step(0)
        labels = [self.model.labels[r] for r in lanes]
        replicas = self.model.replicas.of(self._state()[:, lanes])
        finite = replicas.state.isfinite().all(0).cpu().numpy()
        told = columns(labels, step, losses[lanes].cpu().numpy(), finite)
        tasks = np.array(told["task"])
        for name in next(iter(watch.tests.values())):
            told[name] = np.empty(len(lanes), told["loss"].dtype)
            for task in dict.fromkeys(told["task"]):
                x, y = watch.tests[task][name]
                part = replicas.of(replicas.state[:, tasks == task])
                error = watch.error(part(like(x, replicas.state)), y.to(replicas.state))
                told[name][tasks == task] = error.cpu()
        return [told | {name: replicas.each(measure).cpu().numpy() for name, measure in watch.measures.items()}]

    def retire(self, found: Sequence[Columns]) -> None:
        """Leave out replicas, by what the last checkpoint found."""
        (row,), lanes = found, np.flatnonzero(self.going)
        self._put(lanes[np.asarray(self.model.watch.retire(pd.DataFrame(row)), dtype=bool)])

    def store(self) -> None:
        """Put the parameters of all that are left where they came from."""
        self._put(np.flatnonzero(self.going))

    def _put(self, lanes: np.ndarray) -> None:
        self.model.replicas.state[:, lanes] = self._state()[:, lanes]
        self.going[lanes] = False

    def _state(self) -> Tensor:
        return torch.cat([p.flatten(1) if p.ndim > 1 else p.unsqueeze(1) for p in self.parameters], 1).T.contiguous()


class _Data:
    """The replicas' batches. What has the same stream is drawn once: that of a task and seed, or of scaled tasks' seed.

    Attributes:
        axes: of each part of a batch, where the replicas are.
    """

    def __init__(self, model: Model) -> None:
        self.tasks, self.scaled, self.like = model.tasks, model.scaled, model.replicas.state
        self.noise = model.task.noise if self.scaled else None
        first, shared = next(iter(self.tasks)), model.task.shared
        keys = [(first if self.scaled else task, None if shared else seed) for _, task, seed in model.labels]
        places = {key: k for k, key in enumerate(dict.fromkeys(keys))}
        self.generators = {key: stream(SHARED_DATA) if key[1] is None else stream(DATA, key[1]) for key in places}
        self.stream_of = torch.tensor([places[key] for key in keys], device=self.like.device)
        self.axes = [0] if self.scaled else [None if shared else 0, 0]
        self.fresh, self.shapes = any(task.fresh for task in self.tasks.values()), None
        self._draw()

    def batch(self) -> list[Tensor]:
        """The current one: inputs and targets, or the noise that they are made of."""
        at = self.used
        return [
            part[0, at] if axis is None else part[self.stream_of, at]
            for part, axis in zip(self.parts, self.axes, strict=True)
        ]

    def next(self) -> None:
        """Go on to the batch of the next step."""
        self.used += self.fresh
        if self.used == self.parts[0].shape[1]:
            self._draw()

    def _draw(self) -> None:
        self.used, steps, found = 0, AHEAD if self.fresh else 1, []
        for (task, _), generator in self.generators.items():
            if self.scaled:
                found.append([torch.rand(steps, *self.noise, generator=generator)])
            else:
                found.append(drawn(self.tasks[task], task, generator, steps, self.shapes))
                self.shapes: Shapes | None = shapes_of(found[-1])
        inputs, *targets = (torch.stack(parts) for parts in zip(*found, strict=True))
        self.parts = [like(inputs, self.like), *(part.to(self.like) for part in targets)]
