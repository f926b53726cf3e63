"""Time per network and training step on numbers in words: three plain loops and ours, in one run.

    python benchmarks/language.py

All train an embedding, an LSTM and a NALU at every word with Adam, in float32: a loop over single networks with
`nn.LSTM`, which takes one sentence at a time as the reference repository does, or a padded batch; and `nalu.fit`. Every
time is the difference between a long and a short run, divided by the steps between them.
"""

import argparse
import json
import os
import time
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TQDM_DISABLE"] = "1"

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nalu import NALU, Clip, Reader, Recipe, Watch, fit
from nalu.tasks import LanguageToNumber

WORDS = len(LanguageToNumber().vocabulary)
SIZES = {4: (6, 64, 400), 16: (16, 10, 400), None: (16, 10, 40)}
"""By batch, of which none is the whole training set: size of the LSTM, replicas, and steps to measure."""


class Plain(nn.Module):
    """torch's own layers."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(1 + WORDS, 16), nn.LSTM(16, hidden, batch_first=True)
        self.output = NALU(hidden, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        states, _ = self.lstm(self.embedding(tokens))
        return (self.output(states) * (tokens > 0).unsqueeze(-1)).sum(-2)


def plain(batch: int | None, steps: int, one_at_a_time: bool) -> float:
    """One network, one loop. Seconds."""
    torch.set_num_threads(1)
    hidden, _, _ = SIZES[batch]
    network = Plain(hidden)
    update = torch.optim.Adam(network.parameters(), lr=1e-3)
    xs, ys = LanguageToNumber(batch=batch).draw(torch.Generator().manual_seed(0), steps)
    start = time.perf_counter()
    for x, y in zip(xs, ys, strict=True):
        update.zero_grad()
        if one_at_a_time:
            for sentence, number in zip(x, y, strict=True):
                (F.l1_loss(network(sentence[sentence > 0]), number) / len(x)).backward()
        else:
            F.l1_loss(network(x), y).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        update.step()
    return time.perf_counter() - start


def ours(batch: int | None, steps: int) -> float:
    """`nalu.fit` on all cores. Seconds."""
    hidden, replicas, _ = SIZES[batch]
    return fit(
        {"m": partial(Reader, WORDS, NALU, hidden=hidden)}, LanguageToNumber(batch=batch),
        Recipe(loss=F.l1_loss, clip=Clip(norm=1.0)), seeds=range(replicas), steps=steps, watch=Watch(checkpoints=1),
    ).seconds  # fmt: skip


def measure(batch: int | None, rounds: int) -> dict[str, float]:
    """Microseconds per network and step; the ways take turns, and the best of each counts."""
    _, replicas, steps = SIZES[batch]
    ways = {
        "one sentence at a time": (lambda n: plain(batch, n, True), steps // 4, 1),
        "batches": (lambda n: plain(batch, n, False), steps, 1),
        "ours": (lambda n: ours(batch, n), 60 * steps, replicas),
    }
    best = {(way, part): float("inf") for way in ways for part in ("short", "long")}
    for _ in range(rounds):
        for way, (run, n, _) in ways.items():
            best[way, "short"] = min(best[way, "short"], run(n // 4))
            best[way, "long"] = min(best[way, "long"], run(n // 4 + n))
    return {way: (best[way, "long"] - best[way, "short"]) / n / count * 1e6 for way, (_, n, count) in ways.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured; the best counts")
    rounds = parser.parse_args().rounds
    times = {"all 169" if batch is None else f"{batch} sentences": measure(batch, rounds) for batch in SIZES}
    print(f"{'':14}{'one sentence, µs':>18}{'batch, µs':>12}{'ours, µs':>10}{'one / ours':>12}{'batch / ours':>14}")
    for name, (one, batch, mine) in ((name, found.values()) for name, found in times.items()):
        print(f"{name:14}{one:18.0f}{batch:12.0f}{mine:10.1f}{one / mine:12.0f}{batch / mine:14.0f}")
    print()
    ratios = {
        name: {way: t / found["ours"] for way, t in found.items() if way != "ours"} for name, found in times.items()
    }
    print(json.dumps({"name": "language", "microseconds": times, "ratios": ratios}))


if __name__ == "__main__":
    main()
