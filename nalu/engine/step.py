"""One training step of one network, in plain PyTorch: run as it is, it is the plain loop; traced, it becomes C."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.stateless import _reparametrize_module

from nalu.engine.optimisers import GRADIENT, Optimiser, settled

Loss = Callable[[Tensor, Tensor], Tensor]

Step = Callable[
    [list[Tensor], list[list[Tensor]], list[Tensor], list[Tensor]],
    tuple[list[Tensor], list[list[Tensor]], Tensor],
]
"""(parameters, moments of each, batch, numbers) -> (parameters, moments of each, loss before the step)."""


@dataclass(frozen=True)
class Objective:
    """What a step lowers, and how.

    Attributes:
        loss: maps output and target to a scalar.
        examples: maps the batch and the numbers behind the optimiser's to inputs and targets; the batch itself is the
            two where not given.
        penalised: whether the networks' `penalty()` is added, times the number in front of the optimiser's.
        penalty_below: only where the loss is below this.
        clip: largest norm of the gradient.
        clip_value: largest size of each number in it.
    """

    loss: Loss
    examples: Callable[..., tuple[Tensor, Tensor]] | None = None
    penalised: bool = False
    penalty_below: float | None = None
    clip: float | None = None
    clip_value: float | None = None


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


def training_step(network: nn.Module, objective: Objective, optimiser: Optimiser) -> Step:
    """A step of a network in training: forward, loss, penalty, gradient, clip, optimiser, projection."""
    own = 1 if objective.penalised else 0
    used = own + len(optimiser.names)

    def step(
        parameters: list[Tensor], moments: list[list[Tensor]], batch: list[Tensor], numbers: list[Tensor]
    ) -> tuple[list[Tensor], list[list[Tensor]], Tensor]:
        x, y = objective.examples(*batch, *numbers[used:]) if objective.examples else batch

        def lowered(parameters: list[Tensor]) -> tuple[Tensor, Tensor]:
            with holding(network, parameters):
                loss = total = objective.loss(network(x), y)
                if objective.penalised:
                    extra = numbers[0] * penalty(network)
                    if objective.penalty_below is not None:
                        extra = torch.where(loss.detach() < objective.penalty_below, extra, 0.0)
                    total = loss + extra
            return total, loss

        gradient, loss = torch.func.grad(lowered, has_aux=True)(parameters)
        with torch.no_grad():
            gradient = [settled(g, GRADIENT) for g in gradient]
            if objective.clip is not None:  # as torch.nn.utils.clip_grad_norm_
                norm = torch.stack([g.square().sum() for g in gradient]).sum().sqrt()
                gradient = [g * (objective.clip / (norm + 1e-6)).clamp(max=1) for g in gradient]
            if objective.clip_value is not None:
                gradient = [g.clamp(-objective.clip_value, objective.clip_value) for g in gradient]
            moved = [
                optimiser.move(p, g, m, numbers[own:used])
                for p, g, m in zip(parameters, gradient, moments, strict=True)
            ]
            parameters = [p for p, _ in moved]
            with holding(network, parameters):
                project(network)
        return parameters, [m for _, m in moved], loss

    return step


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
