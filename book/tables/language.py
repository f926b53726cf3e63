"""The search that chapter 6 has no time for, over sizes and learning rates, and a long training.

    make paper

Every setting trains 10 replicas or more on one split. The table has a row for each replica: what it was trained with,
and its mean absolute error on the three sets, with the share of the test numbers that are right after rounding. Nothing
is chosen here; the chapter chooses, by validation. It is
written to `nalu/book/results`. What is done stays: a run that was stopped goes on with the rest.
"""

import os
from functools import partial
from itertools import product

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd
import torch.nn.functional as F
from provenance import write

from nalu import NAC, NALU, Clip, Linear, Pairs, Reader, Recipe, Watch, fit
from nalu.book.tables import FOLDER, stored
from nalu.schedules import cosine
from nalu.tasks import LanguageToNumber

MODELS = {
    "LSTM + Linear, last": (Linear, "last"),
    "LSTM + Linear, sum": (Linear, "sum"),
    "LSTM + NAC, last": (NAC, "last"),
    "LSTM + NALU, last": (NALU, "last"),
    "LSTM + NALU, sum": (NALU, "sum"),
    "LSTM + NALU, every": (NALU, "every"),
    "pairs + NALU": (NALU, None),
}
SEARCH = [
    {"model": model, "hidden": hidden, "lr": lr, "batch": 16, "steps": 20_000, "replicas": 10}
    for model, lr, hidden in product(MODELS, (0.01, 0.03), (6, 16, 32))
    if not (model == "pairs + NALU" and hidden > 6)  # has no LSTM
]
LONG = [
    {"model": "LSTM + NALU, every", "hidden": hidden, "lr": 0.02, "batch": 4, "steps": steps, "replicas": replicas}
    for hidden, steps, replicas in ((6, 300_000, 120), (8, 300_000, 40), (6, 600_000, 120))
]


def train(model: str, hidden: int, lr: float, batch: int, steps: int, replicas: int) -> pd.DataFrame:
    """One setting: a row for each replica."""
    task = LanguageToNumber(batch=batch)
    unit, read = MODELS[model]
    words = len(task.vocabulary)

    make = partial(Pairs, words, unit) if read is None else partial(Reader, words, unit, hidden=hidden, read=read)
    recipe = Recipe(lr, loss=F.l1_loss, schedule=cosine, clip=Clip(norm=1.0))
    watch = Watch(task.tests(), checkpoints=1)
    run = fit({model: make}, task, recipe, seeds=range(replicas), steps=steps, watch=watch)
    x, y = task.tests()["test"]
    right = ((run.replicas[model](x) - y).abs() < 0.5).float().mean((1, 2))
    setting = {"hidden": hidden if read else 0, "lr": lr, "batch": batch, "steps": steps}
    return run.last.drop(columns=["loss", "step"]).assign(**setting, right=right.numpy(), seconds=round(run.seconds, 1))


def main() -> None:
    done = stored("language") if (FOLDER / "language.csv").exists() else pd.DataFrame()
    tables = [done]
    for setting in SEARCH + LONG:
        keys = {name: value for name, value in setting.items() if name != "replicas"}
        if setting["model"] == "pairs + NALU":
            keys["hidden"] = 0
        if len(done) and (done[list(keys)] == pd.Series(keys)).all(axis=1).sum() >= setting["replicas"]:
            continue
        tables.append(train(**setting))
        print(setting, f"{tables[-1].seconds.iloc[0]:.0f} s", flush=True)
        write(pd.concat(tables), "language")


if __name__ == "__main__":
    main()
