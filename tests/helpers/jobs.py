"""Functions that the tests of sweeps run, which other processes must be able to import."""

import math
import os
import signal
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from nalu import NAC, Recipe, Watch, fit, stack
from nalu.experiments.sweeps import sweep
from nalu.tasks import Identity


def job(n: int, name: str) -> pd.DataFrame:
    return pd.DataFrame({"step": [0, 1], "loss": [n / 3, math.nan]})


def other(n: int, name: str) -> pd.DataFrame:
    return pd.DataFrame({"far": [10 * n]})


def logged(n: int, log: str, seconds: float = 0.0) -> pd.DataFrame:
    """Leaves a file in the folder `log` for each time it runs."""
    (Path(log) / f"{n} {time.monotonic_ns()}").touch()
    time.sleep(seconds)
    return pd.DataFrame({"process": [0] * n, "value": np.sqrt(np.arange(n) + n)})


def calls(log: Path) -> dict[int, int]:
    """How often each job ran."""
    return dict(Counter(int(path.name.split()[0]) for path in log.iterdir()))


def training(lr: float, hidden: int) -> pd.DataFrame:
    models = {"NAC": partial(stack, NAC, [1, hidden, 1])}
    return fit(
        models, Identity(), Recipe(lr=lr), seeds=[4, 0, 2], steps=20, watch=Watch(checkpoints=2), workers=1
    ).table


def processes() -> pd.DataFrame:
    return pd.DataFrame({"pid": joblib.Parallel(2)(joblib.delayed(os.getpid)() for _ in range(4))})


def failing(n: int, log: str, how: str) -> pd.DataFrame:
    if n == 2:
        if how == "exit":
            sys.exit("enough")
        if how == "unpicklable":
            error = ValueError("no way through")
            error.held = lambda: None
            raise error
        if how == "list":
            return [1]
        if how == "dates":
            return pd.DataFrame({"when": pd.to_datetime(["2020-01-01"])})
        if how == "tuples":
            return pd.DataFrame({"pair": pd.Series([(1, 2)], dtype="object")})
        if how == "names":
            return pd.DataFrame({0: [1.0]})
        if how == "twice":
            return pd.DataFrame([[1, 2]], columns=["a", "a"])
    return logged(n, log)


def dying(n: int, log: str, kept: str, always: bool) -> pd.DataFrame:
    """Its process is killed in the middle of job 2: the first time, or always. A result is in the folder by then."""
    if n == 2 and (always or not calls(Path(log)).get(0)):
        (Path(log) / "0 killed").touch()
        time.sleep(0.3)  # a cluster suspects all that waits at a worker that dies: others get on meanwhile
        end = time.monotonic() + 60
        while not list(Path(kept).glob("*.jsonl")) and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    return logged(n, log)


MANY = range(1, 13)


def killed_in_the_middle(folder: str, log: str, workers: int) -> None:
    sweep(logged, [{"n": n, "log": log, "seconds": 0.2} for n in MANY], folder, version=1, workers=workers)
