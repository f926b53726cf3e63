"""Time per seed and step on the single module task: a plain loop and ours, in one run, and the memory of a whole range.

    python benchmarks/single_module.py

Both train one unit of two inputs with Adam on fresh batches of 128, in float32, and take the errors on two sets of
10,000 points each 1,000 steps, as the published benchmark does. The plain loop trains one seed, as one process of that
benchmark; ours 25 seeds on each of nine ranges, on all cores, and retires none. Every time is the difference between a
long and a short run, divided by the steps between them, so that starting and tracing do not count.
"""

import argparse
import json
import os
import resource
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TQDM_DISABLE"] = "1"

import machine
import torch
import torch.nn.functional as F
from torch import nn

from nalu import NALU, NMU
from nalu.benchmark import benchmark
from nalu.tasks import SingleModule

BATCH, LOGGED, SEEDS = 128, 1_000, 25
MOVED = 2 * 4 * (2 + 1) * BATCH
"""Bytes of a step that a machine must at least move: each number of the batch is written once, and read once."""

OPERATIONS = {"NMU": 17 * BATCH, "NALU": 30 * BATCH}
"""Operations of a step, counted by hand: forward, loss and backward, a function such as exp as one."""


def plain(unit: type[nn.Module], steps: int) -> float:
    """One seed, one loop. Seconds."""
    torch.set_num_threads(1)
    task = SingleModule("a * b", 1, 2)
    tests = task.tests()
    network = unit(2, 1)
    update = torch.optim.Adam(network.parameters(), lr=1e-3)
    recipe = unit.recipe("a * b")
    start = time.perf_counter()
    for step in range(steps):
        if step % LOGGED == 0:
            with torch.no_grad():
                for x, y in tests.values():
                    F.mse_loss(network(x), y).item()
        x = 1 + torch.rand(BATCH, 2)
        loss = F.mse_loss(network(x), x[:, :1] * x[:, 1:])
        if recipe.penalty is not None:
            loss = loss + recipe.penalty(step / steps) * network.penalty()
        update.zero_grad()
        loss.backward()
        update.step()
        if hasattr(network, "project_"):
            network.project_()
    return time.perf_counter() - start


def ours(unit: type[nn.Module], steps: int) -> float:
    """25 seeds on nine ranges. Seconds."""
    return benchmark(unit, "a * b", seeds=range(SEEDS), steps=steps, retire=False).seconds


def measure(unit: type[nn.Module], rounds: int) -> dict[str, float]:
    """Microseconds per seed and step; the two take turns, and the best of each counts."""
    best = {(way, part): float("inf") for way in ("plain", "ours") for part in ("short", "long")}
    lengths = {"plain": (1_000, 4_000), "ours": (10_000, 40_000)}
    for _ in range(rounds):
        for way, run in (("plain", plain), ("ours", ours)):
            for part, steps in zip(("short", "long"), lengths[way], strict=True):
                best[way, part] = min(best[way, part], run(unit, steps))
    seeds = {"plain": 1, "ours": 9 * SEEDS}
    return {
        way: (best[way, "long"] - best[way, "short"]) / (long - short) / seeds[way] * 1e6
        for way, (short, long) in lengths.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured; the best counts")
    rounds = parser.parse_args().rounds
    times = {unit.__name__: measure(unit, rounds) for unit in (NMU, NALU)}
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    least = {name: machine.least_time(count, MOVED)["least"] * 1e6 for name, count in OPERATIONS.items()}
    print(f"{'':8}{'plain loop, µs':>16}{'ours, µs':>10}{'ratio':>8}{'limit, µs':>11}{'ours / limit':>14}")
    for name, t in times.items():
        print(
            f"{name:8}{t['plain']:16.1f}{t['ours']:10.2f}{t['plain'] / t['ours']:8.0f}"
            f"{least[name]:11.3f}{t['ours'] / least[name]:14.1f}"
        )
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"memory: {kilobytes / 2**20:.2f} GiB\n")
    ratios = {name: t["plain"] / t["ours"] for name, t in times.items()}
    of_limit = {name: t["ours"] / least[name] for name, t in times.items()}
    found = {"microseconds": times, "ratios": ratios, "ours_over_limit": of_limit, "gigabytes": kilobytes / 2**20}
    print(json.dumps({"name": "single_module", **found}))


if __name__ == "__main__":
    main()
