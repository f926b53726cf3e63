"""What tasks draw."""

import torch
from torch import Tensor

from nalu.tasks import Task

AHEAD = 100
"""Steps whose batches a task draws in one call, for drawing is slow by the call and fast by the number. What it draws
may depend on that."""

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
