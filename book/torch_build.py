"""Which build of PyTorch pip takes: on Linux the ordinary one brings gigabytes for GPUs, of which the book uses none.

    python book/torch_build.py [PIP]      PIP is `.venv/bin/pip` unless told

Installs the version of requirements.txt from PyTorch's own index of builds for the CPU where that answers, and leaves
it to the ordinary installation otherwise; says in one line which. It has no say where that version is installed
already, where the ordinary build is one for the CPU (anywhere but on Linux), and where pip was told of another index.
It runs before anything is installed, so it needs nothing but Python.
"""

import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

INDEX = "https://download.pytorch.org/whl/cpu"
SECONDS = 3  # in which the index must answer
ROOT = Path(__file__).resolve().parents[1]


def pinned(requirements: str) -> str:
    """The version of torch that a file of requirements names.

    Raises:
        ValueError: it names none.
    """
    if (found := re.search(r"^torch==(\S+)", requirements, re.MULTILINE)) is None:
        raise ValueError("expected a line torch==VERSION in the requirements, got none")
    return found[1]


def answers(index: str, version: str, seconds: float = SECONDS) -> bool:
    """Whether an index says within so many seconds that it has this version."""
    pages: list[str] = []

    def ask() -> None:
        with suppress(OSError, HTTPException), urlopen(f"{index}/torch/", timeout=seconds) as page:
            pages.append(page.read().decode("utf-8", "replace"))

    # On a thread, for nothing else limits how long a name is looked up, or a page drips.
    asking = Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return any(re.search(rf"\btorch-{re.escape(version)}(%2B|[+-])", page) for page in pages)


def installed(pip: str, version: str) -> bool:
    """Whether torch is there in this version, in whatever build."""
    shown = _said([pip, "show", "torch"])
    return re.search(rf"^Version: {re.escape(version)}(\+.*)?\s*$", shown, re.MULTILINE) is not None


def own_index(pip: str) -> bool:
    """Whether the reader has told pip where to take packages from."""
    settings = _said([pip, "config", "list"]).splitlines()
    return any(re.match(r"[^=]*\.(index-url|no-index)=", setting) for setting in settings)


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace").stdout


def choose(pip: str, version: str, index: str = INDEX, seconds: float = SECONDS) -> tuple[str, bool]:
    """A line that tells which build it will be, empty where there is no choice; and whether it is that of the index."""
    if platform.system() != "Linux" or installed(pip, version):
        return "", False
    if own_index(pip):
        return "PyTorch: the build of the index that pip is set to", False
    if answers(index, version, seconds):
        return f"PyTorch: the build for the CPU, from {index}", True
    return f"PyTorch: the ordinary build, which may be one for GPUs, for {index} does not answer", False


def main(pip: str) -> None:
    version = pinned((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    line, from_index = choose(pip, version)
    if line:
        print(line, flush=True)
    if from_index:
        # What torch needs comes with the rest, at the versions of the book.
        command = [pip, "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--index-url", INDEX]
        if subprocess.run([*command, f"torch=={version}"]).returncode:
            print("PyTorch: that did not work; the ordinary build follows", flush=True)


if __name__ == "__main__":
    os.environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    main(sys.argv[1] if len(sys.argv) > 1 else str(ROOT / ".venv/bin/pip"))
