"""The plain loop that training is compared with: one network at a time, in float64.

It shares nothing with the engine but the units' constructors: it is written out here with autograd and torch.optim.
"""

import numpy as np
import torch
from torch import Tensor, nn

from helpers.settings import told
from nalu.recipe import Recipe
from nalu.streams import seed_of, stream
from nalu.tasks import SingleModule, Task
from nalu.training.replicas import Build, build


def alone(make: Build, task: Task, seed: int, steps: int, **settings: object) -> nn.Module:
    """One network, one plain loop."""
    recipe = told(**settings)["recipe"]
    clip, penalty, restart = recipe.clip, recipe.penalty, recipe.restart
    network = build(make, seed).double()
    losses, restarts = [], 0
    update = recipe.optimizer(_groups(network, recipe), lr=recipe.lr)
    rates = [group["lr"] for group in update.param_groups]
    data = stream(2) if task.shared else stream(1, seed)
    blocks = []
    for step in range(steps):
        if task.fresh and step % 100 == 0:
            blocks = list(zip(*task.draw(data, 100), strict=True))
        x, y = blocks[step % 100] if task.fresh else [part[0] for part in task.draw(data, 1)]
        if recipe.schedule is not None:
            for group, rate in zip(update.param_groups, rates, strict=True):
                group["lr"] = rate * recipe.schedule(step / steps)
        update.zero_grad()
        loss = ((network(x.double()) - y.double()) ** 2).mean()
        losses.append(loss.item())
        if penalty is not None and (penalty.below is None or loss < penalty.below):
            extra = sum(m.penalty() for m in network.modules() if hasattr(m, "penalty"))
            loss = loss + extra * (penalty.weight(step / steps) if callable(penalty.weight) else penalty.weight)
        loss.backward()
        if clip is not None and clip.norm is not None:
            nn.utils.clip_grad_norm_(network.parameters(), clip.norm)
        if clip is not None and clip.value is not None:
            nn.utils.clip_grad_value_(network.parameters(), clip.value)
        update.step()
        for module in network.modules():
            if hasattr(module, "project_"):
                module.project_()
        due = restart is not None and (step + 1) % restart.every == 0 and len(losses) > restart.after
        middle = len(losses) // (2 * restart.every) * restart.every if due else 0
        first, second = np.array(losses[:middle]), np.array(losses[middle:])
        if due and second.mean() > restart.above and first.mean() <= second.mean() + second.std():
            losses, restarts = [], restarts + 1
            fresh = build(make, seed_of(5, seed, restarts)).double()
            network.load_state_dict(fresh.state_dict())
    return network


def _groups(network: nn.Module, recipe: Recipe) -> list[dict]:
    """The parameters, with the learning rates of the modules that have their own."""
    parts = {part: list(network.get_submodule(part).parameters()) for part in recipe.rates}
    own = [{"params": parameters, "lr": recipe.rates[part]} for part, parameters in parts.items()]
    taken = {id(p) for group in own for p in group["params"]}
    return [{"params": [p for p in network.parameters() if id(p) not in taken]}, *own]


def assert_same(replica: nn.Module, network: nn.Module, tolerance: float = 1e-9) -> None:
    expected = dict(network.named_parameters())
    found = dict(replica.named_parameters())
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=tolerance, atol=tolerance, equal_nan=True)


class InDouble(SingleModule):
    """Draws the same numbers, scaled in float64 as the engine does here."""

    def draw(self, generator: torch.Generator, steps: int) -> tuple[Tensor, Tensor]:
        noise = torch.rand(steps, *self.noise, generator=generator).double()
        x, y = self.examples(noise.movedim(0, -1), self.low, self.high)
        return x.movedim(-1, 0), y.movedim(-1, 0)
