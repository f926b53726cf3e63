"""Starting anew: the rule of `nalu.recipe.Restart`, for replicas side by side."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor

from nalu.streams import RESTARTS, seed_of
from nalu.training.models import Model
from nalu.training.replicas import build


class Restarts:
    """Which replicas start anew: those whose loss stays high.

    Args:
        model: theirs.
        seeds: of the replicas.
    """

    def __init__(self, model: Model, seeds: Sequence[int]) -> None:
        self.rule, self.model, self.seeds = model.recipe.restart, model, seeds
        self.since, self.times = np.zeros(len(seeds), int), np.zeros(len(seeds), int)
        # The sums of losses and of their squares, at multiples of every.
        self.sums = np.zeros((model.steps // self.rule.every + 1, 2, len(seeds)))
        self.now = np.zeros((2, len(seeds)))

    def due(self, done: int, losses: Float[np.ndarray, "step replica"]) -> tuple[int, list[int]] | None:
        """Count the losses of the steps after `done`; the first step after which replicas start anew, and which."""
        losses = losses.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            sums = np.cumsum(np.concatenate([self.now[None], np.stack([losses, losses**2], 1)]), 0)
        self.now = sums[-1]
        every = self.rule.every
        marks = np.arange(done // every + 1, (done + len(losses)) // every + 1)
        self.sums[marks] = sums[marks * every - done]
        late = marks[:, None] * every - self.since > self.rule.after
        if not late.any():
            return None
        first, last = self.since // every, marks[:, None]
        middle, each = (first + last) // 2, np.arange(len(self.seeds))
        with np.errstate(invalid="ignore", divide="ignore"):  # what is infinite compares false: it does not start anew
            before = (self.sums[middle, 0, each] - self.sums[first, 0, each]) / ((middle - first) * every)
            mean, square = (
                (self.sums[last, k, each] - self.sums[middle, k, each]) / ((last - middle) * every) for k in (0, 1)
            )
            due = late & (mean > self.rule.above) & (before <= mean + np.sqrt((square - mean**2).clip(min=0)))
        if not due.any():
            return None
        k = int(due.any(1).argmax())
        self.now = self.sums[marks[k]].copy()
        return int(marks[k]) * every, np.flatnonzero(due[k]).tolist()

    def anew(self, r: int, done: int) -> list[Tensor]:
        """The parameters with which a replica starts after so many steps, from a seed that follows from its own."""
        self.times[r] += 1
        self.since[r] = done
        network = build(self.model.make, seed_of(RESTARTS, self.seeds[r], int(self.times[r])))
        return [p.detach() for p in network.parameters()]
