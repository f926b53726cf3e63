"""A grid of settings over processes, or over a cluster. Killed at any moment, it goes on where it was."""

import hashlib
import inspect
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType

import pandas as pd
from filelock import FileLock, Timeout
from joblib import Parallel, cpu_count, delayed, parallel_config
from joblib.externals.loky import get_reusable_executor
from joblib.parallel import get_active_backend

from nalu import checks
from nalu.experiments.fingerprints import fingerprint
from nalu.progress import bar

Run = Callable[..., pd.DataFrame]
"""Does one job: takes a setting as keywords and returns a table, as a rule of one call of `nalu.fit`."""

Outcome = tuple[int, bytes, Exception | None]
"""Which job ended, its table as text, and what went wrong if there is none."""

FORMAT = "nalu.sweep.1"

LOCK = ".lock"


def sweep(
    run: Run,
    grid: Iterable[Mapping[str, object]],
    folder: str | Path,
    *,
    version: str | int,
    workers: int | None = None,
) -> pd.DataFrame:
    """Run each setting of a grid as a job, and keep each job's table as soon as it ends.

    A sweep that was stopped is called again in the same way, and runs only the jobs that are missing. They are known by
    the function's name and code, the version and the setting: sweeps of other functions, versions or grids may use
    the same folder, one at a time.

    A job is one process, in which joblib starts no others: train replicas inside of it, on one thread (`workers=1` of
    `nalu.fit`), for the processes share the cores. To spread jobs over a cluster, make a `dask.distributed.Client` and
    call this inside `with joblib.parallel_config(backend="dask")`. Only this process writes; the cluster's workers need
    not see the folder.

    Args:
        run: a function at the top of a module, whose rows depend on nothing but its setting.
        grid: different settings with the same names, of values that JSON gives back as they were: finite numbers,
            strings, booleans, None, and lists and dictionaries of them.
        folder: made if it does not exist. It holds nothing but results of sweeps.
        version: of what `run` calls in other modules: change it whenever `run` would return something else with the
            same code. What it names in its own module, or in the notebook, belongs to its code: a function or class
            that was changed and executed again is seen (see `nalu.experiments.fingerprints`).
        workers: processes; all cores if not given. One stays in this process. A cluster has its own number.

    Returns:
        The rows of all jobs in the order of the grid, behind a column for each name in the settings that `run` has not
        put into its table. Categories that differ between jobs are joined, in the order they come in.

    Raises:
        TypeError, ValueError: an argument out of its range; a file in the folder that no sweep wrote, or that changed
            since; something else than a table from `run`, or a table that JSON cannot hold exactly.
        OSError: the folder cannot be written.
        RuntimeError: another sweep works in the folder; it lies where there are no locks; jobs failed. All others have
            ended and are kept by then.
    """
    settings = _settings(run, grid)
    if not isinstance(version, str | int) or isinstance(version, bool):
        raise TypeError(f"version: expected a string or a whole number, got {version!r}")
    workers = cpu_count() if workers is None else checks.at_least(workers, 1, "workers")
    head = {"format": FORMAT, "run": _name(run), "code": fingerprint(run), "version": version}
    heads = [_line({**head, "setting": each}) for each in settings]
    with _opened(folder) as folder:
        paths = [folder / f"{_digest(head)}.jsonl" for head in heads]
        kept = _kept(folder)
        jobs = [(k, run, settings[k]) for k, path in enumerate(paths) if path not in kept]
        failed = {}
        with bar(len(paths), "jobs", done=len(paths) - len(jobs)) as shown:
            for k, table, error in _outcomes(jobs, workers):
                if error:
                    failed[k] = error
                else:
                    _write(paths[k], heads[k], table)
                    kept[paths[k]] = table
                shown.update()
    if failed:
        first = min(failed)
        raise type(failed[first])(
            f"{len(failed)} of {len(paths)} jobs failed, the first with {settings[first]}: {failed[first]}"
        )
    return _join(settings, [_table(kept[path]) for path in paths])


