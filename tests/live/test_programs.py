"""What a browser is given trains there to the bits of `fit`: tried in node, which has the same WebAssembly."""

import base64
import json
import shutil
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.scripts import node

from nalu import MLP, NAC, NALU, NAU, Fit, Penalty, Recipe, fit, stack
from nalu.live.front import FOLDER, module
from nalu.live.programs import digest, program
from nalu.live.retrain import lanes_of
from nalu.tasks.identity import Identity
from nalu.training.replicas import Build

POINTS = torch.linspace(-40, 40, 70).unsqueeze(1)
RECIPE, SEEDS, STEPS = Recipe(lr=1e-2), range(5), 230
MODELS = {name: partial(MLP, 1, 1, activation=name) for name in ("Tanh", "PReLU", "Softplus", "SELU")}
MODELS |= {unit.__name__: partial(stack, unit, [1, 4, 1]) for unit in (NAC, NALU)}

SCRIPT = """
import { Training, digest } from "./kernel.js";
const { program, batches, calls, points } = JSON.parse(await new Promise((resolve) => {
  let text = "";
  process.stdin.on("data", (part) => (text += part)).on("end", () => resolve(text));
}));
for (const name of ["wasm", "state", "numbers"]) program[name] = new Uint8Array(Buffer.from(program[name], "base64"));
const training = await Training.load(program);
training.look(points);
const found = batches.map((batch) => {
  training.begin(batch);
  const losses = calls.flatMap((steps) => [...training.advance(steps)]);
  return { digest: digest(training.parameters()), losses, answers: [...training.predict()], done: training.done };
});
console.log(JSON.stringify(found));
"""


def trained(
    make: Build, batches: list[list[float]], calls: list[int], recipe: Recipe = RECIPE, script: str = SCRIPT
) -> list[dict]:
    """What JavaScript makes of a model in so many steps, with each of these batches."""
    made = program(make, Identity(), recipe, SEEDS, STEPS, POINTS)
    told = {name: base64.b64encode(part).decode() if isinstance(part, bytes) else part for name, part in made.items()}
    points = POINTS.flatten().tolist()
    return json.loads(node(script, json.dumps({"program": told, "batches": batches, "calls": calls, "points": points})))


def batch(low: int, high: int) -> list[float]:
    inputs = np.linspace(low, high, high - low + 1).tolist()
    return [*inputs, *inputs]


def run(make: Build, steps: int, task: Identity | None = None) -> Fit:
    return fit({"it": make}, task or Identity(), RECIPE, seeds=SEEDS, steps=steps)


@pytest.mark.parametrize("name", MODELS)
def test_it_trains_to_the_bits_of_fit(name: str) -> None:
    (found,) = trained(MODELS[name], [batch(-5, 5)], [STEPS])
    own = run(MODELS[name], STEPS).replicas["it"]
    assert found["digest"] == digest(lanes_of(own)) and found["done"] == STEPS
    answers = np.float32(found["answers"]).reshape(len(POINTS), 16)[:, : len(SEEDS)]
    torch.testing.assert_close(torch.from_numpy(answers.T.copy()), own(POINTS).squeeze(-1), rtol=1e-5, atol=1e-5)


def test_neither_calls_nor_what_was_trained_before_change_anything() -> None:
    make = MODELS["Tanh"]
    first, other, again = trained(make, [batch(-5, 5), batch(-3, 7), batch(-5, 5)], [1, 0, 99, 130])
    assert first == again and first["digest"] != other["digest"]
    assert first["digest"] == digest(lanes_of(run(make, STEPS).replicas["it"]))
    assert other["digest"] == digest(lanes_of(run(make, STEPS, Identity(-3, 7)).replicas["it"]))


