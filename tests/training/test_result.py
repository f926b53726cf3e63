"""What is asked of a training's result: last rows, the chosen replica, estimates, one network, a figure."""

import pickle
from dataclasses import replace
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from helpers.settings import told
from pandas.testing import assert_frame_equal

from nalu import NAC, Fit, Recipe, Watch, estimate, fit, stack
from nalu.tasks import Identity
from nalu.tasks.identity import integers
from nalu.tasks.single_module import ranges

FAR = integers(-20, 20)
MODELS = {"NAC": partial(stack, NAC, [1, 2, 1]), "one": partial(NAC, 1, 1)}
SEEDS = [7, 0, 3, 5]
TASKS = {key: ranges("a + b")[key] for key in ("[1, 2]", "[-2, 2]")}


@pytest.fixture(scope="module")
def run() -> Fit:
    """One of the replicas is retired before the end, and so has an earlier last row."""

    def retire(rows: pd.DataFrame) -> np.ndarray:
        return ((rows.seed == 3) & (rows.step == 4)).to_numpy()

    return fit(
        MODELS, Identity(), **told(seeds=SEEDS, steps=10, checkpoints=5, tests={"far": (FAR, FAR)}, retire=retire)
    )


@pytest.fixture(scope="module")
def several() -> Fit:
    """Of several tasks, with seeds and a recipe for each model."""
    return fit(
        {name: partial(NAC, 2, 1) for name in ("slow", "fast")},
        TASKS,
        {"slow": Recipe(lr=1e-4), "fast": Recipe(lr=0.1)},
        seeds={"slow": [3, 1], "fast": [1, 2, 3]},
        steps=20,
        watch=Watch({key: task.tests() for key, task in TASKS.items()}),
    )


def test_the_last_rows_are_those_of_each_replica(run: Fit) -> None:
    assert list(zip(run.last.model, run.last.seed, run.last.step, strict=True)) == [
        (model, seed, 4 if seed == 3 else 10) for model in MODELS for seed in SEEDS
    ]
    groups = run.groups()
    assert list(groups) == list(MODELS)
    for name, rows in groups.items():
        assert_frame_equal(rows, run.last[run.last.model == name].reset_index(drop=True))


def test_the_chosen_replica_has_the_least_error(run: Fit) -> None:
    chosen = run.chosen("far")
    for name, rows in run.groups().items():
        assert chosen.loc[name].far == rows.far.min()
        assert chosen.loc[name].place == rows.far.argmin() and chosen.loc[name].seed == SEEDS[chosen.loc[name].place]


def test_a_network_is_found_by_its_seed(run: Fit, several: Fit) -> None:
    for r, seed in enumerate(SEEDS):
        torch.testing.assert_close(run.network("NAC", seed)(FAR), run.replicas["NAC"][r](FAR), rtol=0, atol=0)
    x = torch.rand(5, 2)
    found, expected = several.network("slow", 1, "[1, 2]"), several.replicas["slow", "[1, 2]"][1]
    assert torch.equal(found(x), expected(x))
    with pytest.raises(KeyError, match=r"expected one of the seeds \[7, 0, 3, 5\], got 9"):
        run.network("NAC", 9)
    with pytest.raises(KeyError, match=r"expected one of \['NAC', 'one'\], got 'NMU'"):
        run.network("NMU", 7)
    with pytest.raises(KeyError, match=r"expected one of \[\('slow', '\[1, 2\]'\), .*got 'slow'"):
        several.network("slow", 1)


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_estimates_are_those_of_the_last_rows(run: Fit, several: Fit, statistic: object) -> None:
    for each in (run, several):
        found = each.estimates(statistic=statistic)
        assert list(found.index) == list(each.groups())
        for key, rows in each.groups().items():
            for column in found:
                assert found.loc[key, column] == estimate(rows[column], statistic)
    assert list(run.estimates()) == ["far"] and list(run.estimates("loss")) == ["loss"]


def test_each_model_has_its_own_recipe_and_seeds(several: Fit) -> None:
    for name, recipe, seeds in (("slow", Recipe(lr=1e-4), [3, 1]), ("fast", Recipe(lr=0.1), [1, 2, 3])):
        alone = fit({name: partial(NAC, 2, 1)}, TASKS, recipe, seeds=seeds, steps=20)
        for key in TASKS:
            assert torch.equal(several.replicas[name, key].state, alone.replicas[name, key].state)
            assert several.groups()[name, key].seed.tolist() == seeds
        rows = several.table[several.table.model == name]
        assert rows.loss.tolist() == alone.table.loss.tolist()
    assert several.network_steps == 5 * 2 * 20


def test_a_figure_has_a_panel_for_each_task_and_column_and_a_line_for_each_model(run: Fit, several: Fit) -> None:
    one, many = run.figure(), several.figure("loss", "extrapolation")
    assert [axes.get_title("left") for axes in one.axes] == ["far"]
    assert [line.get_label() for line in one.axes[0].get_lines()] == list(MODELS)
    assert one.axes[0].get_lines()[0].get_xdata().tolist() == [0, 2, 4, 6, 8, 10]
    titles = [axes.get_title("left") for axes in many.axes]
    assert titles == [f"{task}, {column}" for task in TASKS for column in ("loss", "extrapolation")]
    plt.close("all")


def test_what_diverged_is_not_chosen_and_not_drawn_at_its_last_good_error(run: Fit) -> None:
    table = run.table[(run.table.model == "one") & run.table.seed.isin([0, 5])].reset_index(drop=True)
    lost = (table.seed == 0) & (table.step > 4)
    gone = replace(run, table=table.assign(far=table.far.where(~lost), diverged=lost))
    assert gone.chosen("far").loc["one"].seed == 5
    line = gone.figure("far").axes[0].get_lines()[0].get_ydata()
    assert np.isfinite(line).all() and (line[3:] > 1e11).all() and (line[:3] < 100).all()
    least = table.assign(far=np.where(lost, 1e-9, table.far), diverged=lost)  # small, but lost
    assert replace(run, table=least).chosen("far").loc["one"].seed == 5
    plt.close("all")


def test_without_tests_the_figure_shows_the_loss() -> None:
    plain = fit(MODELS, Identity(), seeds=[0], steps=4)
    assert [axes.get_title("left") for axes in plain.figure().axes] == ["loss"]
    plt.close("all")


def test_a_result_travels(run: Fit) -> None:
    twin = pickle.loads(pickle.dumps(run))
    assert_frame_equal(twin.table, run.table)
    assert torch.equal(twin.network("NAC", 7)(FAR), run.network("NAC", 7)(FAR))
    assert twin.kernels["NAC"].source == run.kernels["NAC"].source


def test_seeds_may_come_from_an_iterator() -> None:
    found = fit(MODELS, Identity(), seeds=(seed for seed in SEEDS), steps=1)
    assert all(rows.seed.tolist() == SEEDS for rows in found.groups().values())
