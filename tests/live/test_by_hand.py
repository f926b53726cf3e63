"""A NALU by hand without a browser: its bits, its map, and what Python reads of it."""

import base64
import json
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.plain_loop import alone, assert_same
from helpers.scripts import node
from torch import nn

from nalu import NALU, Recipe, fit
from nalu.live.by_hand import HIGH, LOW, RIGHT, START, ByHand, OpenNALU, WholePairs, nalu_of, surface
from nalu.live.programs import LANES, digest
from nalu.tasks.functions import FUNCTIONS

RECIPE, STEPS = Recipe(lr=1e-2), 300
STARTS = [START, (0.0, 0.0, 0.0, 0.0, 0.0, 0.0), (3.0, -3.0, 2.0, 2.0, -0.5, 0.4)]

HEAD = """
import { Training, digest } from "./kernel.js";
const told = JSON.parse(await new Promise((resolve) => {
  let text = "";
  process.stdin.on("data", (part) => (text += part)).on("end", () => resolve(text));
}));
const { program, batches } = told;
for (const name of ["wasm", "state", "numbers"]) program[name] = new Uint8Array(Buffer.from(program[name], "base64"));
const training = await Training.load(program);
"""


@pytest.fixture(scope="module")
def widget() -> ByHand:
    return ByHand()


def ran(widget: ByHand, script: str, **told: object) -> object:
    made = {
        name: base64.b64encode(part).decode() if isinstance(part, bytes) else part
        for name, part in widget.program.items()
    }
    return json.loads(node(HEAD + script, json.dumps({"program": made, "batches": widget.batches, **told})))


def descended(weights: tuple[float, ...], goal: str, steps: int) -> NALU:
    make = partial(nalu_of, np.float32(weights))
    return fit({"it": make}, WholePairs(goal), RECIPE, seeds=[0], steps=steps).replicas["it"][0]


def vector(network: nn.Module) -> np.ndarray:
    return nn.utils.parameters_to_vector(network.parameters()).detach().numpy()


@pytest.mark.parametrize("goal", FUNCTIONS)
def test_descent_from_the_hands_weights_has_the_bits_of_fit(goal: str, widget: ByHand) -> None:
    script = """
    const found = told.starts.map((start) => {
      training.begin(batches[told.goal], new Float32Array(start));
      for (const steps of [1, 99, 200]) training.advance(steps);
      return digest(training.parameters());
    });
    console.log(JSON.stringify(found));
    """
    found = ran(widget, script, goal=goal, starts=STARTS)
    for start, bits in zip(STARTS, found, strict=True):
        own = vector(descended(start, goal, STEPS))
        assert bits == digest(np.repeat(own[:, None], LANES, axis=1))


@pytest.mark.parametrize("goal", ["a * b", "a - b"])
def test_descent_is_that_of_the_plain_loop(goal: str) -> None:
    make = partial(nalu_of, np.float32(START))
    expected = alone(make, WholePairs(goal), 0, 100, lr=1e-2)
    assert_same(descended(START, goal, 100).double(), expected, 1e-4)  # one in float32


def test_the_map_is_pytorchs_loss(widget: ByHand) -> None:
    script = """
    import { grid } from "./surface.js";
    const networks = grid(new Float32Array(told.start), 1, 4, 6, 7);
    console.log(JSON.stringify([[...networks], [...training.survey(batches["a / b"], networks)]]));
    """
    networks, losses = ran(widget, script, start=START)
    values = torch.linspace(-6, 6, 7)
    expected = surface(nalu_of(np.float32(START)), "a / b", 1, 4, values)
    torch.testing.assert_close(torch.tensor(losses).reshape(7, 7), expected, rtol=1e-4, atol=1e-6)
    assert expected.max() > 2 * expected.min()
    own = torch.tensor(networks).reshape(7, 7, 6)
    assert torch.equal(own[0, :, 1], values) and torch.equal(own[:, 0, 4], values)
    assert torch.equal(own[2, 5, [0, 2, 3, 5]], torch.tensor(START)[[0, 2, 3, 5]])


def test_what_is_drawn_is_the_units_answer(widget: ByHand) -> None:
    points = [[3.0, 4.0], [-25.0, 4.0], [0.0, 1e6], [12.5, -2.0]]
    script = """
    training.begin(batches["a + b"], new Float32Array(told.start));
    training.look(told.points.flat());
    console.log(JSON.stringify([...training.predict()]));
    """
    found = np.float32(ran(widget, script, start=STARTS[2], points=points)).reshape(len(points), 6, LANES)[..., 0]
    unit, x = nalu_of(np.float32(STARTS[2])), torch.tensor(points)
    W, gate = unit.W.detach(), torch.sigmoid(F.linear(x, unit.G))
    a, m = F.linear(x, W), torch.exp(F.linear(torch.log(x.abs() + unit.epsilon), W))
    expected = torch.cat([unit(x), gate, a, m, W.expand(len(x), 2)], 1).detach()
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-4, atol=1e-6)