def _settings(run: Run, grid: Iterable[Mapping[str, object]]) -> list[dict[str, object]]:
    if not isinstance(run, FunctionType) or getattr(sys.modules.get(run.__module__), run.__qualname__, None) is not run:
        raise TypeError(f"run: expected a function at the top of a module, which processes can find, got {run!r}")
    if not isinstance(grid, Iterable):
        raise TypeError(f"grid: expected some settings, got {grid!r}")
    settings, lines = list(grid), set()
    checks.at_least(len(settings), 1, "number of settings")
    for setting in settings:
        if not isinstance(setting, Mapping) or not all(isinstance(name, str) for name in setting):
            raise TypeError(f"grid: expected settings as dictionaries with names, got {setting!r}")
        if set(setting) != set(settings[0]):
            raise ValueError(f"grid: expected settings with the same names, got {settings[0]} and {setting}")
        try:
            inspect.signature(run).bind(**setting)
            line = _line(dict(setting))
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"grid: expected settings for {run.__name__} that JSON can hold, {setting}: {error}"
            ) from error
        if json.loads(line) != dict(setting):  # a tuple would come back as a list, a number as a key as a string
            raise TypeError(f"grid: expected settings that JSON gives back as they were, got {setting}")
        if line in lines:
            raise ValueError(f"grid: expected each setting once, got {setting} more than once")
        lines.add(line)
    return [dict(setting) for setting in settings]


def _name(run: Run) -> str:
    """The function's name, for a script the same as if it were imported."""
    main = sys.modules[run.__module__]
    if run.__module__ != "__main__":
        return f"{run.__module__}.{run.__qualname__}"
    return f"{main.__spec__.name if main.__spec__ else Path(getattr(main, '__file__', 'main')).stem}.{run.__qualname__}"


def _line(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, allow_nan=False).encode()


def _digest(*lines: bytes) -> str:
    return hashlib.sha256(b"\n".join(lines)).hexdigest()[:32]


@contextmanager
def _opened(folder: str | Path) -> Iterator[Path]:
    """The folder, which no other sweep can open meanwhile."""
    folder = checks.writable(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"expected a folder for the results, got the file {folder}")
    try:
        folder.mkdir(exist_ok=True)
        draft = folder / f"{_digest()}.draft"
        draft.touch()
        draft.unlink()
    except OSError as error:
        raise OSError(error.errno, f"cannot write results ({error.strerror})", str(folder)) from error
    try:
        held = FileLock(folder / LOCK, timeout=0).acquire()  # the system frees it, however this process ends
    except Timeout as error:
        raise RuntimeError(f"another sweep works in {folder}: wait for its end, or use another folder") from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RuntimeError(
            f"cannot lock the folder {folder} ({reason}), as on a network drive without locks: "
            "give a folder on a disk of this machine"
        ) from error
    with held:
        yield folder


def _kept(folder: Path) -> dict[Path, bytes]:
    """The tables in a folder, as text. Drafts of a sweep that was killed are removed."""
    kept = {}
    for path in sorted(folder.iterdir()):
        if path.name == LOCK:
            continue
        if not re.fullmatch(r"[0-9a-f]{32}\.(draft|jsonl)", path.name) or not path.is_file():
            raise ValueError(f"expected a folder with nothing but results of sweeps, got {path}")
        if path.suffix == ".draft":
            path.unlink()
            continue
        lines = path.read_bytes().split(b"\n")
        if path.stem != _digest(lines[0]) or lines[2:] != [_line(_digest(*lines[:2])), b""]:
            raise ValueError(f"expected a whole result as sweep wrote it, got {path}: remove it to run its job again")
        kept[path] = lines[1]
    return kept


def _write(path: Path, head: bytes, table: bytes) -> None:
    """Write a result in one step: whenever this process is killed, the file is whole, or is not there."""
    draft = path.with_suffix(".draft")
    try:
        with open(draft, "wb") as file:
            file.write(b"\n".join([head, table, _line(_digest(head, table)), b""]))
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:  # a full disk, which names no file
        raise OSError(error.errno, f"cannot write results ({error.strerror})", str(path.parent)) from error
    if os.name == "posix":  # where the file's name is on the disk only when its folder is; Windows opens no folder
        entries = os.open(path.parent, os.O_RDONLY)
        os.fsync(entries)
        os.close(entries)


