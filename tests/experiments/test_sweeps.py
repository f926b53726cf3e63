"""A sweep keeps what ended, runs only what is missing, and returns the same table however it came to it."""

import errno
import importlib
import json
import linecache
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import helpers
import joblib
import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from helpers.jobs import MANY, calls, dying, failing, job, logged, other, processes, training
from pandas.testing import assert_frame_equal

from nalu.experiments.sweeps import sweep

GRID = [{"n": n, "name": name} for n in (3, 1, 2) for name in ("b", "a")]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.mkdir()
    return path


def results(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


# What it returns


def test_settings_are_columns_and_rows_follow_the_grid(tmp_path: Path) -> None:
    table = sweep(job, GRID, tmp_path / "new", version=1, workers=1)
    expected = pd.DataFrame(
        [
            {**setting, "step": step, "loss": loss}
            for setting in GRID
            for step, loss in enumerate([setting["n"] / 3, None])
        ]
    )
    assert_frame_equal(table, expected, check_exact=True)
    assert table.n.dtype == "int64" and table.index.equals(pd.RangeIndex(12))


def own_columns(n: int, seed: int) -> pd.DataFrame:
    return pd.DataFrame({"loss": [0.5] * 2, "seed": [7, 8]}, index=pd.Index(["p", "q"], name="part"))


def test_columns_of_the_table_are_not_replaced_and_an_index_with_a_name_is_one(tmp_path: Path) -> None:
    table = sweep(own_columns, [{"n": 1, "seed": 0}], tmp_path, version=1, workers=1)
    assert_frame_equal(table, pd.DataFrame({"n": [1, 1], "part": ["p", "q"], "loss": [0.5] * 2, "seed": [7, 8]}))


def test_settings_may_be_lists_missing_or_of_mixed_numbers(tmp_path: Path) -> None:
    grid = [{"n": 1, "name": None}, {"n": 0.5, "name": "x"}, {"n": 2, "name": None}]
    table = sweep(job, grid, tmp_path, version=1, workers=1)
    assert (
        table.n.tolist() == [1, 1, 0.5, 0.5, 2, 2]
        and table.name.isna().tolist() == [True] * 2 + [False] * 2 + [True] * 2
    )
    table = sweep(job, [{"n": 1, "name": [1, 2]}], tmp_path, version=1, workers=1)
    assert table.name.tolist() == [[1, 2], [1, 2]]


def every_dtype(rows: int) -> pd.DataFrame:
    floats = [0.1, -0.0, math.nan, math.inf, -math.inf, 5e-324, 1 / 3, 1.7976931348623157e308][:rows]
    names = ["b", "a", "b", "é\n", "", "NaN", "a", "b"][:rows]
    return pd.DataFrame({
        "float64": floats,
        "float32": np.array(floats).clip(-1e38, 1e38).astype("float32"),
        "float16": np.array([0.1, 1 / 3, 2.0, 4, 5, 6, 7, math.nan], dtype="float16")[:rows],
        "int64": np.array([2**63 - 1, -(2**63), 0, 1, 2, 3, 4, 5][:rows]),
        "int8": np.arange(rows, dtype="int8"),
        "uint64": np.full(rows, 2**64 - 1, dtype="uint64"),
        "bool": [True, False, True, True, False, True, True, True][:rows],
        "string": pd.Series(names, dtype="str"),
        "missing": pd.Series([None, *names[1:]][:rows], dtype="str"),
        "object": pd.Series([None, 1, "x", 2.5, True, [1], {"a": 1}, "NaN"][:rows], dtype="object"),
        "category": pd.Categorical(names, categories=["b", "a", "unused", "é\n", "", "NaN"]),
        "ordered": pd.Categorical([None, *names[1:]][:rows], categories=["é\n", "b", "a", "", "NaN"], ordered=True),
        "numbers": pd.Categorical([3, 1, 2, 3, 1, 2, 3, 1][:rows], categories=[3, 1, 2]),
    })  # fmt: skip


@pytest.mark.parametrize("rows", [8, 0])
def test_every_dtype_comes_back_exactly(rows: int, tmp_path: Path) -> None:
    expected = every_dtype(rows)
    for _ in range(2):  # as it was computed, and as it was kept
        table = sweep(every_dtype, [{"rows": rows}], tmp_path, version=1, workers=1).drop(columns="rows")
        assert_frame_equal(table, expected, check_exact=True, check_categorical=True)
        for name in ("float64", "float32", "float16"):
            assert table[name].to_numpy().tobytes() == expected[name].to_numpy().tobytes()
        assert [type(value) for value in table.object] == [type(value) for value in expected.object]


def categories(names: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"model": pd.Categorical(names, categories=names)})


