"""The optimisers of torch.optim as functions of one parameter, its gradient and its moments.

What depends on the step alone is computed before training, in float64, and handed over as numbers: so nothing but
IEEE arithmetic is left in a step. Powers are products, for pow is not the same on all machines.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

GRADIENT, MOMENT = 2.0**-34, 2.0**-90
"""A gradient is exact to 1e-17, and a moment to 1e-34: what an optimiser adds to their roots is 1e-10 and more."""

Numbers = Float[np.ndarray, " steps"]


@dataclass(frozen=True)
class Optimiser:
    """How one optimiser moves a parameter.

    Attributes:
        moments: what each of its moments starts from, one number for each.
        names: of the numbers of a step.
        table: those numbers, given the learning rates of all steps.
        move: (parameter, gradient, moments, numbers) -> (parameter, moments).
    """

    moments: tuple[float, ...]
    names: tuple[str, ...]
    table: Callable[[Numbers], list[Numbers]]
    move: Callable[[Tensor, Tensor, list[Tensor], Sequence[Tensor]], tuple[Tensor, list[Tensor]]]


def optimiser(make: Callable[..., torch.optim.Optimizer]) -> Optimiser:
    """What `make(parameters, lr=...)` would return, but for its learning rate.

    Raises:
        ValueError: it is none of Adam, AdamW, SGD, RMSprop and Adagrad, or has an option that is not known here, or a
            learning rate of its own.
    """
    if getattr(make, "func", make) not in list(KNOWN):
        raise ValueError(f"expected an optimizer among {[known.__name__ for known in KNOWN]}, got {make!r}")
    if "lr" in getattr(make, "keywords", {}):
        raise ValueError(f"optimizer: expected one whose learning rate is the recipe's lr, got {make!r}")
    made = make([torch.zeros(1, requires_grad=True)], lr=1.0)
    options, kind = made.defaults, type(made)
    for name in ("amsgrad", "maximize", "centered", "differentiable"):
        if options.get(name):
            raise ValueError(f"expected an optimizer with options that are known, got {kind.__name__} with {name}")
    known = KNOWN[kind](options)
    decay = options.get("weight_decay", 0)
    if not decay or kind is torch.optim.AdamW:
        return known

    def move(p: Tensor, g: Tensor, moments: list[Tensor], numbers: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        return known.move(p, g + decay * p, moments, numbers)

    return replace(known, move=move)


def settled(x: Tensor, beside: float) -> Tensor:
    """x, with what is lost beside a small number taken for zero: (x + beside) - beside.

    A processor takes a hundred times as long for numbers below the normal ones, about 1e-38, and a moment that decays
    stays there for good, for 0.9 times the smallest of them is rounded to the same.
    """
    return (x + beside) - beside


def powers(base: float, steps: int) -> Numbers:
    """base to the powers from 1 to steps."""
    return np.multiply.accumulate(np.full(steps, base))


def _adam(options: dict) -> Optimiser:
    (first, second), epsilon = options["betas"], options["eps"]
    decoupled = options["weight_decay"] if options.get("decoupled_weight_decay") else 0

    def table(rates: Numbers) -> list[Numbers]:
        n = len(rates)
        return [rates / (1 - powers(first, n)), 1 / np.sqrt(1 - powers(second, n)), 1 - decoupled * rates]

    def move(p: Tensor, g: Tensor, moments: list[Tensor], numbers: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        m, v = moments
        rate, root, keep = numbers
        m = settled(first * m + (1 - first) * g, MOMENT)
        v = settled(second * v + (1 - second) * (g * g), MOMENT)
        p = p * keep if decoupled else p
        return p - rate * m / (v.sqrt() * root + epsilon), [m, v]

    return Optimiser((0.0, 0.0), ("rate", "root", "keep"), table, move)


def _sgd(options: dict) -> Optimiser:
    momentum, dampening, nesterov = options["momentum"], options["dampening"], options["nesterov"]

    def table(rates: Numbers) -> list[Numbers]:
        fresh = np.full(len(rates), 1.0 - dampening)
        fresh[0] = 1.0  # the first gradient goes in whole
        return [rates, fresh]

    def move(p: Tensor, g: Tensor, moments: list[Tensor], numbers: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        rate, fresh = numbers
        if not momentum:
            return p - rate * g, []
        m = settled(momentum * moments[0] + fresh * g, MOMENT)
        return p - rate * (g + momentum * m if nesterov else m), [m]

    return Optimiser((0.0,) if momentum else (), ("rate", "fresh"), table, move)


def _rmsprop(options: dict) -> Optimiser:
    alpha, epsilon, momentum = options["alpha"], options["eps"], options["momentum"]

    def move(p: Tensor, g: Tensor, moments: list[Tensor], numbers: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        (rate,) = numbers
        v = settled(alpha * moments[0] + (1 - alpha) * (g * g), MOMENT)
        step = g / (v.sqrt() + epsilon)
        if not momentum:
            return p - rate * step, [v]
        m = settled(momentum * moments[1] + step, MOMENT)
        return p - rate * m, [v, m]

    moments = (0.0, 0.0) if momentum else (0.0,)
    return Optimiser(moments, ("rate",), lambda rates: [rates], move)


def _adagrad(options: dict) -> Optimiser:
    epsilon, slower = options["eps"], options["lr_decay"]

    def move(p: Tensor, g: Tensor, moments: list[Tensor], numbers: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        (rate,) = numbers
        v = moments[0] + g * g
        return p - rate * g / (v.sqrt() + epsilon), [v]

    def table(rates: Numbers) -> list[Numbers]:
        return [rates / (1 + np.arange(len(rates)) * slower)]

    return Optimiser((float(options["initial_accumulator_value"]),), ("rate",), table, move)


KNOWN: dict[type, Callable[[dict], Optimiser]] = {
    torch.optim.Adam: _adam,
    torch.optim.AdamW: lambda options: _adam({**options, "decoupled_weight_decay": True}),
    torch.optim.SGD: _sgd,
    torch.optim.RMSprop: _rmsprop,
    torch.optim.Adagrad: _adagrad,
}
