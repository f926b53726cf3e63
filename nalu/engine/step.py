"""One training step of one network, in plain PyTorch: run as it is, it is the plain loop; traced, it becomes C."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.stateless import _reparametrize_module

from nalu.engine.optimisers import GRADIENT, Numbers, optimiser, settled
from nalu.recipe import Recipe

Step = Callable[
    [list[Tensor], list[list[Tensor]], list[Tensor], list[Tensor]],
    tuple[list[Tensor], list[list[Tensor]], Tensor],
]
"""(parameters, moments of each, batch, numbers) -> (parameters, moments of each, loss before the step)."""

Examples = Callable[..., tuple[Tensor, Tensor]]
"""Maps a step's batch, and the numbers behind the recipe's, to inputs and targets."""


@contextmanager
def holding(network: nn.Module, parameters: Sequence[Tensor]) -> Iterator[nn.Module]:
    """The network with other tensors in the place of its parameters; what two modules share stays shared."""
    order = {id(p): k for k, p in enumerate(network.parameters())}
    held = {  # of a parameter that two modules share, both places; of a module with two paths, one
        f"{path}.{name}" if path else name: parameters[order[id(p)]]
        for path, module in network.named_modules()
        for name, p in module.named_parameters(recurse=False, remove_duplicate=False)
    }
    with _reparametrize_module(network, held):
        yield network


def training_step(network: nn.Module, recipe: Recipe, examples: Examples | None = None) -> Step:
    """A step of a network in training: forward, loss, penalty, gradient, clip, optimiser, projection.

    Args:
        examples: what makes inputs and targets of the batch; where not given, they are the batch.

    Raises:
        ValueError: an optimizer that is not known; a learning rate for a module that is not there.
    """
    rule, penalised, clip = optimiser(recipe.optimizer), recipe.penalty is not None, recipe.clip
    used = len(names(recipe))
    first = [penalised + rate * len(rule.names) for rate in _rates(network, recipe)]

    def step(
        parameters: list[Tensor], moments: list[list[Tensor]], batch: list[Tensor], numbers: list[Tensor]
    ) -> tuple[list[Tensor], list[list[Tensor]], Tensor]:
        x, y = examples(*batch, *numbers[used:]) if examples else batch

        def lowered(parameters: list[Tensor]) -> tuple[Tensor, Tensor]:
            with holding(network, parameters):
                loss = total = recipe.loss(network(x), y)
                if penalised:
                    extra = numbers[0] * penalty(network)
                    if recipe.penalty.below is not None:
                        extra = torch.where(loss.detach() < recipe.penalty.below, extra, 0.0)
                    total = loss + extra
            return total, loss

        gradient, loss = torch.func.grad(lowered, has_aux=True)(parameters)
        with torch.no_grad():
            gradient = [settled(g, GRADIENT) for g in gradient]
            if clip is not None and clip.norm is not None:  # as torch.nn.utils.clip_grad_norm_
                norm = torch.stack([g.square().sum() for g in gradient]).sum().sqrt()
                gradient = [g * (clip.norm / (norm + 1e-6)).clamp(max=1) for g in gradient]
            if clip is not None and clip.value is not None:
                gradient = [g.clamp(-clip.value, clip.value) for g in gradient]
            moved = [
                rule.move(p, g, m, numbers[k : k + len(rule.names)])
                for p, g, m, k in zip(parameters, gradient, moments, first, strict=True)
            ]
            parameters = [p for p, _ in moved]
            with holding(network, parameters):
                project(network)
        return parameters, [m for _, m in moved], loss

    return step


def names(recipe: Recipe) -> list[str]:
    """Of the numbers that change from step to step: the penalty's weight, and the optimiser's for each rate."""
    own = optimiser(recipe.optimizer).names
    others = [f"{name}_of_{part.replace('.', '_')}" for part in recipe.rates for name in own]
    return [*(["weight"] if recipe.penalty else []), *own, *others]


def numbers(recipe: Recipe, steps: int) -> list[Numbers]:
    """Those numbers in all steps, in the order of their names."""
    shares, rule = [step / steps for step in range(steps)], optimiser(recipe.optimizer)
    factors = 1.0 if recipe.schedule is None else np.array([recipe.schedule(share) for share in shares])
    told = []
    if recipe.penalty is not None:
        weight = recipe.penalty.weight
        told.append(np.array([weight(s) if callable(weight) else weight for s in shares], dtype=np.float64))
    for lr in (recipe.lr, *recipe.rates.values()):
        told += rule.table(np.full(steps, float(lr)) * factors)
    return told


def _rates(network: nn.Module, recipe: Recipe) -> list[int]:
    """Which learning rate each parameter has: 0 is the recipe's own, then those of its parts; the innermost holds."""
    parts = list(recipe.rates)
    places = {id(p): [] for p in network.parameters()}  # one that modules share has several
    for name, p in network.named_parameters(remove_duplicate=False):
        inside = [k for k, part in enumerate(parts, 1) if name.startswith(f"{part}.")]
        places[id(p)].append((name, max(inside, key=lambda k: len(parts[k - 1]), default=0), inside))
    if missing := set(range(1, 1 + len(parts))).difference(*(k for each in places.values() for *_, k in each)):
        known = [name for name, module in network.named_modules() if name and any(True for _ in module.parameters())]
        raise ValueError(
            f"rates: expected names of modules with parameters, {', '.join(known) or 'of which there are none'}, got "
            f"{', '.join(parts[k - 1] for k in sorted(missing))}"
        )
    for each in places.values():
        if len({rate for _, rate, _ in each}) > 1:
            shared = " and ".join(name for name, *_ in each)
            raise ValueError(f"rates: expected one learning rate for what modules share, got several for {shared}")
    return [each[0][1] for each in places.values()]


def penalty(network: nn.Module) -> Tensor:
    """The sum of the penalties of a network's modules.

    Raises:
        ValueError: no module has a `penalty()`.
    """
    penalties = [module.penalty() for module in network.modules() if hasattr(module, "penalty")]
    if not penalties:
        raise ValueError(f"penalty: expected a network with a module that has one, got {type(network).__name__}")
    return torch.stack(penalties).sum()


def project(network: nn.Module) -> None:
    """Call `project_()` of all modules that have one."""
    for module in network.modules():
        if hasattr(module, "project_"):
            module.project_()
