"""Build the site from the executed notebooks, in a scratch folder, and swap it into _build/html only when it is whole.

python book/publish.py                prints the path of the index page
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from execute import ROOT, alone

SITE = ROOT / "_build/html"


def publish() -> None:
    """Replace _build/html by a new build. Exits with the builder's own words where it warns or fails."""
    with alone(ROOT / "_build") as scratch:
        source = scratch / "source"
        shutil.copytree(ROOT / "book", source / "book", ignore=shutil.ignore_patterns("tables", "__pycache__", ".*"))
        shutil.copytree(ROOT / ".executed/notebooks", source / "notebooks")
        for file in ("_config.yml", "_toc.yml"):
            shutil.copy(ROOT / file, source)
        builder = Path(sys.executable).with_name("jupyter-book")
        command = [str(builder), "build", str(source), "--path-output", str(scratch)]
        result = subprocess.run(
            [*command, "--quiet", "-W", "--keep-going"],
            env=os.environ | {"PYTHONUTF8": "1"},  # not all that runs in there names its encoding
            encoding="utf-8",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if result.returncode:
            sys.exit(result.stdout)
        if SITE.exists():
            SITE.rename(scratch / "old")
        (scratch / "_build/html").rename(SITE)


if __name__ == "__main__":
    try:
        publish()
    except KeyboardInterrupt:
        sys.exit("stopped: the same command builds the site")
    print(SITE / "index.html")
