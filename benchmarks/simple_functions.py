"""Time per network and training step on the simple functions, static and recurrent: a plain loop and ours, in one run.

    python benchmarks/simple_functions.py

Both train the same networks on the same batches with Adam, in float32; the plain loop one network at a time, as anyone
would write it, with torch's own layers where it has them. Every time is the difference between a long and a short run,
divided by the steps between them, so that compiling and making the training set do not count.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TQDM_DISABLE"] = "1"

import torch
from torch import Tensor, nn

from nalu import LSTM, MLP, NAC, NALU, RNN, Recurrent, Watch, fit, stack
from nalu.tasks import RecurrentFunction, StaticFunction, Task
from nalu.tasks.functions import FUNCTIONS


class Last(nn.Module):
    """torch's own recurrent layer with a read-out of its last state."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.output = layer, nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.layer(x)[0][:, -1])


@dataclass(frozen=True)
class Contest:
    """One kind of network on one kind of task: as the plain loop has it, and as ours builds it."""

    plain: Callable[[], nn.Module]
    ours: Callable[..., nn.Module]
    tasks: Mapping[str, Task]
    seeds: int
    steps: int


def contests() -> dict[str, Contest]:
    """What the chapters train, in their sizes."""
    two = {f: StaticFunction(f, given=True, batch=16) for f in FUNCTIONS}
    hundred = {f: StaticFunction(f, high=1.0, sections=((10, 15), (60, 70)), batch=16) for f in FUNCTIONS}
    over_time = {f: RecurrentFunction(f, sections=((0, 2), (5, 8)), batch=16) for f in FUNCTIONS}
    mlp = nn.Sequential(nn.Linear(2, 2), nn.ReLU6(), nn.Linear(2, 1))
    rnn, lstm = nn.RNN(10, 2, nonlinearity="relu", batch_first=True), nn.LSTM(10, 2, batch_first=True)
    units = {
        "NALU, two numbers": (partial(stack, NALU, [2, 2, 1]), two, 128, 1000),
        "NAC, a hundred numbers": (partial(stack, NAC, [100, 2, 1]), hundred, 64, 1000),
        "NALU, a hundred numbers": (partial(stack, NALU, [100, 2, 1]), hundred, 64, 1000),
        "NALU, ten times": (partial(Recurrent, NALU, 10, 1), over_time, 64, 800),
    }
    return {
        "ReLU6, two numbers": Contest(lambda: mlp, partial(MLP, 2, 1, activation="ReLU6", hidden=(2,)), two, 64, 1000),
        "RNN, ten times": Contest(lambda: Last(rnn), partial(RNN, 10, 1), over_time, 64, 800),
        "LSTM, ten times": Contest(lambda: Last(lstm), partial(LSTM, 10, 1), over_time, 64, 800),
        **{name: Contest(make, make, *sizes) for name, (make, *sizes) in units.items()},
    }


def plain(contest: Contest, steps: int) -> float:
    """One network, one loop. Seconds."""
    torch.set_num_threads(1)
    network, task = contest.plain(), contest.tasks["a * b"]
    optimizer, criterion = torch.optim.Adam(network.parameters(), lr=1e-3), nn.MSELoss()
    generator = torch.Generator().manual_seed(0)
    task.draw(generator, 1)
    start = time.perf_counter()
    batches = iter(())
    for _ in range(steps):
        batch = next(batches, None)
        if batch is None:
            batches = zip(*task.draw(generator, 100), strict=True)  # a hundred batches at a time, as ours
            batch = next(batches)
        x, y = batch
        optimizer.zero_grad()
        loss = criterion(network(x), y)
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def ours(contest: Contest, steps: int) -> float:
    """`nalu.fit` on all cores, six functions and so many seeds. Seconds."""
    seeds = range(contest.seeds)
    return fit({"m": contest.ours}, contest.tasks, seeds=seeds, steps=steps, watch=Watch(checkpoints=1)).seconds


def measure(contest: Contest, rounds: int) -> tuple[float, float]:
    """Microseconds per network and step of the plain loop and of ours; they take turns, and the best of each counts."""
    # Ours trains longer, for tracing takes as long as thousands of steps, and not always the same.
    between = {plain: contest.steps, ours: 20 * contest.steps}
    best = {(run, part): float("inf") for run in (plain, ours) for part in ("short", "long")}
    for _ in range(rounds):
        for run, part in best:
            steps = contest.steps // 4 + (between[run] if part == "long" else 0)
            best[run, part] = min(best[run, part], run(contest, steps))
    networks = {plain: 1, ours: len(contest.tasks) * contest.seeds}
    return tuple((best[run, "long"] - best[run, "short"]) / between[run] / networks[run] * 1e6 for run in (plain, ours))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured; the best counts")
    rounds = parser.parse_args().rounds
    times = {name: measure(contest, rounds) for name, contest in contests().items()}
    print(f"{'':26}{'networks':>9}{'plain, µs':>11}{'ours, µs':>10}{'plain / ours':>14}")
    for (name, (slow, fast)), contest in zip(times.items(), contests().values(), strict=True):
        print(f"{name:26}{len(contest.tasks) * contest.seeds:9}{slow:11.1f}{fast:10.2f}{slow / fast:14.0f}")
    print()
    ratios = {name: slow / fast for name, (slow, fast) in times.items()}
    microseconds = {name: {"plain": slow, "ours": fast} for name, (slow, fast) in times.items()}
    print(json.dumps({"name": "simple_functions", "microseconds": microseconds, "ratios": ratios}))


if __name__ == "__main__":
    main()
