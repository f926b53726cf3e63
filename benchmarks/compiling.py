"""Seconds to trace and to compile a training step, with nothing cached, for the models of the book; and again.

python benchmarks/compiling.py
"""

import json
import os
import tempfile
import time
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torch.nn.functional as F
from torch import nn

from nalu import ACTIVATIONS, LSTM, MLP, NAC, NALU, RNN, UNITS, Linear, Pairs, Reader, Recurrent, stack
from nalu.engine.kernel import Kernel, Layout
from nalu.recipe import Clip, Recipe
from nalu.tasks import LanguageToNumber, RecurrentFunction, StaticFunction, Task
from nalu.tasks.single_module import ranges


def kernels() -> dict[str, partial[Kernel]]:
    """What makes the C of each model, with its step and a test set."""
    square, clipped = Recipe(), Recipe(clip=Clip(norm=1.0))
    x = torch.zeros(11, 1)
    found = {name: (MLP(1, 1, activation=name), square, Layout([x, x])) for name in ACTIVATIONS}
    for unit in UNITS:
        recipe, task = unit.recipe(unit.operations[0]), ranges(unit.operations[0])["[1, 2]"]
        layout = Layout([torch.full(task.noise, 0.25)], numbers=["low", "high"], examples=task.examples)
        found[f"{unit.__name__}, single module"] = (unit(2, 1), recipe, layout)
    for size, given in ((2, True), (100, False)):
        layout = drawn(StaticFunction("a + b", given=given, batch=16))
        for unit in (NAC, NALU, Linear):
            found[f"{unit.__name__}, {size} inputs"] = (stack(unit, [size, 2, 1]), square, layout)
    over_time = {
        "RNN": RNN(10, 1), "LSTM": LSTM(10, 1), "NAC": Recurrent(NAC, 10, 1), "NALU": Recurrent(NALU, 10, 1)
    }  # fmt: skip
    for name, network in over_time.items():
        found[f"{name}, ten times"] = (network, clipped, drawn(RecurrentFunction("a + b", batch=16)))
    language = LanguageToNumber(batch=4)
    words = len(language.vocabulary)
    readers = {"every word": Reader(words, NALU, hidden=6), "last word": Reader(words, NALU, read="last")}
    for name, network in {**readers, "pairs": Pairs(words, NALU)}.items():
        found[f"NALU, {name}"] = (network, Recipe(loss=F.l1_loss, clip=Clip(norm=1.0)), drawn(language))
    return {
        name: partial(Kernel, network, recipe, layout, inputs=[layout.batch[0]] if len(layout.batch) > 1 else [])
        for name, (network, recipe, layout) in found.items()
    }


def drawn(task: Task) -> Layout:
    x, y = task.draw(torch.Generator(), 1)
    return Layout([x[0], y[0]], shared=task.shared)


def seconds(make: partial[Kernel]) -> tuple[float, float, int]:
    """To trace and emit, to compile, and the lines of C."""
    start = time.perf_counter()
    kernel = make()
    middle = time.perf_counter()
    assert isinstance(kernel.library, object)
    return middle - start, time.perf_counter() - middle, kernel.body.count("\n")


def main() -> None:
    every = kernels()
    nn.Linear(1, 1)(torch.zeros(1, 1)).sum().backward()
    seconds(next(iter(every.values())))  # torch loads what it traces with
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NALU_CACHE"] = folder
        first = {name: seconds(make) for name, make in every.items()}
        again = {name: seconds(make) for name, make in every.items()}
    print(f"{'':24}{'trace, s':>10}{'compile, s':>12}{'again, s':>10}{'lines of C':>12}")
    for name, (traced, compiled, lines) in first.items():
        print(f"{name:24}{traced:10.2f}{compiled:12.2f}{again[name][1]:10.3f}{lines:12}")
    found = {name: {"trace": traced, "compile": compiled} for name, (traced, compiled, _) in first.items()}
    print(json.dumps({"name": "compiling", "seconds": found}))


if __name__ == "__main__":
    main()
