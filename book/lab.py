"""Open the chapters in JupyterLab, as copies of the reader's own.

    python book/lab.py [OPTION...]      options of `jupyter lab`, such as --no-browser

The copies lie in lab/, which git does not track, and are made from the readers' edition (see readers.py). A copy that
was not touched is replaced when there is a newer edition; one that was is left alone, and its name printed.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import nbformat
from nbformat.sign import NotebookNotary
from pairs import ROOT
from readers import EDITION, make

COPIES = ROOT / "lab"
KERNEL = ROOT / "_build/jupyter/kernels/python3/kernel.json"


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def hand_out(edition: Path, copies: Path) -> list[str]:
    """Bring the copies up to date. Returns the names of those that were changed, and kept, and have a newer edition."""
    copies.mkdir(exist_ok=True)
    record = copies / ".handed-out.json"  # by name, the digest of what was given
    given: dict[str, str] = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    kept = []
    for new in sorted(edition.glob("*.ipynb")):
        copy, now = copies / new.name, digest(new)
        if copy.exists() and digest(copy) != given.get(new.name):
            if given.get(new.name) != now:
                kept.append(new.name)
            continue
        shutil.copyfile(new, copies / ".new")
        os.replace(copies / ".new", copy)
        with contextlib.suppress(OSError):  # a home folder that can't be written: sliders come when the cell is run
            NotebookNotary().sign(nbformat.read(copy, as_version=4))  # ours, so JupyterLab shows its sliders at once
        given[new.name] = now
        record.write_text(json.dumps(given, indent=1), encoding="utf-8")
    return kept


def kernel() -> Path:
    """A folder for JUPYTER_PATH, whose kernel is this environment's, before one of the same name in the home folder."""
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--ext=nalu.book.cells"]
    specification = {"argv": command, "display_name": "Python 3 (ipykernel)", "language": "python"}
    KERNEL.parent.mkdir(parents=True, exist_ok=True)
    KERNEL.write_text(json.dumps(specification, indent=1), encoding="utf-8")
    return KERNEL.parents[2]


def main(options: list[str]) -> None:
    make()
    for name in hand_out(EDITION, COPIES):
        print(f"lab/{name} was changed here, so it stays; there is a newer one: rename or delete yours to get it")
    path = os.pathsep.join(filter(None, [str(kernel()), os.environ.get("JUPYTER_PATH")]))
    command = [sys.executable, "-m", "jupyter", "lab", f"--ServerApp.root_dir={COPIES}", *options]
    # In the place of this process, so that who ends this ends JupyterLab.
    os.execve(sys.executable, command, os.environ | {"JUPYTER_PATH": path})


if __name__ == "__main__":
    main(sys.argv[1:])
