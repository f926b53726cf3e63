"""The Single Module Arithmetic Task for a browser: the units as WebAssembly, and all that a run is told."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from nalu.engine import step
from nalu.engine.compiler import wasm
from nalu.engine.kernel import LANES, TILE, Kernel, Layout
from nalu.engine.tracing import Unknown
from nalu.experiments.benchmarking import recipe_for, sparsity
from nalu.live.programs import digest, packed
from nalu.streams import DATA, RESTARTS, seed_of
from nalu.tasks.functions import TESTS
from nalu.tasks.single_module import OPERATIONS, RANGES, SingleModule
from nalu.training.replicas import build

Unit = Callable[..., nn.Module]
Told = dict[str, bytes]
"""What several units are told, by its digest: columns of numbers, one for each step, packed by gzip."""

TOLD = ["success", "solved_at", "sparsity", "best_step", "interpolation", "extrapolation", "diverged"]
"""The columns of a row of `nalu.benchmark`, as the page finds them."""


def task(steps: int, seeds: Sequence[int]) -> Mapping[str, Any]:
    """What is the same for all units.

    Args:
        steps: of a run.
        seeds: of the replicas that a reader can train.

    Returns:
        Operations and ranges, with the threshold of each; `seeds` and what draws their data and the test points.
    """
    tasks = {op: [SingleModule(op, low, high) for low, high in RANGES] for op in OPERATIONS}
    return {
        "steps": steps,
        "checkpoints": max(10, round(steps / 1_000)),
        "operations": list(OPERATIONS),
        "ranges": [{"low": low, "high": high, "beyond": beyond} for (low, high), beyond in RANGES.items()],
        "thresholds": {op: [each.threshold() for each in of] for op, of in tasks.items()},
        "seeds": list(seeds),
        "data": [seed_of(DATA, seed) for seed in seeds],
        "tests": [seed_of(TESTS, 7, k) for k in (0, 1)],
        "points": 10_000,
    }


def program(unit: Unit, told: Told, steps: int, seeds: Sequence[int]) -> Mapping[str, Any]:
    """A unit for a browser, which trains on each operation as `nalu.benchmark` does.

    Args:
        unit: made by `unit(2, 1)`.
        told: columns of numbers, to which those of this unit are added.
        steps, seeds: see `task`.

    Returns:
        `wasm`, the code for all operations, one after the other; `starts`, the parameters of the untrained networks,
        (parameters, seeds); `fresh`, those after each restart that there may be, (restarts, parameters, seeds): all
        packed by gzip. `layouts` tells for each operation what lies where.

    Raises:
        Unknown: an operation that has no C; NoCompiler, CompilerFailed: see `nalu.engine.compiler`.
    """
    make = partial(unit, 2, 1)
    codes, layouts = [], []
    for op in OPERATIONS:
        recipe = recipe_for(unit, op)
        kernel, measured = _kernel(make, op)
        code = wasm(kernel.source, ["train", "seed", "words", "uniform", "test_0", *["measure_0"] * measured])
        numbers = []
        for column in step.numbers(recipe, steps):
            column = np.asarray(column, np.float32)
            numbers.append(hashlib.sha256(column).hexdigest()[:8])
            told.setdefault(numbers[-1], packed(column))
        codes.append(code)
        layouts.append(
            {
                "size": len(code),
                "lanes": LANES,
                "tile": TILE,
                "parameters": kernel.parameters,
                "state": kernel.state_size,
                "moments": kernel.state(np.zeros((kernel.parameters, 1)))[kernel.parameters :, 0].tolist(),
                "batch": kernel.own_size,
                "scratch": kernel.scratch_size + 1,
                "numbers": numbers,
                "measured": measured,
                "restart": vars(recipe.restart) if recipe.restart else None,
            }
        )
    waits = [restart["after"] + 1 for each in layouts if (restart := each["restart"])]
    most = steps // min(waits, default=steps + 1)
    return {
        "wasm": packed(b"".join(codes)),
        "starts": packed(_parameters(make, seeds)),
        "fresh": packed(b"".join(_fresh(make, seeds, time) for time in range(1, 1 + most))),
        "layouts": layouts,
    }


def step_in_c(unit: Unit, operation: str) -> str:
    """The C function of a unit's training step on an operation, of sixteen networks at once, as it is compiled.

    Raises:
        Unknown: see `program`.
    """
    kernel, _ = _kernel(partial(unit, 2, 1), operation)
    return kernel.body.partition("\n}\n")[0] + "\n}"


def _kernel(make: Unit, operation: str) -> tuple[Kernel, bool]:
    """The C of a unit in training, and whether it has weights whose distance from -1, 0 and 1 is measured."""
    given = SingleModule(operation, 1, 2)
    network = build(make, 0)
    scales = [f"scale_{k}" for k in range(len(given.scales))]
    layout = Layout([torch.full(given.noise, 0.25)], numbers=scales, examples=given.examples)
    measures = {"sparsity": sparsity} if isinstance(getattr(network, "W", None), torch.Tensor) else {}
    inputs = [given.tests(TILE)["interpolation"][0]]
    kernel = Kernel(network, recipe_for(make.func, operation), layout, inputs=inputs, measures=measures)
    if not kernel.outputs or set(kernel.measures) != set(measures):
        raise Unknown("the outputs or the weights of a trained network")
    return kernel, bool(measures)


def _parameters(make: Unit, seeds: Sequence[int]) -> np.ndarray:
    vectors = [nn.utils.parameters_to_vector(build(make, seed).parameters()).detach() for seed in seeds]
    return torch.stack(vectors, 1).numpy().astype(np.float32)


def _fresh(make: Unit, seeds: Sequence[int], time: int) -> bytes:
    """What each replica starts from at its first, second, ... new start: see `nalu.training.restarts`."""
    return _parameters(make, [seed_of(RESTARTS, seed, time) for seed in seeds]).tobytes()


def row_digest(rows: pd.DataFrame) -> int:
    """One number that tells rows of `nalu.benchmark` apart, by six digits of each number; as in js/single.js."""
    numbers = [[float(format(float(value), ".6g")) for value in row] for row in rows[TOLD].to_numpy(dtype=np.float64)]
    return digest(np.array(numbers, np.float64).view(np.float32))
