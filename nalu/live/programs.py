"""A model as a browser trains it: its C as WebAssembly, and the numbers that it starts from and is told."""

import gzip
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nalu.engine import step
from nalu.engine.compiler import wasm
from nalu.engine.kernel import LANES, TILE, Kernel, Layout
from nalu.engine.tracing import Unknown
from nalu.recipe import Recipe
from nalu.tasks import Task
from nalu.training.replicas import Build, Replicas, build

Program = Mapping[str, Any]
"""What JavaScript is given of a model, see `program`: bytes, and numbers and names that tell what lies in them."""


def program(make: Build, task: Task, recipe: Recipe, seeds: Sequence[int], steps: int, points: Tensor) -> Program:
    """A model for a browser, which trains a replica for each of up to sixteen seeds as `nalu.fit` does.

    Args:
        make, task, recipe, seeds: as for `nalu.fit`.
        steps: the most that can be trained; a schedule of the recipe is one over so many.
        points: such as the inputs whose outputs will be asked for, (points, inputs).

    Returns:
        `wasm`, the code; `state`, the untrained replicas with their moments; `numbers`, what each step is told, one
        column after the other: all three packed by gzip. `layout` tells what lies where, in rows of sixteen lanes.

    Raises:
        ValueError: a recipe with restarts, which a browser knows nothing of.
        Unknown: an operation that has no C, in training or in what is predicted; see `nalu.engine.kernel`.
        NoCompiler, CompilerFailed: see `nalu.engine.compiler`.
    """
    if recipe.restart is not None:
        raise ValueError(f"recipe: expected one without restarts for a browser, got {recipe.restart!r}")
    networks = [build(make, seed) for seed in seeds]
    kernel = Kernel(networks[0], recipe, Layout([part[0] for part in task.draw(torch.Generator(), 1)]), inputs=[points])
    if not kernel.outputs:
        raise Unknown("the outputs of a trained network")
    told = np.stack(step.numbers(recipe, steps)).astype(np.float32)
    return {
        "wasm": packed(wasm(kernel.source, ["train", "predict_0"])),
        "state": packed(kernel.state(Replicas(networks).state.numpy())),
        "numbers": packed(told),
        "layout": {
            "lanes": LANES,
            "tile": TILE,
            "replicas": len(networks),
            "parameters": kernel.parameters,
            "state": kernel.state_size,
            "batch": kernel.own_size,
            "scratch": kernel.scratch_size + 1,
            "numbers": len(told),
            "inputs": points[0].numel(),
            "outputs": kernel.outputs[tuple(points.shape[1:])],
            "steps": steps,
        },
    }


def packed(numbers: bytes | np.ndarray) -> bytes:
    """What a browser unpacks with its DecompressionStream; the same bytes in every build."""
    return gzip.compress(numbers if isinstance(numbers, bytes) else np.ascontiguousarray(numbers).tobytes(), mtime=0)


def digest(numbers: Float[np.ndarray, "parameters replica"]) -> int:
    """One number that tells the bits of float32 numbers apart: FNV-1a over words; the same as in js/kernel.js.

    What is not a number has many bits, which no machine promises: all are taken for the same.
    """
    words = np.where(np.isnan(numbers), np.float32(np.nan), numbers.astype(np.float32, copy=False)).view(np.uint32)
    found = 0x811C9DC5
    for word in words.reshape(-1).tolist():
        found = (found ^ word) * 0x01000193 & 0xFFFFFFFF
    return found
