"""Execute the notebooks that are stale, each once, for the tests and for the book alike.

    python book/execute.py [FOLDER]       FOLDER is .executed unless told

    FOLDER/notebooks/NAME.ipynb           the executed notebook, put there only after it passed
    FOLDER/claims/NAME.jsonl              the claims that it checked, one JSON object a line
    FOLDER/stamps/NAME                    a digest of all that it was made from

A notebook is stale when that digest has changed. Times of files don't count: a checkout sets them as it likes.
A run that was stopped is taken up where it stood. Notebooks run one after another, for each trains on all cores itself.
"""

import fcntl
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

import jupytext
from status import stamp

ROOT = Path(__file__).resolve().parents[1]
LAST = "scoreboard"  # reads what all the others claim


def digest(paths: list[Path], *settings: str) -> str:
    """One hash over the contents of files and folders, over their names, and over `settings`."""
    hasher = hashlib.sha256("\n".join(settings).encode())
    for path in paths:
        for file in sorted(p for p in [path, *path.rglob("*")] if p.is_file() and "__pycache__" not in p.parts):
            hasher.update(f"\n{os.path.relpath(file, ROOT)}\n{file.stat().st_size}\n".encode())
            hasher.update(file.read_bytes())
    return hasher.hexdigest()


def faults(root: Path = ROOT) -> list[str]:
    """A line for each notebook that is not the twin of its text in book/, and for each text that lacks its twin."""
    found = []
    texts = {p.stem: p for p in (root / "book").glob("*.md") if "\njupytext:" in p.read_text()}
    notebooks = {p.stem: p for p in (root / "notebooks").glob("*.ipynb")}
    for name in sorted(texts.keys() | notebooks.keys()):
        if name not in texts:
            found.append(f"notebooks/{name}.ipynb has no text book/{name}.md: delete it, or write the text")
        elif name not in notebooks:
            found.append(f"book/{name}.md has no notebook: run `make sync`")
        else:
            text, twin = (
                [
                    (cell.cell_type, cell.source, sorted(cell.metadata.get("tags", [])))
                    for cell in jupytext.read(p).cells
                ]
                for p in (texts[name], notebooks[name])
            )
            if text != twin:
                at = next(
                    (i for i, (a, b) in enumerate(zip(text, twin, strict=False)) if a != b), min(len(text), len(twin))
                )
                found.append(
                    f"notebooks/{name}.ipynb differs from book/{name}.md from cell {at + 1} on: run `make sync`"
                )
    return found


@contextmanager
def alone(folder: Path, *leftovers: str) -> Iterator[Path]:
    """A scratch folder in `folder`, held by one process at a time; what a killed one left there is removed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a kill ends what this started, as Ctrl-C does
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
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


def passes(name: str, folder: Path, scratch: Path) -> bool:
    """Execute one notebook in `scratch`; put it into `folder` if it passed, print what failed if not."""
    (scratch / name / "notebooks").mkdir(parents=True)
    (scratch / name / "claims").mkdir()
    (scratch / name / "book").symlink_to(ROOT / "book")
    copy = Path(shutil.copy(ROOT / f"notebooks/{name}.ipynb", scratch / name / "notebooks"))
    environment = os.environ | {
        "NALU_CLAIMS": str(folder / "claims" if name == LAST else scratch / name / "claims"),
        "NALU_SCALE": os.environ.get("NALU_SCALE", "book"),
        "OMP_NUM_THREADS": "1",
        "TQDM_DISABLE": "1",  # no progress bars in the book
        "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, not one in the home folder
    }
    # Without the settings of tests/, which turn warnings of the notebook machinery into errors.
    options = ["--nbmake", "--overwrite", "--nbmake-timeout=900", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    command = [sys.executable, "-m", "pytest", *options, "--rootdir", str(scratch), str(copy)]
    start = time.perf_counter()
    result = subprocess.run(
        command, env=environment, cwd=scratch, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if result.returncode:
        print(result.stdout, flush=True)
        return False
    stamp(copy, time.perf_counter() - start)
    (folder / "stamps" / name).unlink(missing_ok=True)  # between here and the new stamp, a kill makes it stale
    if name != LAST:
        claims = "".join(p.read_text() for p in sorted((scratch / name / "claims").glob("*.jsonl")))
        (folder / f"claims/{name}.jsonl").write_text(claims)
    os.replace(copy, folder / f"notebooks/{name}.ipynb")
    return True


def execute(folder: Path) -> list[str]:
    """Bring `folder` up to date with notebooks/. Returns the names of the notebooks that failed."""
    names = sorted((p.stem for p in (ROOT / "notebooks").glob("*.ipynb")), key=lambda name: (name == LAST, name))
    failed = []
    with alone(folder) as scratch:
        for part in ("notebooks", "claims", "stamps"):
            (folder / part).mkdir(exist_ok=True)
            for file in (folder / part).iterdir():
                if file.stem not in names:
                    file.unlink()
        for name in names:
            stamp, made_from = folder / "stamps" / name, inputs(name, folder)
            done = stamp.exists() and stamp.read_text() == made_from and (folder / f"notebooks/{name}.ipynb").exists()
            if done or (name == LAST and failed):
                continue
            print(f"executing {name} ...", flush=True)
            start = time.perf_counter()
            if passes(name, folder, scratch):
                stamp.write_text(made_from)
                print(f"executing {name}: passed in {time.perf_counter() - start:.0f} s", flush=True)
            else:
                failed.append(name)
    return failed


if __name__ == "__main__":
    if problems := faults():
        sys.exit("\n".join(problems))
    try:
        failures = execute(ROOT / (sys.argv[1] if len(sys.argv) > 1 else ".executed"))
    except KeyboardInterrupt:
        sys.exit("stopped: the same command goes on from here")
    if failures:
        sys.exit(f"failed: {', '.join(failures)}")