def test_categories_of_different_jobs_are_joined_in_their_order(tmp_path: Path) -> None:
    table = sweep(categories, [{"names": ["z", "y"]}, {"names": ["x", "z"]}], tmp_path, version=1, workers=1)
    assert list(table.model) == ["z", "y", "x", "z"] and list(table.model.cat.categories) == ["z", "y", "x"]


def rows_of(n: int) -> pd.DataFrame:
    return pd.DataFrame({"value": np.ones(n), "flag": np.ones(n, dtype=bool)})


def test_a_job_may_have_no_rows(tmp_path: Path) -> None:
    table = sweep(rows_of, [{"n": 0}, {"n": 2}], tmp_path, version=1, workers=1)
    assert_frame_equal(table, pd.DataFrame({"n": [2, 2], "value": [1.0, 1.0], "flag": [True, True]}))


def test_training_gives_the_table_that_fit_gives(tmp_path: Path) -> None:
    grid = [{"lr": 0.1, "hidden": 2}, {"lr": 0.01, "hidden": 3}]
    table = sweep(training, grid, tmp_path, version="a", workers=1)
    assert list(table.columns) == ["lr", "hidden", "model", "seed", "step", "loss", "diverged"]
    for setting in grid:
        part = table[table.lr == setting["lr"]].drop(columns=["lr", "hidden"]).reset_index(drop=True)
        assert_frame_equal(part, training(**setting), check_exact=True)


def test_a_job_is_one_process(tmp_path: Path) -> None:
    assert set(sweep(processes, [{}], tmp_path, version=1, workers=1).pid) == {os.getpid()}


# What it keeps


def test_it_goes_on_where_it_was(tmp_path: Path, log: Path) -> None:
    grid = [{"n": n, "log": str(log)} for n in (2, 5, 3)]
    sweep(logged, grid[1:2], tmp_path / "kept", version=1, workers=1)
    assert calls(log) == {5: 1}
    table = sweep(logged, grid, tmp_path / "kept", version=1, workers=1)
    assert calls(log) == {2: 1, 5: 1, 3: 1} and table.n.unique().tolist() == [2, 5, 3]
    assert_frame_equal(
        sweep(logged, grid[::-1], tmp_path / "kept", version=1),
        table.iloc[[7, 8, 9, 2, 3, 4, 5, 6, 0, 1]].reset_index(drop=True),
    )
    assert calls(log) == {2: 1, 5: 1, 3: 1}
    one = sweep(logged, [{"log": str(log), "n": 3}], tmp_path / "kept", version=1)  # whatever the order of names
    assert len(one) == 3 and calls(log)[3] == 1


