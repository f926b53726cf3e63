"""Execute the notebooks that are stale, each once, for the tests and for the book alike.

    python book/execute.py [FOLDER [NAME]]    FOLDER is .executed unless told; NAME is the one notebook to execute

    FOLDER/notebooks/NAME.ipynb           the executed notebook, put there only after it passed
    FOLDER/claims/NAME.jsonl              the claims that it checked, one JSON object a line
    FOLDER/stamps/NAME                    a digest of all that it was made from

A notebook is stale when that digest has changed. Times of files don't count: a checkout sets them as it likes.
A run that was stopped is taken up where it stood. Notebooks run one after another, for each trains on all cores itself.
"""

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import status
from filelock import FileLock
from pairs import ROOT, faults

LAST = "scoreboard"  # reads what all the others claim


def digest(paths: list[Path], *settings: str) -> str:
    """One hash over the contents of files and folders, over their names, and over `settings`."""
    hasher = hashlib.sha256("\n".join(settings).encode())
    for path in paths:
        for file in sorted(p for p in [path, *path.rglob("*")] if p.is_file() and "__pycache__" not in p.parts):
            hasher.update(f"\n{os.path.relpath(file, ROOT)}\n{file.stat().st_size}\n".encode())
            hasher.update(file.read_bytes())
    return hasher.hexdigest()


@contextmanager
def alone(folder: Path, *leftovers: str) -> Iterator[Path]:
    """A scratch folder in `folder`, held by one process at a time; what a killed one left there is removed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a kill ends what this started, as Ctrl-C does
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(folder / ".lock").acquire()  # waits for its turn
    except (OSError, NotImplementedError) as error:
        sys.exit(
            f"cannot lock the folder {folder} ({getattr(error, 'strerror', None) or error}), as on a network drive "
            "without locks: move the checkout to a disk of this machine"
        )
    with held:
        for left in folder.glob("scratch-*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix="scratch-", ignore_cleanup_errors=True) as scratch:
            yield Path(scratch)


def inputs(name: str, folder: Path) -> str:
    """The digest of all that notebook `name` depends on."""
    paths = [ROOT / "nalu", ROOT / "requirements.txt"]
    paths += [ROOT / f"notebooks/{name}.ipynb", ROOT / f"book/{name}.md"]
    if name == LAST:
        paths.append(folder / "claims")
    return digest(paths, os.environ.get("NALU_SCALE", "book"))


def fonts_known(folder: Path) -> Path:
    """A folder in which matplotlib has listed the machine's fonts, of which it would tell the first notebook."""
    if not folder.exists():
        environment = os.environ | {"MPLCONFIGDIR": str(folder)}
        command = [sys.executable, "-c", "import matplotlib.font_manager"]
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return folder


def passes(name: str, folder: Path, scratch: Path) -> bool:
    """Execute one notebook in `scratch`; put it into `folder` if it passed, print what failed if not."""
    (scratch / name / "notebooks").mkdir(parents=True)
    (scratch / name / "claims").mkdir()
    copy = Path(shutil.copy(ROOT / f"notebooks/{name}.ipynb", scratch / name / "notebooks"))
    environment = os.environ | {
        "NALU_CLAIMS": str(folder / "claims" if name == LAST else scratch / name / "claims"),
        "NALU_SCALE": os.environ.get("NALU_SCALE", "book"),
        "OMP_NUM_THREADS": "1",
        "TQDM_DISABLE": "1",  # no progress bars in the book
        "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, not one in the home folder
        # Nothing of the home folder is read, as settings of another project's, or written, as it may be closed.
        "IPYTHONDIR": str(scratch / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
        "MPLCONFIGDIR": str(fonts_known(scratch / "matplotlib")),
        "PYTHONUTF8": "1",  # whatever the system's encoding: not all that runs in there names its own
    }
    # Without the settings of tests/, which turn warnings of the notebook machinery into errors.
    options = ["--nbmake", "--overwrite", "--nbmake-timeout=900", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    command = [sys.executable, "-m", "pytest", *options, "--rootdir", str(scratch), str(copy)]
    start = time.perf_counter()
    result = subprocess.run(
        command, env=environment, cwd=scratch, encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if result.returncode:
        print(result.stdout, flush=True)
        return False
    status.stamp(copy, time.perf_counter() - start)
    (folder / "stamps" / name).unlink(missing_ok=True)  # between here and the new stamp, a kill makes it stale
    if name != LAST:
        claims = "".join(p.read_text(encoding="utf-8") for p in sorted((scratch / name / "claims").glob("*.jsonl")))
        (folder / f"claims/{name}.jsonl").write_text(claims, encoding="utf-8")
    os.replace(copy, folder / f"notebooks/{name}.ipynb")
    return True


def known() -> list[str]:
    """The names of all notebooks, in the order in which they are executed."""
    return sorted((p.stem for p in (ROOT / "notebooks").glob("*.ipynb")), key=lambda name: (name == LAST, name))


def checked(name: str) -> str:
    """The name, or the end of this program if there is no such notebook."""
    if name not in known():
        sys.exit(f"NAME: expected one of {', '.join(known())}, got {name!r}")
    return name


def execute(folder: Path, only: str | None = None) -> list[str]:
    """Bring `folder` up to date with notebooks/, or one notebook of them. Returns the names of those that failed."""
    names, failed = known(), []
    wanted = names if only in (None, LAST) else [only]
    with alone(folder) as scratch:
        for part in ("notebooks", "claims", "stamps"):
            (folder / part).mkdir(exist_ok=True)
            for file in (folder / part).iterdir():
                if file.stem not in names:
                    file.unlink()
        for name in wanted:
            stamp, made_from = folder / "stamps" / name, inputs(name, folder)
            done = (
                stamp.exists()
                and stamp.read_text(encoding="utf-8") == made_from
                and (folder / f"notebooks/{name}.ipynb").exists()
            )
            if done or (name == LAST and failed):
                continue
            print(f"executing {name} ...", flush=True)
            start = time.perf_counter()
            if passes(name, folder, scratch):
                stamp.write_text(made_from, encoding="utf-8")
                print(f"executing {name}: passed in {time.perf_counter() - start:.0f} s", flush=True)
            else:
                failed.append(name)
    return failed


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # what a notebook says may be more than a terminal can show
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=".executed")
    parser.add_argument("name", nargs="?", type=checked)
    given = parser.parse_args()
    if problems := faults():
        sys.exit("\n".join(problems))
    try:
        failures = execute(ROOT / given.folder, given.name)
    except KeyboardInterrupt:
        sys.exit("stopped: the same command goes on from here")
    if failures:
        sys.exit(f"failed: {', '.join(failures)}")
