"""Trained networks as a browser asks them, which does not train them: their C as WebAssembly, and their parameters."""

import torch
from torch import Tensor

from nalu.engine.compiler import wasm
from nalu.engine.kernel import LANES, TILE, Kernel, Layout
from nalu.engine.tracing import Unknown
from nalu.live.programs import Program, packed
from nalu.recipe import Recipe
from nalu.training.replicas import Replicas


def trained(networks: Replicas, points: Tensor) -> Program:
    """Networks that answer a point with one number.

    Args:
        networks: up to sixteen.
        points: such as the inputs that they will be asked for, (points, numbers of a point); or tokens, as whole
            numbers.

    Returns:
        `wasm`, the code, and `state`, the parameters in rows of sixteen lanes, both packed by gzip; `layout` tells
        what lies where.

    Raises:
        ValueError: more than sixteen networks; answers of several numbers.
        Unknown, NoCompiler, CompilerFailed: see `nalu.engine.kernel`.
    """
    if len(networks) > LANES:
        raise ValueError(f"networks: expected at most {LANES}, got {len(networks)}")
    if (outputs := networks.network(points[:1]).numel()) != 1:
        raise ValueError(f"networks: expected answers of one number, got {outputs}")
    # A kernel holds a training step, too, which is not exported; of the shortest sentence it is quickly made.
    batch = points[:1] if points.is_floating_point() else points[:1, :1]
    kernel = Kernel(networks.network, Recipe(), Layout([batch, torch.zeros(1, 1)]), inputs=[points])
    if not kernel.outputs:
        raise Unknown("the answers of a trained network")
    return {
        "wasm": packed(wasm(kernel.source, ["predict_0"])),
        "state": packed(kernel.state(networks.state.numpy())[: kernel.parameters]),
        "layout": {
            "lanes": LANES,
            "tile": TILE,
            "replicas": len(networks),
            "parameters": kernel.parameters,
            "scratch": kernel.scratch_size + 1,
            "inputs": points[0].numel(),
        },
    }
