"""Time per network and training step on the identity task, side by side in one run: a plain loop, ours, JAX, the limit.

    python benchmarks/identity.py

JAX is measured if it is installed: pip install -r benchmarks/requirements.txt

Every time is the difference between a long and a short run, divided by the steps between them, so that
tracing and compiling do not count. All of them train networks of three hidden layers of 8 on the 11 integers
-5..5 with Adam, full batch, in float32.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
os.environ["TQDM_DISABLE"] = "1"

import machine
import torch
from torch import nn

from nalu import ACTIVATIONS, MLP, Recipe, Watch, fit
from nalu.tasks import Identity

WIDTHS = [1, 8, 8, 8, 1]
BATCH = 11
PARAMETERS = sum(a * b + b for a, b in zip(WIDTHS, WIDTHS[1:], strict=False))
# A product of m x k by k x n takes 2mkn operations; a step takes one forward and two backward for each layer, but for
# the first, whose input needs no gradient.
PRODUCTS = [2 * BATCH * a * b for a, b in zip(WIDTHS, WIDTHS[1:], strict=False)]
OPERATIONS = 3 * sum(PRODUCTS) - PRODUCTS[0] + 12 * PARAMETERS  # Adam: about 12 a parameter
MOVED = 6 * 4 * PARAMETERS  # Adam reads and writes the parameter and two moments, 4 bytes each


def plain(steps: int, activation: type[nn.Module] = nn.Tanh) -> float:
    """One network trained as anyone would, and as the reference repository does. Seconds."""
    torch.set_num_threads(1)
    layers = [nn.Linear(a, b) for a, b in zip(WIDTHS, WIDTHS[1:], strict=False)]
    network = nn.Sequential(layers[0], activation(), layers[1], activation(), layers[2], activation(), layers[3])
    x = torch.arange(-5.0, 6.0).unsqueeze(1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    criterion = nn.MSELoss()
    start = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = criterion(network(x), x)
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def ours(steps: int, models: list[str], seeds: int) -> float:
    """`nalu.fit` on all cores, as chapter 1 calls it. Seconds."""
    makes = {name: partial(_mlp, name) for name in models}
    return fit(makes, Identity(), Recipe(lr=1e-2), seeds=range(seeds), steps=steps, watch=Watch(checkpoints=1)).seconds


def _mlp(activation: str, generator: torch.Generator) -> nn.Module:
    return MLP(1, 1, activation=activation, generator=generator)


def jax_scan(steps: int, networks: int) -> float:
    """jit(vmap(scan)) over networks, Adam by hand, compiled before the clock starts. Seconds."""
    import jax
    import jax.numpy as jnp

    x = jnp.arange(-5.0, 6.0)[:, None]

    def loss(parameters: list, x: "jax.Array") -> "jax.Array":
        h = x
        for W, b in parameters[:-1]:
            h = jnp.tanh(h @ W + b)
        W, b = parameters[-1]
        return jnp.mean((h @ W + b - x) ** 2)

    def train(key: "jax.Array") -> list:
        keys = jax.random.split(key, 2 * len(WIDTHS))
        parameters = [
            (jax.random.uniform(keys[2 * i], (a, b), minval=-1, maxval=1) / a**0.5,
             jax.random.uniform(keys[2 * i + 1], (b,), minval=-1, maxval=1) / a**0.5)
            for i, (a, b) in enumerate(zip(WIDTHS, WIDTHS[1:], strict=False))
        ]  # fmt: skip
        zeros = jax.tree.map(jnp.zeros_like, parameters)

        def step(carry: tuple, t: "jax.Array") -> tuple:
            p, m, v = carry
            g = jax.grad(loss)(p, x)
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
            rate = 1e-2 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            return (jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), p, m, v), m, v), None

        return jax.lax.scan(step, (parameters, zeros, zeros), jnp.arange(1.0, steps + 1))[0][0]

    program = jax.jit(jax.vmap(train)).lower(jax.random.split(jax.random.key(0), networks)).compile()
    keys = jax.random.split(jax.random.key(1), networks)
    start = time.perf_counter()
    jax.block_until_ready(program(keys))
    return time.perf_counter() - start


def measure(rounds: int) -> dict[str, float]:
    """Microseconds per network and step of each contestant.

    They take turns in rounds, and the shortest of its times counts for each: the others measure the machine's users.
    """
    contestants: dict[str, tuple[Callable[[int], float], int]] = {
        "plain loop": (plain, 1),
        "ours, 1,600 x tanh": (lambda steps: ours(steps, ["Tanh"], 1600), 1600),
        "ours, 1,600 x ReLU": (lambda steps: ours(steps, ["ReLU"], 1600), 1600),
        "ours, 16 activations x 100": (lambda steps: ours(steps, list(ACTIVATIONS), 100), 1600),
    }
    try:
        import jax

        jax.devices()
        for n in (100, 400, 1600):
            contestants[f"JAX, {n:,} x tanh"] = (lambda steps, n=n: jax_scan(steps, n), n)
    except ImportError:
        print("JAX is not installed, so it is not measured: pip install -r benchmarks/requirements.txt")
    # Ours trains ten times as long, for tracing takes as long as so many steps, and not always the same.
    lengths = {name: (2_000, 22_000) if name.startswith("ours") else (200, 2_200) for name in contestants}
    times = {(name, steps): float("inf") for name in contestants for steps in lengths[name]}
    ours(1, list(ACTIVATIONS), 16)  # compiles
    for _ in range(rounds):
        for name, steps in times:
            times[name, steps] = min(times[name, steps], contestants[name][0](steps))
    return {
        name: (times[name, lengths[name][1]] - times[name, lengths[name][0]])
        / networks
        * 1e6
        / (lengths[name][1] - lengths[name][0])
        for name, (_, networks) in contestants.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured; the best counts")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    limit = machine.least_time(OPERATIONS, MOVED)
    times = measure(rounds)
    least = limit["least"] * 1e6
    tanh = times["ours, 1,600 x tanh"]
    jax = min((t for name, t in times.items() if name.startswith("JAX")), default=None)
    print(f"machine: {limit['flops'] / 1e9:.0f} GFLOP/s, {limit['bandwidth'] / 1e9:.0f} GB/s")
    print(f"a step: {OPERATIONS:,} operations, {MOVED:,} bytes: at least {least:.3f} µs\n")
    print(f"{'':28}{'µs':>9}{'plain loop / it':>17}{'it / limit':>12}")
    for name, t in times.items():
        print(f"{name:28}{t:9.2f}{times['plain loop'] / t:17.0f}{t / least:12.1f}")
    ratios = {"plain_over_ours": times["plain loop"] / tanh, "ours_over_limit": tanh / least}
    if jax:
        ratios["jax_over_ours"] = jax / tanh
    print()
    print(json.dumps({"name": "identity", "microseconds": times, "limit_microseconds": least, "ratios": ratios}))


if __name__ == "__main__":
    main()
