"""A single NALU whose weights the reader sets, until gradient descent takes over from where the hand left them."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nalu import checks
from nalu.live.front import FOLDER, STYLE, module
from nalu.live.programs import program
from nalu.recipe import Recipe
from nalu.tasks.functions import FUNCTIONS, target
from nalu.units.nalu import NALU

with checks.extra("plots", "widgets that train"):
    import anywidget
    import traitlets
    from ipywidgets.widgets.trait_types import CByteMemoryView

    from nalu.book import plots
    from nalu.book.descriptions import description
    from nalu.book.sliders import picture

LOW, HIGH = 1, 5
"""The ends of the training range."""

FAR = 25
"""The curve is drawn from -FAR to FAR."""

WEIGHTS = ("Ŵ of a", "Ŵ of b", "M̂ of a", "M̂ of b", "G of a", "G of b")
"""What the six parameters of a NALU of two numbers are called, in their order in the state."""

START = (1.0, -0.5, 1.0, 1.0, 0.0, 0.0)
"""A gate that is undecided, and two weights far from the plateaus."""

FULL = 20.0
"""In float32, tanh and sigmoid of this are exactly 1."""

RIGHT: Mapping[str, tuple[float, ...]] = {
    "a + b": (FULL, FULL, FULL, FULL, FULL, FULL),
    "a - b": (FULL, -FULL, FULL, FULL, FULL, FULL),
    "a * b": (FULL, FULL, FULL, FULL, -FULL, -FULL),
    "a / b": (FULL, -FULL, FULL, FULL, -FULL, -FULL),
    "a ^ 2": (FULL, FULL, FULL, FULL, -FULL, -FULL),  # right only where b = a, for no weight can be 2
    "sqrt(a)": (FULL, 0.0, 0.0, 0.0, -FULL, -FULL),  # tanh(0) is 0, and sigmoid(0) is a half
}
"""For each function, the weights that compute it; those of a ^ 2 where b is a."""


class WholePairs:
    """A function of all pairs of whole numbers from LOW to HIGH, the same at every step and for every replica.

    Raises:
        ValueError: none of the functions of `nalu.tasks.functions`.
    """

    fresh = shared = False

    def __init__(self, function: str) -> None:
        self.function = checks.one_of(function, list(FUNCTIONS), "function")

    def draw(
        self, generator: torch.Generator, steps: int
    ) -> tuple[Float[Tensor, "steps batch 2"], Float[Tensor, "steps batch 1"]]:
        whole = torch.arange(LOW, HIGH + 1, dtype=torch.get_default_dtype())
        x = torch.cartesian_prod(whole, whole).expand(steps, -1, -1)
        return x, target(self.function, x)


class OpenNALU(NALU):
    """A NALU that tells what lies within it, unless it is in training: y, then g, a, m and the two weights."""

    def forward(self, x: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch out"]:
        y = super().forward(x)
        if self.training:
            return y
        W = self.W
        a, m = F.linear(x, W), torch.exp(F.linear(torch.log(x.abs() + self.epsilon), W))
        return torch.cat([y, torch.sigmoid(F.linear(x, self.G)), a, m, W.expand(*x.shape[:-1], 2)], -1)


class ByHand(anywidget.AnyWidget):
    """A NALU of two numbers with a slider for each of its parameters, and descent from where these are left.

    It trains in a worker of the browser, on `WholePairs`, to the bits that `nalu.fit` comes to from the same weights.

    Args:
        recipe: of the descent, as for `nalu.fit`, without restarts; Adam with a rate of 0.01, if not given.
        steps: the most that it can take.
        goal: the function that is asked for first.
        start: the six parameters that are shown first, in the order of `WEIGHTS`.

    Attributes:
        network: the NALU as the reader has it now, in a notebook.

    Raises:
        ValueError: a goal or a start of another kind; and what `nalu.live.programs.program` raises.
    """

    _esm = module("by_hand")
    _css = STYLE + (FOLDER / "by_hand.css").read_text(encoding="utf-8")
    program = traitlets.Dict().tag(sync=True)
    batches = traitlets.Dict().tag(sync=True)
    right = traitlets.Dict().tag(sync=True)
    names = traitlets.List().tag(sync=True)
    low = traitlets.Int(LOW).tag(sync=True)
    high = traitlets.Int(HIGH).tag(sync=True)
    far = traitlets.Int(FAR).tag(sync=True)
    still = traitlets.Unicode().tag(sync=True)
    settings = traitlets.Dict().tag(sync=True)
    weights = CByteMemoryView().tag(sync=True)  # as it comes from a page

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        steps: int = 10_000,
        goal: str = "a * b",
        start: Sequence[float] = START,
    ) -> None:
        checks.one_of(goal, list(FUNCTIONS), "goal")
        weights = np.float32(start)
        if weights.shape != (len(WEIGHTS),) or not np.isfinite(weights).all():
            raise ValueError(f"start: expected {len(WEIGHTS)} finite numbers, got {start!r}")
        tasks = {name: WholePairs(name) for name in FUNCTIONS}
        batches = {name: torch.cat([part[0].flatten() for part in task.draw(None, 1)]) for name, task in tasks.items()}
        recipe = Recipe(lr=1e-2) if recipe is None else recipe
        super().__init__(
            program=dict(program(partial(OpenNALU, 2, 1), tasks[goal], recipe, [0], steps, torch.zeros(1, 2))),
            batches={name: batch.tolist() for name, batch in batches.items()},
            right={name: list(each) for name, each in RIGHT.items()},
            names=list(WEIGHTS),
            still=_still(goal, nalu_of(weights)),
            settings={"goal": goal, "a": 3.0, "b": 4.0, "across": 0, "along": 1, "steps": 0},
            weights=weights.tobytes(),
        )

    @property
    def network(self) -> NALU:
        return nalu_of(np.frombuffer(self.weights, np.float32))


def nalu_of(weights: Float[np.ndarray, "6"]) -> NALU:
    """The NALU of two numbers with these parameters, in the order of `WEIGHTS`."""
    network = NALU(2, 1)
    nn.utils.vector_to_parameters(torch.tensor(weights, dtype=torch.float32), network.parameters())
    return network


def surface(
    network: NALU, goal: str, across: int, along: int, values: Float[Tensor, "value"]
) -> Float[Tensor, "value value"]:
    """The loss of a NALU on `WholePairs` where two of its parameters have other values: rows along, columns across."""
    x, y = (part[0] for part in WholePairs(goal).draw(torch.Generator(), 1))
    found = torch.empty(len(values), len(values))
    for row, second in enumerate(values):
        for column, first in enumerate(values):
            own = nn.utils.parameters_to_vector(network.parameters()).detach().clone()
            own[across], own[along] = first, second
            found[row, column] = F.mse_loss(nalu_of(own.numpy())(x), y)
    return found.detach()


@torch.no_grad()
def _still(goal: str, network: NALU) -> str:
    """The picture for where nothing trains: no script, or an old browser."""
    figure, (left, right) = plots.plt.subplots(1, 2, figsize=(6.4, 2.8), layout="constrained")
    a = torch.linspace(-FAR, FAR, 201)
    x = torch.stack([a, torch.full_like(a, 4.0)], -1)
    plots.training_range(left, LOW, HIGH)
    left.plot(a, target(goal, x), color="0.3", linestyle="--", linewidth=1)
    left.plot(a, network(x), color=plots.COLOURS["NALU"])
    left.set(xlabel="a, where b is 4", ylabel=goal)
    values = torch.linspace(-6, 6, 41)
    losses = surface(network, goal, 0, 1, values)
    filled = right.contourf(values, values, losses.log10(), levels=14)
    weights = nn.utils.parameters_to_vector(network.parameters())
    right.plot(*weights[:2], "o", color="white", markeredgecolor="black")
    right.set(xlabel="$\\hat W$ of a", ylabel="$\\hat W$ of b", box_aspect=1)
    figure.colorbar(filled, ax=right, label="loss, log10")
    answer = network(torch.tensor([3.0, 4.0])).item()
    plots.describe(
        figure,
        f"A NALU whose weights are set by hand; asked for {goal} of 3 and 4, it answers {answer:.3g}. Beside its "
        "curve, the loss for other values of the first two weights.",
    )
    plots.plt.close(figure)
    figure.draw_without_rendering()  # runs the layout, on which the crop depends
    return picture(figure, description(figure), figure.get_tightbbox().padded(0.1), dpi=144)
