"""The training data of a stack of replicas, drawn in blocks."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from nalu.streams import DATA, SHARED_DATA, stream
from nalu.tasks import Scaled, Task

BLOCK = 100
"""Steps whose random batches are drawn together, for drawing is slow by the call and fast by the number."""


class Batches:
    """The replicas' batches, in two buffers that keep their place: x, of each replica or shared, and y of each.

    Models with the same task and seed train on the same data, which is drawn once for all of them; tasks of one family
    (`nalu.tasks.Scaled`) with the same seed, on the same noise.

    Args:
        tasks: by name.
        replicas: the task and the seed of each replica.
        like: a tensor of the dtype and device that the replicas have.
    """

    def __init__(self, tasks: Mapping[str, Task], replicas: Sequence[tuple[str, int]], like: Tensor) -> None:
        self.tasks, self.like = tasks, like
        first = next(iter(tasks))
        self.own = not tasks[first].shared
        self.scaled = all(isinstance(task, Scaled) for task in tasks.values()) and self.own
        self.scaled = self.scaled and len({task.family for task in tasks.values()}) == 1
        keys = [(first if self.scaled else task, seed if self.own else None) for task, seed in replicas]
        places = {key: k for k, key in enumerate(dict.fromkeys(keys))}
        self.stream_of = torch.tensor([places[key] for key in keys], device=like.device)
        columns = zip(*(tasks[task].scales for task, _ in replicas), strict=True) if self.scaled else ()
        self.scales = [torch.tensor(column, dtype=torch.float64).to(like) for column in columns]
        self.generators = {key: stream(SHARED_DATA) if key[1] is None else stream(DATA, key[1]) for key in places}
        self.fresh = any(tasks[task].fresh for task, _ in places)
        self.block: Iterator[tuple[Tensor, Tensor]] = iter(())
        self.x = self.y = self.shapes = None
        self.next()

    def next(self) -> None:
        """Put the next step's batch into x and y."""
        if self.x is not None and not self.fresh:
            return
        batch = next(self.block, None)
        if batch is None:
            self.block = self._draw()
            batch = next(self.block)
        x, y = self._examples(*batch)
        if self.x is None:
            self.x, self.y = x.clone(), y.clone().movedim(-1, 0)
            if self.own:
                self.x = self.x.movedim(-1, 0)
        else:
            self.x.copy_(x.movedim(-1, 0) if self.own else x)
            self.y.copy_(y.movedim(-1, 0))

    def keep(self, left: np.ndarray) -> None:
        """Go on with the replicas at these indices only."""
        kept = torch.as_tensor(left, device=self.like.device)
        self.stream_of = self.stream_of[kept]
        self.scales = [scale[kept] for scale in self.scales]
        if self.own:
            self.x = self.x.movedim(0, -1)[..., kept].movedim(-1, 0)
        self.y = self.y.movedim(0, -1)[..., kept].movedim(-1, 0)

    def _examples(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """From a step's batch of each stream to one of each replica, the replica axis last."""
        if self.scaled:
            noise = x.index_select(-1, self.stream_of)
            return next(iter(self.tasks.values())).examples(noise, *self.scales)
        return x.index_select(-1, self.stream_of) if self.own else x, y.index_select(-1, self.stream_of)

    def _draw(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of the next steps, the streams' axis last; of scaled tasks the noise, twice."""
        if self.scaled:
            shape = next(iter(self.tasks.values())).noise
            noise = [torch.rand(BLOCK, *shape, generator=g) for g in self.generators.values()]
            xs = torch.stack(noise, -1).to(self.like)
            return zip(xs, xs, strict=True)
        steps = BLOCK if self.fresh else 1
        pairs = []
        for (task, _), g in self.generators.items():
            pairs.append(drawn(self.tasks[task], task, g, steps, self.shapes))
            self.shapes = shapes_of(pairs[0])
        inputs, targets = zip(*pairs, strict=True)
        if not self.own and any(not torch.equal(inputs[0], other) for other in inputs[1:]):
            raise ValueError("expected tasks with shared inputs to draw the same ones, got different")
        xs = like(torch.stack(inputs, -1) if self.own else inputs[0], self.like)
        return zip(xs, torch.stack(targets, -1).to(self.like), strict=True)


Shapes = tuple[tuple[int, ...], tuple[int, ...]]
"""Those of a step's inputs and targets."""


def drawn(
    task: Task, name: str, generator: torch.Generator, steps: int, shapes: Shapes | None = None
) -> tuple[Tensor, Tensor]:
    """What a task draws, if it is what it should be: inputs and targets of batches for so many steps.

    Args:
        shapes: of each step, as the first time.

    Raises:
        TypeError, ValueError: it is something else.
    """
    pair = task.draw(generator, steps)
    if not isinstance(pair, tuple | list) or [isinstance(part, Tensor) for part in pair] != [True, True]:
        got = [type(part).__name__ for part in pair] if isinstance(pair, tuple | list) else type(pair).__name__
        raise TypeError(f"{_named(name)}: expected draw to return inputs and targets, a pair of tensors, got {got}")
    if any(part.ndim < 2 or len(part) != steps for part in pair):
        raise ValueError(
            f"{_named(name)}: expected draw to return inputs and targets of shapes ({steps}, batch, ...) for {steps} "
            f"steps, got {tuple(pair[0].shape)} and {tuple(pair[1].shape)}"
        )
    if shapes is not None and (got := shapes_of(pair)) != shapes:
        raise ValueError(
            f"{_named(name)}: expected draw to return inputs and targets of the shapes {shapes[0]} and "
            f"{shapes[1]} for each step, as the first time, got {got[0]} and {got[1]}"
        )
    return pair[0], pair[1]


def shapes_of(pair: tuple[Tensor, Tensor]) -> Shapes:
    """Those of one step, of what is drawn for several."""
    x, y = pair
    return tuple(x.shape[1:]), tuple(y.shape[1:])


def _named(task: str) -> str:
    return f"task {task}" if task else "task"


def like(x: Tensor, state: Tensor) -> Tensor:
    """Inputs on the device of the replicas, and in their dtype unless they are tokens."""
    return x.to(state) if x.is_floating_point() else x.to(state.device)
