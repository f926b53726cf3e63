"""The widget of chapter 1 without a browser: what Python reads of it, and the code that a reader takes home."""

from functools import partial

import numpy as np
import pytest
import torch

from nalu import MLP, NAC, Recipe, Restart, fit, stack
from nalu.live.code import expression, recipe_of, takeaway
from nalu.live.programs import digest
from nalu.live.retrain import Retrain, lanes_of
from nalu.tasks.identity import Identity

MODELS = {
    "Tanh": partial(MLP, 1, 1, activation="Tanh"),
    "NAC": partial(stack, NAC, [1, 4, 1]),
    "one": partial(NAC, 1, 1),
}
RECIPE, STEPS, SEEDS = Recipe(lr=1e-2), 60, [*range(18)]
X = torch.tensor([[-3.0], [1000.0]])


@pytest.fixture(scope="module")
def run():
    return fit(MODELS, Identity(), RECIPE, seeds=SEEDS, steps=STEPS)


@pytest.fixture(scope="module")
def widget(run) -> Retrain:
    return Retrain(MODELS, RECIPE, run, steps=STEPS)


def test_python_reads_what_the_page_trained(widget: Retrain, run) -> None:
    assert torch.equal(widget.networks(X), run.replicas["Tanh"].take(0, 16)(X))
    assert widget.digests == {name: digest(lanes_of(part.take(0, 16))) for name, part in run.replicas.items()}
    other = fit({"NAC": MODELS["NAC"]}, Identity(-2, 2), RECIPE, seeds=SEEDS[:16], steps=9).replicas["NAC"]
    settings = {"name": "NAC", "low": -2, "high": 2, "steps": 9}
    widget.set_state({"settings": settings, "trained": memoryview(lanes_of(other).tobytes())})  # as a page does
    assert torch.equal(widget.networks(X), other(X))
    assert isinstance(widget.networks[3], torch.nn.Sequential)


def test_a_still_stands_for_it_and_is_told_in_words(widget: Retrain) -> None:
    assert widget.still.startswith('<img alt="16 networks with Tanh, trained on -5 to 5')
    assert "the middle one answers" in widget.still


def test_fewer_replicas_than_lanes(run) -> None:
    few = fit({"one": MODELS["one"]}, Identity(), RECIPE, seeds=[4, 2], steps=STEPS)
    widget = Retrain({"one": MODELS["one"]}, RECIPE, few, steps=STEPS, first="one")
    assert len(widget.networks) == 2 and widget.programs["one"]["layout"]["replicas"] == 2
    assert torch.equal(widget.networks(X)[0], run.replicas["one"](X)[4])


def test_what_no_page_can_train_is_refused(run) -> None:
    with pytest.raises(ValueError, match="first"):
        Retrain({}, RECIPE, run, steps=STEPS)
    for task in (Identity(reals=11), Identity(-21, 5)):
        with pytest.raises(ValueError, match="whole numbers within -20 and 20, got Identity"):
            Retrain(MODELS, RECIPE, run, steps=STEPS, task=task)
    with pytest.raises(ValueError, match="without restarts"):
        Retrain(MODELS, Recipe(restart=Restart(every=10, above=1.0)), run, steps=STEPS)


def test_what_cannot_be_written_down_is_trained_all_the_same(run) -> None:
    def mine(generator: torch.Generator) -> torch.nn.Module:
        return NAC(1, 1, generator=generator)

    models = {"Tanh": MODELS["Tanh"], "one": mine}
    assert set(Retrain(models, RECIPE, run, steps=STEPS).code) == {"Tanh"}


@pytest.mark.parametrize("name", MODELS)
def test_its_code_makes_the_same_networks(name: str, run) -> None:
    networks = run.replicas[name]
    values = {"low": -5, "high": 5, "steps": STEPS, "weights": networks.state.T.tolist()}
    code = takeaway(name, MODELS[name], RECIPE, SEEDS)["networks"].format(**values)
    names: dict[str, object] = {}
    exec(code, names)
    made = [torch.nn.utils.parameters_to_vector(network.parameters()) for network in names["networks"]]
    assert torch.equal(torch.stack(made, 1), networks.state)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("ends", [(-5, 5), (-3, 8)])
def test_its_notebook_trains_them_to_the_same_bits(name: str, ends: tuple[int, int]) -> None:
    made = fit({name: MODELS[name]}, Eleven(*ends), RECIPE, seeds=range(16), steps=STEPS).replicas[name]
    code = takeaway(name, MODELS[name], RECIPE, [*range(16)])["training"]
    values = {"low": ends[0], "high": ends[1], "steps": STEPS, "digest": digest(lanes_of(made)), "last": 10}
    for key, value in values.items():
        code = code.replace(f"{{{key}}}", str(value))  # as the page does, which leaves other braces
    exec(code, {"__name__": "notebook"})
    with pytest.raises(AssertionError):
        exec(code.replace(f"steps={STEPS})", f"steps={STEPS - 1})"), {"__name__": "notebook"})


class Eleven:
    """What the page trains on."""

    fresh = shared = False

    def __init__(self, low: int, high: int) -> None:
        self.x = torch.tensor(np.float32([low + (high - low) * k / 10 for k in range(11)])).unsqueeze(1)

    def draw(self, generator: torch.Generator, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.x.expand(steps, -1, -1), self.x.expand(steps, -1, -1).clone()


def test_what_cannot_be_written_down_is_named() -> None:
    assert expression(MODELS["NAC"]) == (
        "from nalu import NAC, stack",
        "stack(NAC, [1, 4, 1])",
        "partial(stack, NAC, [1, 4, 1])",
    )
    with pytest.raises(TypeError, match="partial of it"):
        expression(lambda: NAC(1, 1))
    assert recipe_of(RECIPE) == "Recipe(lr=0.01)" and recipe_of(Recipe()) == "Recipe()"
    with pytest.raises(TypeError, match="loss"):
        recipe_of(Recipe(loss=torch.nn.functional.l1_loss))
