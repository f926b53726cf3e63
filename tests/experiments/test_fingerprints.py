"""What was changed and executed again, under the same name, is what runs: in a notebook, and in processes."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import nbformat
import pytest
from nbclient import NotebookClient

from nalu.experiments import fingerprints
from nalu.experiments.fingerprints import fingerprint
from nalu.experiments.sweeps import sweep

MODULE = """
from functools import partial
from math import pi

STEPS = 5
SIZES = {"small": (1, 2)}

class Base:
    rate = 0.1

class Unit(Base):
    def forward(self, x):
        return [x + 1 for _ in SIZES["small"]]

    @staticmethod
    def start():
        return 3

    @property
    def W(self):
        return 4

def helper(x, *, by=2):
    return x * by

twice = partial(helper, by=20)

def run(n=6):
    "What it does."
    def inner():
        return Unit().forward(n) if n in {7, 8, "eight"} else helper(STEPS)
    return inner(), twice(n), pi
"""


def made(source: str, name: str = "made_up") -> FunctionType:
    space: dict = {"__name__": name}
    exec(compile(source, "<cell>", "exec"), space)
    return space["run"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("STEPS = 5", "STEPS = 50"),
        ("(1, 2)", "(1, 3)"),
        ("rate = 0.1", "rate = 0.2"),
        ("x + 1", "x - 1"),
        ("return 3", "return 30"),
        ("return 4", "return 40"),
        ("x * by", "x / by"),
        ("by=2):", "by=3):"),
        ("by=20", "by=30"),
        ("n=6", "n=60"),
        ("{7, 8,", "{7, 9,"),
        ("twice(n)", "twice(n + 1)"),
        (", pi", ", -pi"),
    ],
)
def test_a_change_is_seen(old: str, new: str) -> None:
    assert MODULE.count(old) == 1
    assert fingerprint(made(MODULE.replace(old, new))) != fingerprint(made(MODULE))


@pytest.mark.parametrize("change", ["# A comment.\n\n{}", "{}\n\ndef another():\n    return STEPS\n"])
def test_what_changes_nothing_is_not_seen(change: str) -> None:
    assert fingerprint(made(change.format(MODULE))) == fingerprint(made(MODULE))


def test_it_is_the_same_in_each_process_and_as_a_script() -> None:
    alone = f"import runpy\nfingerprint = runpy.run_path({fingerprints.__file__!r})['fingerprint']"  # without torch
    code = f"{MODULE}\n{alone}\nprint(fingerprint(run))"
    found = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout.strip()
        for _ in range(3)  # each with another order of sets
    }
    assert found == {fingerprint(made(MODULE))}


CELLS = """
import pandas as pd, torch
from torch import nn
import nalu
from nalu.tasks import Identity

class Unit(nn.Module):
    def __init__(self, in_features=1, out_features=1):
        super().__init__()
        self.w = nn.Parameter(torch.ones(out_features, in_features))

    def forward(self, x):
        return FORWARD

def job(seed):
    run = nalu.fit({"Unit": Unit}, Identity(), seeds=[seed], steps=1, workers=1)
    return run.table[["loss"]]

def all_of_it():
    fitted = nalu.fit({"Unit": Unit}, Identity(), seeds=[0], steps=1).table.loss
    measured = nalu.benchmark(Unit, "a + b", seeds=range(2), steps=10).table.interpolation
    swept = [nalu.sweep(job, [{"seed": 0}, {"seed": 1}], f"kept{n}", version=1, workers=n).loss for n in (1, 2)]
    return [each.iloc[0] for each in (fitted, measured, *swept)]
"""


@pytest.mark.slow
def test_a_notebook_trains_what_its_cell_says_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")
    first, second = (CELLS.replace("FORWARD", text) for text in ("x @ self.w.T", "x @ self.w.T * 3"))
    compare = "assert all(a != b for a, b in zip(before, after)), (before, after)"
    cells = [first, "before = all_of_it()", "assert all_of_it() == before", second, "after = all_of_it()", compare]
    cells += [first, "assert all_of_it() == before"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()


@pytest.mark.slow
def test_processes_run_a_module_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a change within a second has the same time
    path = tmp_path / "swept_again.py"
    for value in (1, 22, 333):
        text = f"import pandas as pd\n\ndef run(n):\n    return pd.DataFrame({{'value': [{value}]}})\n"
        path.write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        module = importlib.import_module("swept_again")
        module = importlib.reload(module)
        table = sweep(module.run, [{"n": 1}, {"n": 2}], tmp_path / "kept", version=1, workers=2)
        assert table.value.tolist() == [value, value]
    sys.modules.pop("swept_again")
