"""Bars are gone when what they show has ended, has raised or was interrupted, in a terminal and in a notebook."""

import nbformat
import pytest
from nbclient import NotebookClient

from nalu.progress import bar


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_a_bar_in_a_terminal_is_wiped_out(
    error: type[BaseException] | None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    try:
        with bar(10, "steps") as shown:
            shown.update(5 if error else 10)
            shown.refresh()
            if error:
                raise error
    except (ValueError, KeyboardInterrupt):
        pass
    _, said = capfd.readouterr()
    assert f"{5 if error else 10}/10" in said
    assert said.endswith("\r") and not said.split("\r")[-2].strip()


CELLS = """
import gc, ipywidgets, os, signal, threading
from functools import partial
import pandas as pd
import nalu
from nalu.tasks import Identity

def shown():
    "Whether a bar is."
    boxes = [each for each in gc.get_objects() if isinstance(each, ipywidgets.HBox)]
    return any(box.comm is not None for box in boxes)

def ends(run, error=None):
    try:
        run()
        assert error is None
    except (error or ()):
        pass
    assert not shown()

make = partial(nalu.NAC, 1, 1)

def fit(steps, retire=None):
    watch = nalu.Watch(checkpoints=2, retire=retire)
    nalu.fit({"NAC": make}, Identity(), seeds=[0], steps=steps, watch=watch)

def fails(rows):
    assert shown()
    raise ZeroDivisionError

def job(n):
    assert shown()
    if n == 2:
        raise KeyboardInterrupt
    if n == 1:
        raise ZeroDivisionError
    return pd.DataFrame({"n": [n]})

def sweep(*ns):
    nalu.sweep(job, [{"n": n} for n in ns], "kept", version=1, workers=1)

def interrupted():
    threading.Timer(2, os.kill, [os.getpid(), signal.SIGINT]).start()
    fit(100_000_000)

ends(lambda: fit(20))
ends(lambda: fit(20, fails), ZeroDivisionError)
ends(interrupted, KeyboardInterrupt)
ends(lambda: nalu.benchmark(nalu.NAU, "a + b", seeds=[0, 1], steps=10))
ends(lambda: sweep(0, 3))
ends(lambda: sweep(4, 1), RuntimeError)
ends(lambda: sweep(5, 2), KeyboardInterrupt)
"""


@pytest.mark.slow
def test_no_bar_stays_in_a_notebook(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELLS)])
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
