"""The branch that Binder and Colab open: the readers' notebooks, and what Binder makes an environment from.

    python book/branch.py commit          commits _build/readers, as `make book` left it, to the branch
    python book/branch.py push REMOTE     pushes the branch, unless the one there was made from the same commit

The branch is `readers`, or what BOOK_READERS_BRANCH names. It is one commit without a past, for its outputs are
megabytes and change with every execution; so pushing replaces what was there. Nothing is checked out for it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BRANCH = os.environ.get("BOOK_READERS_BRANCH", "readers")
ALONG = ("binder", "nalu", "pyproject.toml", "requirements.txt", "MANIFEST.in", "LICENSE")
README = """\
# Neural arithmetic: the notebooks

Made by `make readers` from commit {commit}: changes belong there. The notebooks, with their outputs, are in
[notebooks/](notebooks), of which [index.ipynb](notebooks/index.ipynb) is the first.
"""


def git(*words: str, cwd: Path | None = None, **environment: str) -> str:
    """What git says, of the checkout unless told. Exits with its own words where it fails."""
    pipes = {"capture_output": True, "encoding": "utf-8"}
    done = subprocess.run(["git", *words], cwd=cwd or ROOT, env=os.environ | environment, **pipes)
    if done.returncode:
        sys.exit(done.stderr.strip())
    return done.stdout.strip()


def commit() -> str:
    """Point the branch at a commit of the edition. Returns its name."""
    from readers import EDITION, STAMP, inputs, install  # need more than the Python that pushes may have

    stamp = EDITION / STAMP
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != inputs():
        sys.exit("the readers' notebooks are not there, or older than what they are made from: run `make book` first")
    if git("status", "--porcelain", "--untracked-files=no"):
        sys.exit("there are changes that are not committed, and the notebooks name the commit that they belong to")
    head = git("rev-parse", "HEAD")
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch, "tree")
        tree.mkdir()
        # An index and a work tree of its own, so that neither of the checkout's is touched.
        own = {
            "GIT_DIR": git("rev-parse", "--absolute-git-dir"),
            "GIT_WORK_TREE": str(tree),
            "GIT_INDEX_FILE": str(Path(scratch, "index")),
        }
        git("checkout", head, "--", *ALONG, cwd=tree, **own)
        (tree / "notebooks").mkdir()
        for notebook in EDITION.glob("*.ipynb"):
            shutil.copy(notebook, tree / "notebooks")
        (tree / "README.md").write_text(README.format(commit=head), encoding="utf-8")
        git("add", "--all", "--force", cwd=tree, **own)
        message = f"Readers' notebooks of {head}\n\nTheir first cell: {install()}"
        new = git("commit-tree", git("write-tree", cwd=tree, **own), "-m", message)
    git("update-ref", f"refs/heads/{BRANCH}", new)
    return new


def push(remote: str) -> str:
    """Replace the branch at a remote. Returns a line that says what was done."""
    if git("ls-remote", remote, f"refs/heads/{BRANCH}"):
        git("fetch", "--quiet", "--depth", "1", remote, f"refs/heads/{BRANCH}")
        there, here = (git("log", "-1", "--format=%B", name) for name in ("FETCH_HEAD", BRANCH))
        if there == here:  # what differs are times; and Binder would have to make its image anew
            return f"{BRANCH} is there already: {there.splitlines()[0]}"
    git("push", "--quiet", "--force", remote, f"refs/heads/{BRANCH}:refs/heads/{BRANCH}")
    return f"{BRANCH} was pushed to {remote}: {git('log', '-1', '--format=%s', BRANCH)}"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["commit"]:
            print(f"branch {BRANCH}: {commit()}")
        case ["push", remote]:
            print(push(remote))
        case _:
            sys.exit(__doc__)