def _outcomes(jobs: list[tuple], workers: int) -> Iterator[Outcome]:
    """What becomes of the jobs, as they end."""
    client = getattr(get_active_backend()[0], "client", None)
    if jobs and client is None:
        parallel = Parallel(min(workers, len(jobs)), return_as="generator_unordered", batch_size=1, pre_dispatch="all")
        try:
            yield from parallel(delayed(_attempt)(*job, os.getpid()) for job in jobs)
        finally:
            # Else they would wait for the next sweep, with modules as they are now.
            get_reusable_executor(reuse=True).shutdown(kill_workers=True)
    elif jobs:
        # joblib's own loop waits for ever for a job that kills its workers, and repeats one whose worker dies later.
        from dask.distributed import as_completed

        waiting = {client.submit(_attempt, *job, pure=False): job[0] for job in jobs}
        try:
            for future in as_completed(list(waiting)):
                k = waiting.pop(future)
                try:
                    outcome = future.result()
                except Exception as error:  # whatever else happens in a cluster
                    outcome = k, b"", RuntimeError(f"{type(error).__name__}: {error}")
                future.release()
                yield outcome
        finally:
            client.cancel(list(waiting))


def _attempt(k: int, run: Run, setting: dict[str, object], caller: int | None = None) -> Outcome:
    """Do a job. Its errors come back as text, for not every error can travel between processes.

    Args:
        caller: the process that sweeps, on this machine. A worker that has lost it starts no other job, for it was
            killed, and a sweep that goes on in its place does them all.
    """
    if caller not in (None, os.getpid(), os.getppid()):
        os._exit(1)
    if os.getpid() != caller:
        os.environ["TQDM_DISABLE"] = "1"  # the bars of several processes would overwrite each other
    try:
        with parallel_config(backend="sequential"):
            table = run(**setting)
    except (Exception, SystemExit):
        return k, b"", RuntimeError(traceback.format_exc())
    try:
        return k, _text(table), None
    except (TypeError, ValueError) as error:
        return k, b"", error


def _text(table: object) -> bytes:
    """A table as a line of JSON, which holds every number exactly."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"expected run to return a pandas DataFrame, got {type(table).__name__}")
    table = table.reset_index(drop=list(table.index.names) == [None])  # an index with a name means something
    if not all(isinstance(name, str) for name in table) or not table.columns.is_unique:
        raise ValueError(f"expected run to return columns with names of their own, got {list(table)}")
    columns = {}
    for name, values in table.items():
        try:
            columns[name] = _column(values)
            same = _series(json.loads(json.dumps(columns[name]))).equals(values)
        except Exception:  # whatever pandas makes of values that JSON holds as something else
            same = False
        if not same:
            raise TypeError(f"expected run to return numbers, strings or categories, got {values.dtype} in {name}")
    return json.dumps(columns).encode()


def _table(text: bytes) -> pd.DataFrame:
    return pd.DataFrame({name: _series(column) for name, column in json.loads(text).items()})


def _column(values: pd.Series) -> dict[str, object]:
    if isinstance(values.dtype, pd.CategoricalDtype):
        categories = _column(values.cat.categories.to_series())
        return {"codes": values.cat.codes.tolist(), "categories": categories, "ordered": values.cat.ordered}
    return {"dtype": str(values.dtype), "values": values.tolist()}


def _series(column: dict) -> pd.Series:
    if "codes" in column:
        categories = pd.Index(_series(column["categories"]))
        return pd.Series(pd.Categorical.from_codes(column["codes"], categories, ordered=column["ordered"]))
    return pd.Series(column["values"], dtype=column["dtype"])


def _join(settings: list[dict[str, object]], tables: list[pd.DataFrame]) -> pd.DataFrame:
    """All rows in the order of the settings, with them as columns."""
    for name in set().union(*tables):
        having = [table for table in tables if name in table]
        if all(isinstance(table[name].dtype, pd.CategoricalDtype) for table in having):
            every = dict.fromkeys(category for table in having for category in table[name].cat.categories)
            for table in having if any(list(table[name].cat.categories) != list(every) for table in having) else []:
                table[name] = table[name].cat.set_categories(list(every), ordered=False)
    rows = pd.concat(tables, ignore_index=True)
    columns = pd.DataFrame(settings)
    columns = columns.loc[columns.index.repeat([len(table) for table in tables])].reset_index(drop=True)
    return pd.concat([columns[[name for name in columns if name not in rows]], rows], axis=1)
