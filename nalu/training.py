"""The training of one stack of replicas, on one thread."""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from nalu import refusals
from nalu.batches import Batches, like
from nalu.program import Loss, projection, training_step
from nalu.replicas import Build, Inputs, Replicas, build
from nalu.schedules import Schedule
from nalu.streams import RESTARTS, seed_of
from nalu.tasks import Task
from nalu.units.recipe import Restart

CROWD = 0.75
"""Replicas are retired once so small a share of those in training is left, for the smaller stack is traced anew."""

TestSets = Mapping[str, tuple[Inputs, Float[Tensor, "batch out"]]]
Error = Callable[[Tensor, Tensor], Tensor]
Measure = Callable[[nn.Module], Float[Tensor, ""]]
Decided = Callable[[pd.DataFrame], Bool[np.ndarray, " replica"]]
Label = tuple[str, str, int]
"""A replica's model, task and seed."""


@dataclass(frozen=True)
class Rules:
    """How to train; see `nalu.fit`, which has the same names."""

    steps: int
    loss: Loss
    optimizer: Callable[[list[Tensor]], torch.optim.Optimizer]
    schedule: Schedule | None = None
    clip: float | None = None
    clip_value: float | None = None
    penalty: Schedule | None = None
    penalty_below: float | None = None
    restart: Restart | None = None
    retire: Decided | None = None


