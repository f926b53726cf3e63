"""Keep a chapter's text (book/NAME.md) and its notebook (notebooks/NAME.ipynb) the same, and lose no edit of either.

python book/pairs.py                what `make sync` runs

Where the two differ, the one that was edited since they were last made the same, or since the last commit, makes the
other. Where both were, nothing is written at all: their names are printed, and what to do. Times of files don't count:
a checkout sets them as it likes.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jupytext

ROOT = Path(__file__).resolve().parents[1]

Cells = list[tuple[str, str, list[str]]]
"""What an author writes: kind, source and tags of each cell. Outputs and counts are no edits."""


class Pair(NamedTuple):
    """A chapter's two files, of which one may not be there yet."""

    text: Path
    notebook: Path


def pairs(root: Path = ROOT) -> dict[str, Pair]:
    """By name, each chapter of which there is a text or a notebook."""
    texts = {p.stem for p in (root / "book").glob("*.md") if "\njupytext:" in p.read_text(encoding="utf-8")}
    names = texts | {p.stem for p in (root / "notebooks").glob("*.ipynb")}
    return {name: Pair(root / f"book/{name}.md", root / f"notebooks/{name}.ipynb") for name in sorted(names)}


def cells(path: Path, content: str | None = None) -> Cells:
    """The cells of a text or notebook, or of `content` as it stood there once.

    Raises:
        ValueError: it is not a notebook, such as a file that was only half saved.
    """
    content = path.read_text(encoding="utf-8") if content is None else content
    try:
        notebook = jupytext.reads(content, fmt="ipynb" if path.suffix == ".ipynb" else "md:myst")
    except Exception as error:  # from json, yaml or nbformat
        raise ValueError(f"{path}: expected a notebook or a chapter's text, and could not read it: {error}") from error
    return [(cell.cell_type, cell.source, sorted(cell.metadata.get("tags", []))) for cell in notebook.cells]


def digest(content: Cells) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def synced(root: Path) -> dict[str, str]:
    """By name, the digest of what both files said when `sync` last made them the same."""
    record = root / "_build/pairs.json"
    return json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}


def edited(path: Path) -> bool:
    """Whether a file says something else than when it was last synced, and than in the last commit, if that has it."""
    if digest(cells(path)) == synced(path.parents[1]).get(path.stem):
        return False
    try:
        found = subprocess.run(["git", "show", f"HEAD:./{path.name}"], cwd=path.parent, capture_output=True)
    except FileNotFoundError:  # no git
        return True
    return found.returncode != 0 or cells(path, found.stdout.decode("utf-8")) != cells(path)


def faults(root: Path = ROOT) -> list[str]:
    """A line for each chapter of which the text and the notebook differ, or one of them is missing."""
    found = []
    for name, (text, notebook) in pairs(root).items():
        if not notebook.exists():
            found.append(f"book/{name}.md has no notebook: run `make sync`")
        elif not text.exists():
            found.append(f"notebooks/{name}.ipynb has no text book/{name}.md: run `make sync`, or delete it")
        elif (ours := cells(text)) != (theirs := cells(notebook)):
            same = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), None)
            at = 1 + (min(len(ours), len(theirs)) if same is None else same)
            found.append(f"notebooks/{name}.ipynb differs from book/{name}.md from cell {at} on: run `make sync`")
    return found


def source(name: str, pair: Pair) -> Path:
    """The one of the two that makes the other. Where neither was edited it is the text.

    Raises:
        ValueError: they differ and both were edited; or the text of a notebook that is not new was deleted.
    """
    text, notebook = pair
    if not text.exists():
        if edited(notebook):
            return notebook
        raise ValueError(
            f"book/{name}.md was deleted, and notebooks/{name}.ipynb is as it was. Delete that too, or "
            f"`git checkout book/{name}.md` brings the text back."
        )
    if not notebook.exists() or cells(text) == cells(notebook) or not edited(notebook):
        return text
    if not edited(text):
        return notebook
    raise ValueError(
        f"book/{name}.md and notebooks/{name}.ipynb differ, and both were edited. To keep the "
        f"notebook: `git checkout book/{name}.md`, or delete that file. To keep the text: the same with the notebook. "
        "Then run `make sync` again."
    )


def sync(root: Path = ROOT) -> None:
    """Make the two files of each chapter the same.

    Raises:
        ValueError: with a line for each chapter of which it is not clear which file to take; nothing was written.
    """
    sources, unclear = [], []
    for name, pair in pairs(root).items():
        try:
            sources.append(source(name, pair))
        except ValueError as error:
            unclear.append(str(error))
    if unclear:
        raise ValueError("\n".join(unclear))

    # jupytext takes the newer file, by its time.
    now = max(file.stat().st_mtime for pair in pairs(root).values() for file in pair if file.exists()) + 10
    for path in sources:
        os.utime(path, (now, now))
    run = {"cwd": root, "check": True, "env": os.environ | {"PYTHONUTF8": "1"}}
    subprocess.run([sys.executable, "-m", "jupytext", "--quiet", "--sync", *map(str, sources)], **run)
    notebooks = [str(pair.notebook) for pair in pairs(root).values()]
    strip = [sys.executable, "-m", "nbstripout", "--extra-keys", "metadata.language_info"]
    subprocess.run([*strip, *notebooks], **run)
    for pair in pairs(root).values():  # JupyterLab refuses a text that is older than its notebook and differs
        os.utime(pair.text)
    (root / "_build").mkdir(exist_ok=True)
    record = {name: digest(cells(pair.text)) for name, pair in pairs(root).items()}
    (root / "_build/pairs.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


if __name__ == "__main__":
    try:
        sync()
    except ValueError as error:
        sys.exit(str(error))
