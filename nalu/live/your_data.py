"""The reader's own rows of x1, x2 and y: units that train on them in the page, and tell what they found."""

import hashlib
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nalu import checks
from nalu.experiments.benchmarking import recipe_for
from nalu.live.front import FOLDER, STYLE, module
from nalu.live.programs import LANES, program
from nalu.recipe import Recipe
from nalu.streams import DATA, seed_of
from nalu.training.replicas import Build, Replicas, build
from nalu.units import MLP, UNITS

with checks.extra("plots", "widgets that train"):
    import anywidget
    import traitlets

    from nalu.book import plots
    from nalu.book.descriptions import description
    from nalu.book.sliders import picture

BATCH = 64
SEEDS = range(LANES)
EXPORTS = ["train", "seed", "below", "take", "predict_0", "test_0"]

TRAINING = """\
# {name}, trained on rows that were pasted into a page of the book: the same networks, to the last bit.
# This needs the package of the book.
import torch
from nalu import fit
from nalu.live.programs import digest
from nalu.live.your_data import MODELS, Rows

rows = torch.tensor({rows}, dtype=torch.float32)
make, recipe = MODELS["{name}"]
run = fit({"{name}": make}, Rows(rows[:, :2], rows[:, 2:]), recipe, seeds=range(16), steps={steps})
networks = run.replicas["{name}"]
assert digest(networks.state.numpy()) == {digest}, "not the bits of the page"
networks(torch.tensor([[3.0, 4.0]])).flatten()
"""

UNIT = {unit.__name__: unit for unit in UNITS}
RECIPES = {"Linear": Recipe(lr=1e-2), "NALU": Recipe(lr=1e-2)}
RECIPES |= {name: recipe_for(UNIT[name], UNIT[name].operations[-1]) for name in ("NAU", "NMU", "NMRU", "RealNPU")}
MODELS: dict[str, tuple[Build, Recipe]] = {
    **{name: (partial(UNIT[name], 2, 1), recipe) for name, recipe in RECIPES.items()},
    "MLP": (partial(MLP, 2, 1, activation="Tanh", hidden=(8, 8)), Recipe(lr=1e-2)),
}
"""What trains on a reader's rows: units whose weights make a formula, the NALU, and a usual network."""


@dataclass(frozen=True, eq=False)
class Rows:
    """y = some function of x1 and x2 that only its rows tell: each step takes a batch from them.

    Args:
        x: (rows, 2).
        y: (rows, 1).
        batch: of each step.
    """

    x: Float[Tensor, "row 2"]
    y: Float[Tensor, "row 1"]
    batch: int = BATCH

    fresh = True
    shared = False

    @property
    def pool(self) -> tuple[Float[Tensor, "row 2"], Float[Tensor, "row 1"]]:
        return self.x, self.y

    def draw(
        self, generator: torch.Generator, steps: int
    ) -> tuple[Float[Tensor, "steps batch 2"], Float[Tensor, "steps batch 1"]]:
        chosen = torch.randint(len(self.x), (steps, self.batch), generator=generator)
        return self.x[chosen], self.y[chosen]


class YourData(anywidget.AnyWidget):
    """Rows that the reader pastes, and what units find in them.

    Of the rows, three fifths are trained on; of sixteen networks of each unit, and of all units, the one of the least
    mean absolute error on another fifth is chosen, and the last fifth judges it.

    Args:
        example: the rows that are there at first, (rows, 3): x1, x2 and y.
        steps: of training.

    Attributes:
        networks: of each model, the sixteen replicas that the reader trained last, in a notebook.

    Raises:
        ValueError: an example of another shape; no steps; and what `nalu.live.programs.program` raises.
        RuntimeError: there are no networks as yet.
    """

    _esm = module("your_data")
    _css = STYLE + (FOLDER / "your_data.css").read_text(encoding="utf-8")
    programs = traitlets.Dict().tag(sync=True)
    shared = traitlets.Dict().tag(sync=True)
    steps = traitlets.Int().tag(sync=True)
    seeds = traitlets.List([seed_of(DATA, seed) for seed in SEEDS]).tag(sync=True)
    code = traitlets.Unicode(TRAINING).tag(sync=True)
    example = traitlets.Unicode().tag(sync=True)
    still = traitlets.Unicode().tag(sync=True)
    trained = traitlets.Dict().tag(sync=True)

    def __init__(self, example: Float[Tensor, "row 3"], *, steps: int = 10_000) -> None:
        checks.at_least(steps, 1, "steps")
        if example.ndim != 2 or example.shape[1] != 3:
            raise ValueError(f"example: expected rows of x1, x2 and y, got a tensor of shape {tuple(example.shape)}")
        rows = Rows(torch.ones(1, 2), torch.ones(1, 1))
        programs, shared = {}, {}
        for name, (make, recipe) in MODELS.items():
            made = dict(program(make, rows, recipe, SEEDS, steps, torch.ones(1, 2), EXPORTS))
            numbers = hashlib.sha256(made["numbers"]).hexdigest()[:8]  # many are told the same
            shared[numbers] = made["numbers"]
            programs[name] = made | {"numbers": numbers}
        lines = [" ".join(f"{value:.6g}" for value in row) for row in example.tolist()]
        super().__init__(programs=programs, shared=shared, steps=steps, example="\n".join(lines), still=_still(example))

    @property
    def networks(self) -> dict[str, Replicas]:
        if not self.trained:
            raise RuntimeError("expected networks that the page has trained, got none: let it train some first")
        found = {}
        for name, numbers in self.trained.items():
            made = Replicas([build(MODELS[name][0], seed) for seed in SEEDS])
            found[name] = made.of(torch.from_numpy(np.frombuffer(numbers, np.float32).reshape(-1, LANES).copy()))
        return found


def _still(example: Float[Tensor, "row 3"]) -> str:
    """The picture for where nothing trains: the example."""
    figure, axes = plots.plt.subplots(figsize=(5.6, 3))
    x1, x2, y = example.T
    dots = axes.scatter(x1, y, c=x2, s=12)
    figure.colorbar(dots, label="x2")
    axes.set(xlabel="x1", ylabel="y")
    spans = [f"{name} from {each.min():.3g} to {each.max():.3g}" for name, each in (("x1", x1), ("x2", x2), ("y", y))]
    plots.describe(figure, f"{len(example)} rows as an example: {', '.join(spans)}")
    plots.plt.close(figure)
    return picture(figure, description(figure), figure.get_tightbbox().padded(0.1), dpi=144)
