"""Build the site from the executed notebooks, in a scratch folder, and swap it into _build/html only when it is whole.

Its download buttons lead to the readers' edition of each notebook, which is left in _build/readers, too.

python book/publish.py                prints the path of the index page
"""

import shutil
import subprocess
import sys
from pathlib import Path

from execute import alone
from pairs import ROOT
from readers import EDITION, editions, gather

SITE = ROOT / "_build/html"


def publish() -> None:
    """Replace _build/html by a new build. Exits with the builder's own words where it warns or fails."""
    with alone(ROOT / "_build") as scratch:
        source = gather(scratch)
        builder = Path(sys.executable).with_name("jupyter-book")
        command = [str(builder), "build", str(source), "--path-output", str(scratch)]
        result = subprocess.run(
            [*command, "--quiet", "-W", "--keep-going"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if result.returncode:
            sys.exit(result.stdout)
        editions(source, scratch, scratch / "readers")
        for notebook in (scratch / "_build/html/_sources/notebooks").glob("*.ipynb"):
            shutil.copy(scratch / "readers" / notebook.name, notebook)
        for new, old in ((scratch / "readers", EDITION), (scratch / "_build/html", SITE)):
            if old.exists():
                old.rename(scratch / f"old-{old.name}")
            new.rename(old)


if __name__ == "__main__":
    try:
        publish()
    except KeyboardInterrupt:
        sys.exit("stopped: the same command builds the site")
    print(SITE / "index.html")
