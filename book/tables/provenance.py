"""Tables that took long to make, with how they were made."""

import hashlib
import json
import os
import platform
import subprocess
import time
from pathlib import Path

import pandas as pd
import torch

from nalu.book.tables import DIGITS, FOLDER

HERE = Path(__file__).parent


def write(table: pd.DataFrame, name: str) -> None:
    """Store a table in `nalu/book/results`, in one step, behind a line that tells where its numbers come from."""
    made = {
        "command": "make paper",
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
    }
    path = FOLDER / f"{name}.csv"
    draft = path.with_suffix(".draft")
    rows = table.to_csv(index=False, float_format=f"%{DIGITS}", lineterminator="\n")
    draft.write_text(f"# {json.dumps(made)}\n{rows}", encoding="utf-8", newline="\n")
    os.replace(draft, path)


def _commit() -> str:
    """The commit that is checked out, with a + behind it where the package differs from it."""
    code = ["../../nalu", ":(exclude)../../nalu/book/results"]
    try:
        commit, changes = (
            subprocess.run(
                ["git", *command], cwd=HERE, capture_output=True, encoding="utf-8", check=True
            ).stdout.strip()
            for command in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--", *code])
        )
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return "unknown"
    return commit + ("+" if changes else "")


def version() -> str:
    """What the package's code is, as a number: results of other code are not mixed with those of this one."""
    digest = hashlib.sha256(torch.__version__.encode())
    for path in sorted((HERE.parents[1] / "nalu").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
