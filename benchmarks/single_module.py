"""Time per seed and step on the single module task: a plain loop and ours, in one run, for every unit of the book.

    python benchmarks/single_module.py

Both train one unit of two inputs with Adam on fresh batches of 128, in float32, and take the errors on two sets of
10,000 points each 1,000 steps, as the published benchmark does. The plain loop trains one seed, as one process of that
benchmark; ours 25 seeds on each of nine ranges, on all cores, and retires none. Every time is the difference between a
long and a short run, divided by the steps between them, so that starting, tracing and compiling do not count.

The limit is reckoned from arithmetic alone, for all else is in cache: the operations of a step, counted in the C by
hand, at the speed of this machine's matrix products, which fuse a product and a sum into one.
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

from nalu import UNITS
from nalu.experiments.benchmarking import benchmark
from nalu.tasks import SingleModule

BATCH, LOGGED, SEEDS = 128, 1_000, 25
OPERATIONS = {"NMU": 18 * BATCH, "NAU": 14 * BATCH}
"""Operations of a step of units without functions such as exp, counted by hand: examples, forward, loss, backward."""

DRAWN = 12 * 2 * BATCH / 9
"""And of drawing its numbers, which nine ranges share: 12 operations on words for each."""


def plain(unit: type[nn.Module], steps: int) -> float:
    """One seed, one loop. Seconds."""
    torch.set_num_threads(1)
    operation = unit.operations[0]
    task = SingleModule(operation, 1, 2)
    tests = task.tests()
    network = unit(2, 1)
    recipe = unit.recipe(operation)
    update = torch.optim.Adam(network.parameters(), lr=recipe.lr)
    start = time.perf_counter()
    for step in range(steps):
        if step % LOGGED == 0:
            with torch.no_grad():
                for x, y in tests.values():
                    F.mse_loss(network(x), y).item()
        x = 1 + torch.rand(BATCH, 2)
        loss = F.mse_loss(network(x), task.target(x))
        if recipe.penalty is not None:
            loss = loss + recipe.penalty.weight(step / steps) * network.penalty()
        update.zero_grad()
        loss.backward()
        if recipe.clip is not None and recipe.clip.norm is not None:
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip.norm)
        if recipe.clip is not None and recipe.clip.value is not None:
            nn.utils.clip_grad_value_(network.parameters(), recipe.clip.value)
        update.step()
        if hasattr(network, "project_"):
            network.project_()
    return time.perf_counter() - start


def ours(unit: type[nn.Module], steps: int) -> float:
    """25 seeds on nine ranges. Seconds."""
    return benchmark(unit, unit.operations[0], seeds=range(SEEDS), steps=steps, retire=False).seconds


def measure(unit: type[nn.Module], rounds: int) -> dict[str, float]:
    """Microseconds per seed and step; the two take turns, and the best of each counts."""
    best = {(way, part): float("inf") for way in ("plain", "ours") for part in ("short", "long")}
    lengths = {"plain": (1_000, 4_000), "ours": (10_000, 110_000)}
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
    times = {unit.__name__: measure(unit, rounds) for unit in UNITS}
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    rate = machine.flops()
    least = {name: (count + DRAWN) / rate * 1e6 for name, count in OPERATIONS.items()}
    print(f"{'':14}{'plain loop, µs':>16}{'ours, µs':>10}{'ratio':>8}{'limit, µs':>11}{'ours / limit':>14}")
    for name, t in times.items():
        end = f"{least[name]:11.3f}{t['ours'] / least[name]:14.1f}" if name in least else ""
        print(f"{name:14}{t['plain']:16.1f}{t['ours']:10.4f}{t['plain'] / t['ours']:8.0f}{end}")
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"largest process: {kilobytes / 2**20:.2f} GiB\n")
    ratios = {name: t["plain"] / t["ours"] for name, t in times.items()}
    of_limit = {name: times[name]["ours"] / least[name] for name in least}
    found = {"microseconds": times, "ratios": ratios, "ours_over_limit": of_limit, "gigabytes": kilobytes / 2**20}
    print(json.dumps({"name": "single_module", **found}))


if __name__ == "__main__":
    main()