def test_another_function_of_the_same_name_is_another_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two notebooks, or two scripts that are called run.py, may share a folder."""
    for n in (1, 2, 1):
        path = tmp_path / f"{n}" / "swept_twice.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"import pandas as pd\n\ndef run():\n    return pd.DataFrame({{'value': [{n}]}})\n", encoding="utf-8"
        )
        linecache.clearcache()
        with monkeypatch.context() as patch:
            patch.syspath_prepend(path.parent)
            patch.delitem(sys.modules, "swept_twice", raising=False)
            module = importlib.import_module("swept_twice")
            assert sweep(module.run, [{}], tmp_path / "kept", version=1, workers=1).value.tolist() == [n]
    sys.modules.pop("swept_twice")
    assert len(results(tmp_path / "kept")) == 2


@pytest.mark.parametrize("change", [{"version": 2}, {"version": "1"}, {"seconds": 1e-9}, {"seconds": 0}])
def test_another_version_or_setting_is_another_job(change: dict, tmp_path: Path, log: Path) -> None:
    old = {"n": 2, "log": str(log), "seconds": 0.0}
    sweep(logged, [old], tmp_path / "kept", version=1, workers=1)
    version = change.pop("version", 1)
    table = sweep(logged, [{**old, **change}], tmp_path / "kept", version=version, workers=1)
    assert calls(log) == {2: 2} and len(table) == 2 and len(results(tmp_path / "kept")) == 2


def test_two_sweeps_in_one_folder_do_not_mix(tmp_path: Path) -> None:
    alone = sweep(job, GRID, tmp_path / "alone", version=1, workers=1)
    sweep(job, GRID[:2], tmp_path / "both", version=1, workers=1)
    table = sweep(other, GRID, tmp_path / "both", version=1, workers=1)
    assert list(table.columns) == ["n", "name", "far"] and table.far.tolist() == [30, 30, 10, 10, 20, 20]
    assert_frame_equal(sweep(job, GRID, tmp_path / "both", version=1, workers=1), alone)
    assert len(results(tmp_path / "both")) == 12


def test_another_sweep_waits_its_turn(tmp_path: Path) -> None:
    sweep(job, GRID, tmp_path, version=1, workers=1)
    message = f"another sweep works in {tmp_path}: wait for its end"
    with FileLock(tmp_path / ".lock"), pytest.raises(RuntimeError, match=message):
        sweep(other, GRID, tmp_path, version=1, workers=1)
    assert len(sweep(other, GRID, tmp_path, version=1, workers=1)) == 6


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError("no flock"), OSError(errno.ENOTSUP, "")]
)
def test_a_folder_without_locks_is_named(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some network drives are."""

    def refuse(lock: FileLock, *_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with pytest.raises(RuntimeError, match=f"cannot lock the folder {tmp_path} .*: give a folder on a disk of this"):
        sweep(job, GRID, tmp_path, version=1, workers=1)
    assert not results(tmp_path)


def test_half_a_draft_is_no_result(tmp_path: Path, log: Path) -> None:
    grid = [{"n": n, "log": str(log)} for n in (1, 2)]
    whole = sweep(logged, grid, tmp_path / "kept", version=1, workers=1)
    path = results(tmp_path / "kept")[0]
    path.with_suffix(".draft").write_bytes(path.read_bytes()[:50])
    path.unlink()
    assert_frame_equal(sweep(logged, grid, tmp_path / "kept", version=1, workers=1), whole)
    assert sorted(calls(log).values()) == [1, 2]
    assert sorted(tmp_path.glob("kept/*")) == [tmp_path / "kept" / ".lock", *results(tmp_path / "kept")]


def test_a_result_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped between the two, there is a whole draft and no result."""

    def killed(*paths: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("os.replace", killed)
        sweep(job, GRID, tmp_path, version=1, workers=1)
    assert not results(tmp_path) and len(list(tmp_path.glob("*.draft"))) == 1
    assert len(sweep(job, GRID, tmp_path, version=1, workers=1)) == 12
    assert len(results(tmp_path)) == 6 and not list(tmp_path.glob("*.draft"))


def test_a_full_disk_is_named_and_what_was_kept_is_whole(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = [{"n": n, "log": str(log)} for n in (1, 2, 3)]
    real, calls_left = os.fsync, iter([True, True])  # a result, and the folder

    def full(file: int) -> None:
        if next(calls_left, False):
            return real(file)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match=r"\(No space left on device\): .*kept"):
        patch.setattr(os, "fsync", full)
        sweep(logged, grid, tmp_path / "kept", version=1, workers=1)
    assert len(results(tmp_path / "kept")) == 1
    assert len(sweep(logged, grid, tmp_path / "kept", version=1, workers=1)) == 6
    assert sorted(calls(log).values()) == [1, 1, 2]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("unpicklable", RuntimeError, "ValueError: no way through"),
        ("exit", RuntimeError, "SystemExit: enough"),
        ("list", TypeError, "expected run to return a pandas DataFrame, got list"),
        ("dates", TypeError, r"expected run to return numbers, strings or categories, got datetime64\[.*\] in when"),
        ("tuples", TypeError, "expected run to return numbers, strings or categories, got object in pair"),
        ("names", ValueError, r"expected run to return columns with names of their own, got \[0\]"),
        ("twice", ValueError, r"expected run to return columns with names of their own, got \['a', 'a'\]"),
    ],
)
def test_jobs_that_fail_are_named_when_all_others_are_kept(
    how: str, error: type[Exception], message: str, workers: int, tmp_path: Path, log: Path
) -> None:
    grid = [{"n": n, "log": str(log), "how": how} for n in (1, 2, 3)]
    for _ in range(2):
        with pytest.raises(error, match=rf"(?s)1 of 3 jobs failed, the first with \{{'n': 2, .*\}}: .*{message}"):
            sweep(failing, grid, tmp_path / "kept", version=1, workers=workers)
        assert calls(log) == {1: 1, 3: 1}
    assert len(sweep(failing, grid[::2], tmp_path / "kept", version=1, workers=workers)) == 4


# What it refuses, before any job begins


def nested(n: int) -> object:
    def inside(n: int, name: str) -> pd.DataFrame:
        return job(n, name)

    return inside


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"run": lambda n, name: None}, TypeError, "run: expected a function at the top of a module, .*lambda"),
        ({"run": nested(1)}, TypeError, "run: expected a function at the top of a module, .*inside"),
        ({"run": partial(job)}, TypeError, "run: expected a function at the top of a module, .*partial"),
        ({"run": "job"}, TypeError, "run: expected a function at the top of a module, .*got 'job'"),
        ({"grid": []}, ValueError, "number of settings: expected at least 1, got 0"),
        ({"grid": 3}, TypeError, "grid: expected some settings, got 3"),
        ({"grid": {"n": [1], "name": ["a"]}}, TypeError, "grid: expected settings as dictionaries with names, got 'n'"),
        ({"grid": [{1: 2}]}, TypeError, "grid: expected settings as dictionaries with names, got {1: 2}"),
        ({"grid": [*GRID, GRID[0]]}, ValueError, "each setting once, got {'n': 3, 'name': 'b'} more than once"),
        ({"grid": [GRID[0], {"n": 1}]}, ValueError, "settings with the same names, got {'n': 3, .*} and {'n': 1}"),
        ({"grid": [{"n": 1}]}, TypeError, "settings for job that JSON can hold, {'n': 1}: missing .*'name'"),
        ({"grid": [{"n": 1, "name": 2, "x": 3}]}, TypeError, "unexpected keyword argument 'x'"),
        ({"grid": [{"n": 1, "name": {1}}]}, TypeError, "that JSON can hold, .*: Object of type set"),
        ({"grid": [{"n": np.int64(1), "name": 1}]}, TypeError, "that JSON can hold, .*: Object of type int64"),
        ({"grid": [{"n": math.nan, "name": 1}]}, TypeError, "that JSON can hold, .*: Out of range float"),
        ({"grid": [{"n": (1, 2), "name": 1}]}, TypeError, r"gives back as they were, got {'n': \(1, 2\)"),
        ({"grid": [{"n": {1: 2}, "name": 1}]}, TypeError, "gives back as they were, got {'n': {1: 2}"),
        ({"version": None}, TypeError, "version: expected a string or a whole number, got None"),
        ({"version": 1.5}, TypeError, "version: expected a string or a whole number, got 1.5"),
        ({"workers": 0}, ValueError, "workers: expected at least 1, got 0"),
        ({"workers": "2"}, TypeError, "workers: expected a whole number, got '2'"),
    ],
)
def test_bad_arguments(arguments: dict, error: type[Exception], message: str, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with pytest.raises(error, match=message):
        sweep(**{"run": job, "grid": GRID, "folder": folder, "version": 1, "workers": 1, **arguments})
    assert not folder.exists()


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-30])
    return path


def altered(path: Path) -> Path:
    path.write_bytes(path.read_bytes().replace(b"0.333", b"0.444"))
    return path


def another_version(path: Path) -> Path:
    path.write_bytes(path.read_bytes().replace(b'"version": 1', b'"version": 2'))
    return path


def another_name(path: Path) -> Path:
    return path.rename(path.with_stem("0" * 32))


def of_a_reader(path: Path) -> Path:
    (path.parent / "notes.txt").write_text("mine", encoding="utf-8")
    return path.parent / "notes.txt"


def draft_of_a_reader(path: Path) -> Path:
    (path.parent / "notes.draft").write_text("mine", encoding="utf-8")
    return path.parent / "notes.draft"


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def a_folder(path: Path) -> Path:
    path.unlink()
    path.mkdir()
    return path


@pytest.mark.parametrize(
    "damage", [cut, altered, another_version, another_name, of_a_reader, draft_of_a_reader, empty, a_folder]
)
def test_a_file_that_no_sweep_wrote(damage: object, tmp_path: Path, log: Path) -> None:
    folder = tmp_path / "kept"
    sweep(job, [{"n": 1, "name": "a"}], folder, version=1, workers=1)
    path = damage(results(folder)[0])
    with pytest.raises(ValueError, match=rf"expected .* sweep.*, got {path}"):
        sweep(logged, [{"n": 1, "log": str(log)}], folder, version=1, workers=1)
    assert not calls(log) and path.exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path, log: Path) -> None:
    (tmp_path / "file").touch()
    begin = partial(sweep, logged, [{"n": 1, "log": str(log)}], version=1, workers=1)
    with pytest.raises(NotADirectoryError, match=f"expected a folder for the results, got the file {tmp_path}/file"):
        begin(tmp_path / "file")
    with pytest.raises(FileNotFoundError, match=f"cannot write {tmp_path}/a/b: the folder {tmp_path}/a does not exist"):
        begin(tmp_path / "a" / "b")
    assert not calls(log)


@pytest.mark.parametrize("name", ["", "new"])
def test_a_folder_without_permission(name: str, log: Path) -> None:
    with tempfile.TemporaryDirectory() as closed:
        os.chmod(closed, 0o555)
        user = os.geteuid()
        if user == 0:  # root may write anywhere
            os.seteuid(65534)
        try:
            with pytest.raises(PermissionError, match=r"cannot write results \(Permission denied\): ") as raised:
                sweep(logged, [{"n": 1, "log": str(log)}], Path(closed) / name, version=1, workers=1)
        finally:
            os.seteuid(user)
            os.chmod(closed, 0o755)
        assert raised.value.filename == str(Path(closed) / name)
    assert not calls(log)


# Processes


@pytest.mark.slow
def test_processes_give_what_one_gives(tmp_path: Path) -> None:
    grid = [{"lr": lr, "hidden": hidden} for lr in (0.1, 0.01) for hidden in (3, 2)]
    one = sweep(training, grid, tmp_path / "one", version=1, workers=1)
    two = sweep(training, grid, tmp_path / "two", version=1, workers=2)
    assert_frame_equal(one, two, check_exact=True)
    assert [p.read_bytes() for p in results(tmp_path / "one")] == [p.read_bytes() for p in results(tmp_path / "two")]


@pytest.mark.slow
def test_rows_follow_the_grid_in_whatever_order_jobs_end(tmp_path: Path, log: Path) -> None:
    grid = [{"n": n, "log": str(log), "seconds": seconds} for n, seconds in [(1, 0.5), (2, 0.0), (3, 0.0)]]
    table = sweep(logged, grid, tmp_path / "kept", version=1, workers=2)
    assert table.n.tolist() == [1, 2, 2, 3, 3, 3]


@pytest.mark.slow
def test_a_process_that_dies_loses_nothing_that_ended(tmp_path: Path, log: Path) -> None:
    kept = tmp_path / "kept"
    grid = [{"n": n, "log": str(log), "kept": str(kept), "always": False} for n in (1, 2)]
    with pytest.raises(RuntimeError, match="terminated"):
        sweep(dying, grid, kept, version=1, workers=2)
    assert calls(log) == {0: 1, 1: 1} and len(results(kept)) == 1
    assert len(sweep(dying, grid, kept, version=1, workers=2)) == 3
    assert calls(log) == {0: 1, 1: 1, 2: 1}


def here(code: str) -> subprocess.Popen:
    """Another Python that runs this code and knows the jobs."""
    path = os.pathsep.join([str(Path(helpers.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path})


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_in_the_middle_it_loses_nothing_that_ended(workers: int, tmp_path: Path, log: Path) -> None:
    folder = tmp_path / "kept"
    for ended in (2, 5):  # killed twice
        process = here(f"from helpers import jobs; jobs.killed_in_the_middle({str(folder)!r}, {str(log)!r}, {workers})")
        deadline = time.monotonic() + 60
        while len(results(folder)) < ended:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    time.sleep(1.5)  # processes whose caller is gone end their job, and start no other
    kept = [json.loads(path.read_bytes().splitlines()[0])["setting"]["n"] for path in results(folder)]
    before = calls(log)
    assert 5 <= len(kept) <= len(before) < len(MANY)
    grid = [{"n": n, "log": str(log), "seconds": 0.2} for n in MANY]
    table = sweep(logged, grid, folder, version=1, workers=1)
    assert calls(log) == {n: before.get(n, 0) + (n not in kept) for n in MANY}
    assert_frame_equal(table, sweep(logged, grid, tmp_path / "at once", version=1, workers=2), check_exact=True)


SCRIPT = """
import sys
import pandas as pd
from nalu.experiments.sweeps import sweep

def own(n):
    print("ran", n, flush=True)
    return pd.DataFrame({"value": [n / 7]})

if __name__ == "__main__":
    sweep(own, [{"n": n} for n in range(3)], sys.argv[1], version=1, workers=int(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_script_may_hold_the_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    script = tmp_path / "swept_script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    subprocess.run([sys.executable, script, tmp_path / "kept", "2"], check=True)
    monkeypatch.syspath_prepend(tmp_path)
    import swept_script

    table = sweep(swept_script.own, [{"n": n} for n in (2, 1)], tmp_path / "kept", version=1, workers=1)
    assert table.value.tolist() == [2 / 7, 1 / 7] and not capsys.readouterr().out


# A cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """A scheduler and two worker processes, which talk over the network as those of several machines do."""
    from dask.distributed import Client, LocalCluster

    settings = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**settings, silence_logs=50) as local, Client(local) as client:
        yield client


@pytest.mark.slow
def test_a_cluster_gives_what_one_process_gives(cluster: object, tmp_path: Path) -> None:
    grid = [{"lr": lr, "hidden": hidden} for lr in (0.1, 0.01) for hidden in (3, 2)]
    with joblib.parallel_config(backend="dask"):
        table = sweep(training, grid, tmp_path / "cluster", version=1)
        sweep(training, grid, tmp_path / "cluster", version=1)
        assert set(sweep(processes, [{}], tmp_path / "cluster", version=1).pid) < set(cluster.run(os.getpid).values())
    assert_frame_equal(table, sweep(training, grid, tmp_path / "one", version=1, workers=1), check_exact=True)


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(cluster: object, tmp_path: Path, log: Path) -> None:
    before = cluster.run(os.getpid)
    kept = tmp_path / "cluster"
    grid = [{"n": n, "log": str(log), "kept": str(kept), "always": False} for n in range(1, 9)]
    with joblib.parallel_config(backend="dask"):
        table = sweep(dying, grid, kept, version=1)
    assert calls(log)[0] == 1 and set(cluster.run(os.getpid).values()) != set(before.values())
    assert_frame_equal(table, sweep(dying, grid, tmp_path / "one", version=1, workers=1), check_exact=True)


@pytest.mark.slow
def test_a_job_that_kills_every_worker_is_named(cluster: object, tmp_path: Path, log: Path) -> None:
    kept = tmp_path / "kept"
    grid = [{"n": n, "log": str(log), "kept": str(kept), "always": True} for n in (1, 2, 3)]
    with (
        joblib.parallel_config(backend="dask"),
        pytest.raises(RuntimeError, match=r"1 of 3 jobs failed, the first with {'n': 2, .*}: KilledWorker: "),
    ):
        sweep(dying, grid, kept, version=1)
    assert len(results(kept)) == 2
