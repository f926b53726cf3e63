"""The training loop: up to the next checkpoint, a look at the replicas, and on with those that are left."""

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import Protocol

import pandas as pd

from nalu.progress import bar
from nalu.training.models import Model
from nalu.training.watch import Columns, table


class Part(Protocol):
    """Replicas of a model that train together, in one way or the other: `native.Group` or `eager.Stack`."""

    model: Model

    @property
    def size(self) -> int:
        """How many they were in the beginning."""

    @property
    def left(self) -> bool:
        """Whether any is still in training."""

    def advance(self, done: int, stop: int) -> int:
        """Train, after so many steps, up to `stop` or a part of the way; return how many steps are done then."""

    def checkpoint(self, step: int) -> list[Columns]:
        """The table's columns for the replicas that are left, in parts."""

    def retire(self, found: Sequence[Columns]) -> None:
        """Leave out what need not go on, by the columns of the last checkpoint; its parameters go where they belong."""

    def store(self) -> None:
        """Put the parameters of all that are left where they belong."""


Report = Callable[[int], None]
"""Is told how many steps of a network are done."""


def run(part: Part, report: Report, over: threading.Event) -> list[Columns]:
    """Train a part, and return its rows of the table.

    Args:
        over: stops it at once, when it is set.
    """
    model, rows, done = part.model, [], 0
    for stop in model.watch.stops(model.steps):
        while done < stop:
            if over.is_set():
                return rows
            done = part.advance(done, stop)
            report(done * part.size)
        found = part.checkpoint(stop)
        rows += found
        if model.watch.retire is not None and stop < model.steps:
            part.retire(found)
        if not part.left:
            break
    part.store()
    report(model.steps * part.size)
    return rows


def train(threaded: Sequence[Part], others: Sequence[Part], workers: int) -> pd.DataFrame:
    """Train parts, and return their table, in no order. An interrupt stops all of them at once.

    Args:
        threaded: those of which each can train on a thread, beside others.
        others: those that train one after another.
        workers: threads.
    """
    over = threading.Event()
    with _progress([part.model.steps * part.size for part in (*threaded, *others)]) as report:
        with ThreadPoolExecutor(workers) as pool:
            try:
                futures = [pool.submit(run, part, partial(report, k), over) for k, part in enumerate(threaded)]
                for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                    future.result()  # raises what was raised
                rows = [row for future in futures for row in future.result()]
            except BaseException:
                over.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="There is a performance drop")  # where vmap takes one by one
            for k, part in enumerate(others, len(threaded)):
                rows += run(part, partial(report, k), over)
    return table(rows)


@contextmanager
def _progress(sizes: Sequence[int]) -> Iterator[Callable[[int, int], None]]:
    """A bar, and what tells it how many steps are done in which part."""
    done, lock = [0] * len(sizes), threading.Lock()
    with bar(sum(sizes), "network steps", scaled=True) as shown:

        def report(part: int, steps: int) -> None:
            with lock:
                shown.update(steps - done[part])
                done[part] = steps

        yield report
