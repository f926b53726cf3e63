"""The Single Module Arithmetic Task in JavaScript gives the rows of `nalu.benchmark`: tried in node."""

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from helpers.scripts import node, plain

from nalu import INALU, NMU, UNITS, benchmark
from nalu.live.programs import digest
from nalu.live.single_module import program, row_digest, task
from nalu.tasks.single_module import OPERATIONS, RANGES
from nalu.units import Unit

STEPS, SEEDS = 2_010, range(18)

SCRIPT = """
import { Run, rowDigest } from "./single.js";
const bytes = (_, value) => (value?.base64 !== undefined ? new Uint8Array(Buffer.from(value.base64, "base64")) : value);
const { told, choices } = JSON.parse(await new Promise((resolve) => {
  let text = "";
  process.stdin.on("data", (part) => (text += part)).on("end", () => resolve(text));
}), bytes);
const found = [];
for (const choice of choices) {
  const run = await Run.load(told, choice);
  const size = run.kernel.memory.buffer.byteLength;
  for (const stop of run.stops) run.blocks.forEach((_, k) => run.advance(k, stop));
  if (run.kernel.memory.buffer.byteLength !== size) throw new Error("the memory has grown");
  found.push({ rows: run.rows(), digest: rowDigest(run.rows()), parameters: [...run.parameters()],
    times: run.restarts.map((each) => each?.times ?? []), looks: run.checks.map((each) => each.length) });
}
console.log(JSON.stringify(found));
"""


def trained(
    choices: Sequence[tuple[type[Unit], str, int]], steps: int = STEPS, seeds: range = SEEDS, script: str = SCRIPT
) -> list[dict]:
    columns: dict[str, bytes] = {}
    programs = {unit.__name__: program(unit, columns, steps, seeds) for unit, _, _ in choices}
    told = {"task": task(steps, seeds), "programs": programs, "columns": columns}
    named = [
        {"unit": unit.__name__, "operation": op, "range": at, "from": 0, "seeds": len(seeds)}
        for unit, op, at in choices
    ]
    return json.loads(node(script, json.dumps({"told": plain(told), "choices": named})))


@pytest.fixture(scope="module")
def units() -> list[dict]:
    """Each unit on an operation, from one of the nine ranges."""
    return trained([(unit, list(OPERATIONS)[k % 4], k % 9) for k, unit in enumerate(UNITS)])


@pytest.mark.slow
@pytest.mark.parametrize("k", range(len(UNITS)), ids=[unit.__name__ for unit in UNITS])
def test_it_gives_the_rows_of_the_benchmark(k: int, units: list[dict]) -> None:
    unit, op, (low, high), found = UNITS[k], list(OPERATIONS)[k % 4], list(RANGES)[k % 9], units[k]
    run = benchmark(unit, op, seeds=SEEDS, steps=STEPS)
    key = f"[{low:g}, {high:g}]"
    rows = run.table[run.table.range == key].reset_index(drop=True)
    own = pd.DataFrame(found["rows"]).astype({"solved_at": float, "sparsity": float})
    pd.testing.assert_frame_equal(own, rows[list(own)], check_exact=True, check_dtype=False)
    assert found["digest"] == row_digest(rows)
    state = np.float32(found["parameters"]).reshape(-1, len(SEEDS))
    assert digest(state) == digest(run.replicas[op, key].state.numpy())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unit", "op", "ends", "steps"), [(INALU, "a + b", (-2, 2), 6_010), (NMU, "a * b", (-2, -1), 12_000)]
)
def test_replicas_start_anew_and_retire_as_there(
    unit: type[Unit], op: str, ends: tuple[float, float], steps: int
) -> None:
    (found,) = trained([(unit, op, list(RANGES).index(ends))], steps)
    assert (sum(map(sum, found["times"])) > 0) == (unit is INALU)
    assert (min(found["looks"]) < max(found["looks"])) == (unit is NMU)
    run, key = benchmark(unit, op, seeds=SEEDS, steps=steps), f"[{ends[0]:g}, {ends[1]:g}]"
    assert found["digest"] == row_digest(run.table[run.table.range == key])
    assert np.float32(found["parameters"]).tolist() == run.replicas[op, key].state.flatten().tolist()


@pytest.mark.slow
def test_parts_of_the_seeds_give_the_same_rows() -> None:
    choice = (NMU, "a * b", 1)
    (whole,) = trained([choice])
    script = SCRIPT.replace("for (const choice of choices)", "for (const choice of choices.flatMap(parted))").replace(
        "const found = [];",
        "const found = [], parted = (all) => [[0, 5], [5, 13]].map(([from, seeds]) => ({ ...all, from, seeds }));",
    )
    parts = trained([choice], script=script)
    assert [row for part in parts for row in part["rows"]] == whole["rows"]


def test_six_digits_are_pythons() -> None:
    rng = np.random.default_rng(0)
    numbers = [2.0**-k for k in range(40)] + [0.0, 1e-300, 123456.5, 123455.5, 1.2345675e-7, -(2.0**-10), 5e20]
    numbers += np.float32(10 ** rng.uniform(-20, 20, 2000)).tolist()
    found = json.loads(node(f'import {{ six }} from "./single.js"; console.log(JSON.stringify({numbers}.map(six)));'))
    assert found == [float(format(number, ".6g")) for number in numbers]
