"""Chapter 1's networks, trained in the page, on a range and for as many steps as the reader likes."""

import contextlib
import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from nalu import checks
from nalu.live.code import takeaway
from nalu.live.front import STYLE, module
from nalu.live.programs import LANES, digest, program
from nalu.recipe import Recipe
from nalu.tasks.identity import Identity
from nalu.training.replicas import Build, Replicas
from nalu.training.result import Fit

with checks.extra("plots", "widgets that train"):
    import anywidget
    import traitlets
    from ipywidgets.widgets.trait_types import CByteMemoryView

    from nalu.book import plots
    from nalu.book.descriptions import description
    from nalu.book.sliders import picture

POINTS = 161
"""Where curves are drawn."""


class Retrain(anywidget.AnyWidget):
    """Networks that learn the identity while the reader moves the ends of their training range.

    Sixteen replicas, those of the first seeds of a run, train in a worker of the browser, with the run's bits.

    Args:
        models: as for `nalu.fit`: from one number to one.
        recipe: as for `nalu.fit`, without restarts.
        run: what `nalu.fit` made of these models.
        task: what the run learned: whole numbers, of which a reader's range has as many.
        steps: of the run.
        first: the model that is shown first.
        far: the curves are drawn from -far to far, and ranges go to half of that.
        choice: what the choice between the models is called.

    Attributes:
        networks: what the reader trained last, in a notebook; the run's own, until there is something.

    Raises:
        ValueError: `first` is not there; a task of real numbers, or whose range goes beyond half of `far`; and what
            `nalu.live.programs.program` raises.
    """

    _esm = module("retrain")
    _css = STYLE
    programs = traitlets.Dict().tag(sync=True)
    shared = traitlets.Dict().tag(sync=True)
    book = traitlets.Dict().tag(sync=True)
    digests = traitlets.Dict().tag(sync=True)
    most = traitlets.Int().tag(sync=True)
    far = traitlets.Float().tag(sync=True)
    points = traitlets.Int(POINTS).tag(sync=True)
    choice = traitlets.Unicode().tag(sync=True)
    still = traitlets.Unicode().tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)
    trained = CByteMemoryView().tag(sync=True)  # as it comes from a page
    code = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        models: Mapping[str, Build],
        recipe: Recipe,
        run: Fit,
        *,
        steps: int,
        task: Identity | None = None,
        first: str = "Tanh",
        far: float = 40,
        choice: str = "network",
    ) -> None:
        task = Identity() if task is None else task
        checks.one_of(first, list(models), "first")
        if task.reals is not None or max(-task.low, task.high) > far / 2:
            raise ValueError(f"task: expected whole numbers within {-far / 2:g} and {far / 2:g}, got {task}")
        x = torch.linspace(-far, far, POINTS).unsqueeze(1)
        programs, shared, code, self._stacks = {}, {}, {}, {}
        for name, make in models.items():
            seeds = run.groups()[name].seed.tolist()[:LANES]
            made = dict(program(make, task, recipe, seeds, steps, x))
            shared["numbers"] = made.pop("numbers")
            start = hashlib.sha256(made["state"]).hexdigest()[:8]  # many models start from the same numbers
            shared[start] = made["state"]
            programs[name] = made | {"state": start}
            with contextlib.suppress(TypeError):  # what can't be written down can't be taken home
                code[name] = takeaway(name, make, recipe, seeds)
            self._stacks[name] = run.replicas[name].take(0, len(seeds))
        lanes = {name: lanes_of(stack) for name, stack in self._stacks.items()}
        book = {"name": first, "low": task.low, "high": task.high, "steps": steps}
        super().__init__(
            programs=programs,
            shared=shared,
            book=book,
            digests={name: digest(state) for name, state in lanes.items()},
            most=steps,
            far=far,
            choice=choice,
            still=_still(first, self._stacks[first], x, task),
            settings=book,
            trained=lanes[first].tobytes(),
            code=code,
        )

    @property
    def networks(self) -> Replicas:
        stack = self._stacks[self.settings["name"]]
        state = np.frombuffer(self.trained, np.float32).reshape(-1, LANES)[:, : len(stack)]
        return stack.of(torch.from_numpy(state.copy()))


def lanes_of(stack: Replicas) -> np.ndarray:
    """The parameters of replicas in all lanes, of which the last one fills what is left."""
    return np.ascontiguousarray(stack.state.numpy()[:, np.minimum(np.arange(LANES), len(stack) - 1)])


def _still(name: str, stack: Replicas, x: Tensor, task: Identity) -> str:
    """The picture for where nothing trains: no script, or an old browser."""
    figure, axes = plots.plt.subplots(figsize=(5.6, 3))
    far = x.max().item()
    plots.training_range(axes, task.low, task.high)
    axes.plot([-far, far], [-far, far], color="0.3", linestyle="--", linewidth=1)
    answers = stack(x).squeeze(-1).detach().numpy()
    axes.plot(x.flatten(), answers.T, color=plots.COLOURS.get(name, "C0"), alpha=0.5, linewidth=1)
    axes.set(xlim=(-far, far), ylim=(-1.2 * far, 1.2 * far), xlabel="number", ylabel="answer")
    end = np.sort(answers[:, -1])[len(answers) // 2]  # as the page does
    plots.describe(
        figure,
        f"{len(stack)} networks with {name}, trained on {task.low} to {task.high}, drawn from {-far:g} to {far:g}; "
        f"asked for {far:g}, the middle one answers {end:.3g}",
    )
    plots.plt.close(figure)
    return picture(figure, description(figure), figure.get_tightbbox().padded(0.1), dpi=144)
