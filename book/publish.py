"""Build the site from the executed notebooks, in a scratch folder, and swap it into _build/html only when it is whole.

Its download buttons lead to the readers' edition of each notebook, which is left in _build/readers, too.

python book/publish.py            prints the path of the index page
python book/publish.py NAME       builds the page of one notebook into _build/chapter, and prints its path
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from execute import alone, checked
from pairs import ROOT
from readers import EDITION, editions, gather

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
        source = gather(scratch)
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
        made = {scratch / "_build/html": site}
        if not only:
            editions(source, scratch, scratch / "readers")
            for notebook in (scratch / "_build/html/_sources/notebooks").glob("*.ipynb"):
                shutil.copy(scratch / "readers" / notebook.name, notebook)
            made[scratch / "readers"] = EDITION
        for new, old in made.items():
            if old.exists():
                old.rename(scratch / f"old-{old.name}")
            new.rename(old)
    return site / (f"notebooks/{only}.html" if only else "index.html")


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # a path may be more than a terminal can show
    try:
        print(publish(checked(sys.argv[1]) if sys.argv[1:] else None))
    except KeyboardInterrupt:
        sys.exit("stopped: the same command builds the site")