def train(
    replicas: Replicas,
    labels: list[Label],
    *,
    rules: Rules,
    tasks: Mapping[str, Task],
    models: Mapping[str, Build],
    stops: Sequence[int],
    checkpoint: Callable[[Replicas, list[Label], int, Tensor], pd.DataFrame],
    report: Callable[[int], None],
) -> tuple[pd.DataFrame, Replicas]:
    """Train a stack, and return its rows of the table and the trained replicas.

    Args:
        models: what makes the networks, if they may be restarted.
        stops: the steps, from 0 up to the last, at which the table has a row.
        report: told how many steps of a network are done.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two threads on tensors this small wait for each other longer than they work
    try:
        tables, done, stack = [], 0, _Stack(replicas, labels, rules, tasks, models)
        while True:
            with torch.inference_mode():
                while done not in stops:
                    stack.update(done)
                    done += 1
                tables.append(rows := checkpoint(stack.replicas, stack.labels, done, stack.step()[0]))
                report(done * len(labels))
                if done == rules.steps:
                    break
            if rules.retire is not None:
                stack.retire(rules.retire(rows))
                if not stack.labels:
                    report(rules.steps * len(labels))
                    break
            with torch.inference_mode():
                stack.update(done)
            done += 1
        stack.store()
        return pd.concat(tables, ignore_index=True), replicas
    finally:
        torch.set_num_threads(threads)


class _Stack:
    """The replicas in training: all, or those that are not retired."""

    def __init__(
        self,
        replicas: Replicas,
        labels: list[Label],
        rules: Rules,
        tasks: Mapping[str, Task],
        models: Mapping[str, Build],
    ) -> None:
        self.whole = self.replicas = replicas
        self.labels, self.rules = labels, rules
        self.places = np.arange(len(labels))  # in the whole stack
        self.data = Batches(tasks, [label[1:] for label in labels], replicas.state)
        self.weight = None if rules.penalty is None else replicas.state.new_zeros(())
        self.restarts = _Restarts(rules.restart, models, labels) if rules.restart else None
        self.optimizer = self._trace()
        self.lr = self.optimizer.param_groups[0]["lr"]

    def _trace(self) -> torch.optim.Optimizer:
        try:
            self.step = training_step(
                self.replicas, self.rules.loss, self.data.x, self.data.y, own=self.data.own, penalty_weight=self.weight,
                penalty_below=self.rules.penalty_below,
            )  # fmt: skip
        except RuntimeError as error:
            raise refusals.unrecorded(", ".join(dict.fromkeys(model for model, *_ in self.labels)), error) from error
        self.project = projection(self.replicas)
        make = self.rules.optimizer
        fused = {"fused": True} if getattr(make, "func", None) in (torch.optim.Adam, torch.optim.AdamW) else {}
        optimizer = make([self.replicas.state], **fused)
        self.move = partial(inspect.unwrap(type(optimizer).step), optimizer)  # what torch wraps it in takes longer
        return optimizer

    def update(self, done: int) -> None:
        """One step, after so many."""
        rules = self.rules
        if done:
            self.data.next()
        if rules.schedule is not None:
            self.optimizer.param_groups[0]["lr"] = self.lr * rules.schedule(done / rules.steps)
        if self.weight is not None:
            self.weight.fill_(rules.penalty(done / rules.steps))
        losses, gradient = self.step()
        if rules.clip is not None:
            # As torch.nn.utils.clip_grad_norm_, replica by replica.
            gradient *= (rules.clip / (gradient.norm(dim=0) + 1e-6)).clamp(max=1)
        if rules.clip_value is not None:
            gradient.clamp_(-rules.clip_value, rules.clip_value)
        self.replicas.state.grad = gradient
        self.move()
        if self.project is not None:
            self.project()
        if self.restarts is not None:
            self.restarts.after(done + 1, losses, self.replicas)

    def retire(self, decided: Bool[np.ndarray, " replica"]) -> None:
        """Leave out the replicas that are decided, if they are enough to be worth it."""
        left = np.flatnonzero(~np.asarray(decided))
        if len(left) > CROWD * len(self.labels):
            return
        self.store()
        self.places, self.labels = self.places[left], [self.labels[r] for r in left]
        if not self.labels:
            return
        self.replicas = self.replicas.select(left.tolist())
        self.data.keep(left)
        if self.restarts is not None:
            self.restarts.keep(left)
        old, self.optimizer = self.optimizer, self._trace()
        self.optimizer.state[self.replicas.state] = _columns(old, left)

    def store(self) -> None:
        """Put the trained parameters where they came from."""
        self.replicas.state.grad = None
        if self.replicas is not self.whole and self.labels:
            self.whole.state[:, self.places] = self.replicas.state


def _columns(optimizer: torch.optim.Optimizer, left: np.ndarray) -> dict[str, object]:
    """What an optimiser knows of some replicas: their columns of all that has the shape of the state."""
    (state,) = optimizer.param_groups[0]["params"]
    return {
        name: value[:, left].contiguous()
        if isinstance(value, Tensor) and value.shape == state.shape
        else copy.deepcopy(value)
        for name, value in optimizer.state[state].items()
    }


class _Restarts:
    """Draws replicas anew whose loss stays high, each from a seed that follows from its own."""

    def __init__(self, rule: Restart, models: Mapping[str, Build], labels: list[Label]) -> None:
        self.rule, self.models, self.labels = rule, models, labels
        self.since, self.times = np.zeros(len(labels), int), np.zeros(len(labels), int)
        self.now = np.zeros((2, len(labels)))  # the sums of losses, and of their squares
        self.sums = [self.now]  # as they were at each multiple of `every`

    def after(self, done: int, losses: Float[Tensor, " replica"], replicas: Replicas) -> None:
        """Count the losses of a step, and restart those replicas that it is time for."""
        losses = losses.double().cpu().numpy()
        with np.errstate(over="ignore"):
            self.now = self.now + np.stack([losses, losses**2])
        if done % self.rule.every:
            return
        self.sums.append(self.now)
        for since in np.unique(self.since[done - self.since > self.rule.after]).tolist():
            together = self.since == since
            for r in np.flatnonzero(together & self._stay_high(since, done)).tolist():
                model, _, seed = self.labels[r]
                self.times[r] += 1
                fresh = build(self.models[model], seed_of(RESTARTS, seed, int(self.times[r])))
                replicas.put(r, Replicas([fresh]).to(replicas.state.dtype).to(replicas.state.device))
                self.since[r] = done

    def _stay_high(self, since: int, done: int) -> Bool[np.ndarray, " replica"]:
        first, last = since // self.rule.every, done // self.rule.every
        middle = (first + last) // 2
        with np.errstate(invalid="ignore"):  # what is infinite compares false, so that it is not restarted
            before, _ = (self.sums[middle] - self.sums[first]) / ((middle - first) * self.rule.every)
            mean, square = (self.sums[last] - self.sums[middle]) / ((last - middle) * self.rule.every)
            return (mean > self.rule.above) & (before <= mean + np.sqrt((square - mean**2).clip(min=0)))

    def keep(self, left: np.ndarray) -> None:
        """Go on with these replicas only."""
        self.labels = [self.labels[r] for r in left]
        self.since, self.times, self.now = self.since[left], self.times[left], self.now[:, left]
        self.sums = [sums[:, left] for sums in self.sums]


def checkpoint(
    replicas: Replicas,
    labels: list[Label],
    step: int,
    losses: Float[Tensor, " replica"],
    *,
    tests: Mapping[str, TestSets],
    error: Error,
    measures: Mapping[str, Measure],
) -> pd.DataFrame:
    """A row of the table for each replica."""
    models, tasks, seeds = zip(*labels, strict=True)
    diverged = ~(losses.isfinite() & replicas.state.isfinite().all(0))
    columns = {"model": models, "task": tasks, "seed": seeds, "step": step, "loss": losses.cpu()}
    columns["diverged"] = diverged.cpu()
    errors: dict[str, list[Tensor]] = {}
    for first, stop in runs(tasks):
        part = replicas if stop - first == len(labels) else replicas.take(first, stop)
        for name, (x, y) in tests[tasks[first]].items():
            errors.setdefault(name, []).append(error(part(like(x, replicas.state)), y.to(replicas.state)).cpu())
    columns |= {name: torch.cat(parts) for name, parts in errors.items()}
    return pd.DataFrame(columns | {name: replicas.each(measure).cpu() for name, measure in measures.items()})


def runs(keys: Sequence[object]) -> Iterator[tuple[int, int]]:
    """Where each run of equal neighbours starts and stops."""
    first = 0
    for _, group in groupby(keys):
        stop = first + len(list(group))
        yield first, stop
        first = stop
