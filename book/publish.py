"""Build the site from the executed notebooks, in a scratch folder, and swap it into _build/html only when it is whole.

python book/publish.py            prints the path of the index page
python book/publish.py NAME       builds the page of one notebook into _build/chapter, and prints its path
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from execute import ROOT, alone, checked

SITE, CHAPTER = ROOT / "_build/html", ROOT / "_build/chapter"
ONE = """format: jb-book
root: notebooks/{name}
chapters: [{{file: book/references}}]
"""


def publish(only: str | None = None) -> Path:
    """Replace _build/html by a new build, or _build/chapter by that of one notebook. Returns the first page.

    Exits with the builder's own words where it fails; of the whole site also where it warns. A notebook alone has links
    to those that are not there.
    """
    site = CHAPTER if only else SITE
    with alone(ROOT / "_build") as scratch:
        source = scratch / "source"
        shutil.copytree(ROOT / "book", source / "book", ignore=shutil.ignore_patterns("tables", "__pycache__", ".*"))
        shutil.copytree(ROOT / ".executed/notebooks", source / "notebooks")
        for file in ("_config.yml", "_toc.yml"):
            shutil.copy(ROOT / file, source)
        if only:
            (source / "_toc.yml").write_text(ONE.format(name=only), encoding="utf-8")
        builder = Path(sys.executable).with_name("jupyter-book")
        command = [str(builder), "build", str(source), "--path-output", str(scratch)]
        result = subprocess.run(
            [*command, "--quiet", *([] if only else ["-W", "--keep-going"])],
            env=os.environ | {"PYTHONUTF8": "1"},  # not all that runs in there names its encoding
            encoding="utf-8",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if result.returncode:
            sys.exit(result.stdout)
        if site.exists():
            site.rename(scratch / "old")
        (scratch / "_build/html").rename(site)
    return site / (f"notebooks/{only}.html" if only else "index.html")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # a path may be more than a terminal can show
    try:
        print(publish(checked(sys.argv[1]) if sys.argv[1:] else None))
    except KeyboardInterrupt:
        sys.exit("stopped: the same command builds the site")