def test_fewer_steps_are_the_first_of_many() -> None:
    (found,) = trained(MODELS["Tanh"], [batch(-5, 5)], [40])
    assert found["digest"] == digest(lanes_of(run(MODELS["Tanh"], 40).replicas["it"]))
    losses = np.float32(found["losses"]).reshape(40, 16)
    alone = run(MODELS["Tanh"], 39).last.loss.to_numpy()  # the loss after 39 steps is that before the 40th
    assert np.array_equal(losses[39, : len(SEEDS)], np.float32(alone))


def test_a_batch_of_another_size_is_refused() -> None:
    with pytest.raises(AssertionError, match="expected a batch of 22 numbers, got 24"):
        trained(MODELS["Tanh"], [batch(-5, 6)], [1])


def test_schedules_rates_and_penalties_are_told_step_by_step() -> None:
    recipe = Recipe(lr=1e-2, schedule=lambda share: 1 - share / 2, rates={"1": 3e-2}, penalty=Penalty(lambda s: s))
    make = partial(stack, NAU, [1, 4, 1])
    (found,) = trained(make, [batch(-5, 5)], [100, STEPS - 100], recipe)
    own = fit({"it": make}, Identity(), recipe, seeds=SEEDS, steps=STEPS).replicas["it"]
    assert found["digest"] == digest(lanes_of(own))


def test_memory_stays_the_same_however_often_it_begins() -> None:
    again = """
    const size = training.memory.buffer.byteLength;
    for (let k = 0; k < 300; k++) {
      training.begin(batches[0]);
      training.look(points);
      training.advance(3);
      training.predict();
    }
    console.log(training.memory.buffer.byteLength - size);
    """
    script = SCRIPT.replace("console.log(JSON.stringify(found));", again)
    assert trained(MODELS["Tanh"], [batch(-5, 5)], [1], script=script) == 0


def test_a_digest_tells_bits_apart_but_those_of_what_is_no_number() -> None:
    numbers = np.float32([[1.0, -0.0], [np.nan, 3.0]])
    assert digest(numbers) == digest(numbers.copy())
    assert digest(numbers) != digest(np.float32([[1.0, 0.0], [np.nan, 3.0]]))
    assert digest(numbers) != digest(numbers[::-1])
    other = numbers.copy()
    other.view(np.uint32)[1, 0] = 0xFFC01234
    assert np.isnan(other[1, 0]) and digest(numbers) == digest(other)
    script = """
    import { digest } from "./kernel.js";
    const numbers = new Float32Array([1, -0, NaN, 3]);
    new Uint32Array(numbers.buffer)[2] = 0xffc01234;
    console.log(digest(numbers));
    """
    assert int(node(script)) == digest(numbers)


VIEWS = ["by_hand", "reading", "retrain", "trial", "your_data"]


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_one_module_that_imports_nothing(view: str, tmp_path: Path) -> None:
    text = module(view)
    assert not any(line.startswith("import ") for line in text.splitlines())
    assert [line.split()[1] for line in text.splitlines() if line.startswith("export ")] == ["default"]
    (tmp_path / "view.mjs").write_text(text, encoding="utf-8")
    found = node(f"""
    const view = await import({json.dumps((tmp_path / "view.mjs").as_uri())});
    console.log(typeof view.default.render);
    """)
    assert found.strip() == "function"


@pytest.mark.parametrize(
    "command",
    [
        ["typescript/bin/tsc", "-p", "tests/live/tsconfig.json"],
        ["prettier/bin/prettier.cjs", "--print-width", "120", "--check", *map(str, FOLDER.glob("*"))],
    ],
    ids=["types", "format"],
)
def test_the_javascript_is_typed_and_formatted(command: list[str]) -> None:
    root = Path(__file__).resolve().parents[2]
    tool = root / "tests/npm" / command[0]
    if not tool.is_file() or not shutil.which("node"):
        pytest.skip("`make offline` fetches typescript and prettier, which need node")
    result = subprocess.run(["node", tool, *command[1:]], cwd=root, capture_output=True, encoding="utf-8")
    assert result.returncode == 0, result.stdout + result.stderr