def test_the_page_knows_the_same_functions(widget: ByHand) -> None:
    script = """
    import { FUNCTIONS } from "./by_hand.js";
    const found = Object.entries(FUNCTIONS).map(([name, own]) => [name, told.x.map(([a, b]) => own(a, b))]);
    console.log(JSON.stringify(Object.fromEntries(found)));
    """
    x = WholePairs("a + b").draw(torch.Generator(), 1)[0][0]
    found = ran(widget, script, x=x.tolist())
    assert list(found) == list(FUNCTIONS) == list(widget.batches) == list(RIGHT)
    for name, answers in found.items():
        targets = widget.batches[name][x.numel() :]
        np.testing.assert_allclose(answers, targets, rtol=1e-6)


def test_numbers_of_a_reader_are_read_or_refused_in_words(widget: ByHand) -> None:
    script = 'import { read } from "./by_hand.js"; console.log(JSON.stringify(told.texts.map((t) => read("a", t))));'
    texts = ["2.5", " −3 ", "1e3", "", "abc", "10^300", "1e300", "NaN", "0x10", "7" * 40]
    found = ran(widget, script, texts=texts)
    assert found[:3] == [2.5, -3, 1000]
    assert found[3] == "a: expected a number, such as 2.5, and got none."
    assert found[4] == "a: expected a number, such as 2.5, got “abc”."
    assert found[6] == "a: expected a number from −1,000,000 to 1,000,000, got “1e300”."
    assert all(isinstance(each, str) and each.startswith("a: expected") and len(each) < 90 for each in found[3:])


def test_an_axis_holds_its_values_whatever_they_are(widget: ByHand) -> None:
    script = """
    import { around } from "./by_hand.js";
    console.log(JSON.stringify(told.values.map((each) => around(each, ""))));
    """
    for axis, values in zip(
        ran(widget, script, values=[[0, 0], [3, 3], [-1e12, 1e12], [1e-7, 2e-7], []]),
        [[0], [3], [-1e12, 1e12], [1e-7, 2e-7], [0]],
        strict=True,
    ):
        assert axis["low"] < min(values) <= max(values) < axis["high"] and 2 <= len(axis["ticks"]) <= 8


@pytest.mark.parametrize("goal", FUNCTIONS)
def test_weights_set_right_are_right(goal: str) -> None:
    x = torch.tensor([[3.0, 4.0], [20.0, 17.0], [1.0, 1.0]])
    if goal == "a ^ 2":  # which takes b = a
        x = x[:, :1].expand(-1, 2)
    expected = FUNCTIONS[goal](x[:, :1], x[:, 1:])
    torch.testing.assert_close(nalu_of(np.float32(RIGHT[goal]))(x), expected, rtol=1e-6, atol=1e-6)


def test_pairs_are_all_whole_ones_and_the_open_unit_trains_as_the_unit() -> None:
    x, y = WholePairs("a - b").draw(torch.Generator(), 3)
    size = (HIGH - LOW + 1) ** 2
    assert x.shape == (3, size, 2) and len(x[0].unique(dim=0)) == size and torch.equal(y, x[..., :1] - x[..., 1:])
    with pytest.raises(ValueError, match="function"):
        WholePairs("a + c")
    unit = OpenNALU(2, 1, generator=torch.Generator().manual_seed(1))
    own = NALU(2, 1, generator=torch.Generator().manual_seed(1))
    assert torch.equal(unit.train()(x), own(x)) and torch.equal(unit.eval()(x)[..., :1], own(x))


def test_python_reads_what_the_reader_has_set(widget: ByHand) -> None:
    assert np.array_equal(vector(widget.network), np.float32(START))
    own = ByHand(goal="a + b", start=STARTS[2], steps=20)
    assert own.settings["goal"] == "a + b" and np.array_equal(vector(own.network), np.float32(STARTS[2]))
    own.set_state({"weights": memoryview(np.float32(STARTS[1]).tobytes())})  # as a page does
    assert isinstance(own.network, NALU) and not vector(own.network).any()
    assert widget.still.startswith('<img alt="A NALU whose weights are set by hand; asked for a * b of 3 and 4')


def test_what_is_no_start_is_refused() -> None:
    with pytest.raises(ValueError, match="goal"):
        ByHand(goal="a % b")
    for start in ([1.0, 2.0], [float("nan")] * 6):
        with pytest.raises(ValueError, match="expected 6 finite numbers"):
            ByHand(start=start)
