"""Each notebook is executed once, again only if what it depends on has changed, and a stopped run is taken up."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jupytext
import pytest
from execute import ROOT

pytestmark = pytest.mark.slow

HEADER = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {name: python3, display_name: Python 3, language: python}
---
"""
CHAPTER = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, os.environ["TINY"])
from nalu import VALUE
with open(Path(os.environ["TINY"]) / "log", "a") as log:
    log.write("{name}\\n")
(Path(os.environ["NALU_CLAIMS"]) / "{name}.jsonl").write_text(json.dumps({{"value": VALUE}}) + "\\n")
"""
SCOREBOARD = """
import os
from pathlib import Path
with open(Path(os.environ["TINY"]) / "log", "a") as log:
    log.write("scoreboard\\n")
print("".join(p.read_text() for p in sorted(Path(os.environ["NALU_CLAIMS"]).glob("*.jsonl"))))
"""


class Tiny:
    """A book of two chapters and a scoreboard, with the scripts of this one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("book", "notebooks", "nalu"):
            (root / folder).mkdir()
        for script in ("execute.py", "publish.py", "status.py"):
            shutil.copy(ROOT / "book" / script, root / "book")
        (root / "requirements.txt").write_text("")
        (root / "nalu/__init__.py").write_text("VALUE = 1\n")
        self.write("01-first", CHAPTER.format(name="01-first"))
        self.write("02-second", CHAPTER.format(name="02-second"))
        self.write("scoreboard", SCOREBOARD)

    def write(self, name: str, code: str) -> None:
        """Make a page of one title and one cell, as text and as notebook."""
        text = f"{HEADER}\n# Page {name}\n\n```{{code-cell}} ipython3\n{code.strip()}\n```\n"
        (self.root / f"book/{name}.md").write_text(text)
        jupytext.write(jupytext.reads(text, fmt="md:myst"), self.root / f"notebooks/{name}.ipynb")

    def start(self, script: str = "execute.py") -> subprocess.Popen[str]:
        environment = os.environ | {"TINY": str(self.root)}
        command = [sys.executable, str(self.root / "book" / script)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, env=environment, start_new_session=True, **pipes)

    def run(self, script: str = "execute.py") -> tuple[int, str]:
        """The exit status and the output of a script."""
        process = self.start(script)
        output, _ = process.communicate(timeout=300)
        return process.returncode, output

    def kill_when(self, condition: Callable[[], bool], script: str = "execute.py") -> None:
        """Start a script, and kill it and all that it started as soon as `condition` holds."""
        process = self.start(script)
        while not condition():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def executed(self) -> list[str]:
        """The notebooks that were executed since the last call."""
        log = self.root / "log"
        names = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return names


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return Tiny(tmp_path)


def test_what_is_executed_again_is_what_changed(tiny: Tiny) -> None:
    assert tiny.run()[0] == 0
    assert tiny.executed() == ["01-first", "02-second", "scoreboard"]
    for notebook in (tiny.root / ".executed/notebooks").glob("*.ipynb"):
        assert json.loads(notebook.read_text())["metadata"]["executed"]["seconds"] > 0

    for path in tiny.root.rglob("*.*"):
        if ".executed" not in path.parts:
            path.touch()  # as a checkout may
    assert tiny.run() == (0, "")
    assert tiny.executed() == []

    tiny.write("02-second", CHAPTER.format(name="02-second") + "# the same claims\n")
    assert tiny.run()[0] == 0
    assert tiny.executed() == ["02-second"]

    (tiny.root / "nalu/__init__.py").write_text("VALUE = 2\n")
    assert tiny.run()[0] == 0
    assert tiny.executed() == ["01-first", "02-second", "scoreboard"]
    shown = json.loads((tiny.root / ".executed/notebooks/scoreboard.ipynb").read_text())["cells"][1]["outputs"]
    assert "".join(shown[0]["text"]).count('{"value": 2}') == 2

    for file in ("book/02-second.md", "notebooks/02-second.ipynb"):
        (tiny.root / file).unlink()
    assert tiny.run()[0] == 0
    assert tiny.executed() == ["scoreboard"]
    left = [str(p.relative_to(tiny.root / ".executed")) for p in (tiny.root / ".executed").glob("*/*")]
    made = ["notebooks/01-first.ipynb", "notebooks/scoreboard.ipynb", "stamps/01-first", "stamps/scoreboard"]
    assert sorted(left) == ["claims/01-first.jsonl", *made]


def test_a_failing_notebook_is_shown_and_leaves_no_copy(tiny: Tiny) -> None:
    tiny.write("01-first", "x = 5\nassert x < 3, f'{x} is not less'")
    status, output = tiny.run()
    assert status == 1
    assert "5 is not less" in output and "failed: 01-first" in output
    assert tiny.executed() == ["02-second"]  # the scoreboard waits for all
    assert [p.stem for p in (tiny.root / ".executed/notebooks").iterdir()] == ["02-second"]

    tiny.write("01-first", CHAPTER.format(name="01-first"))
    assert tiny.run()[0] == 0
    assert tiny.executed() == ["01-first", "scoreboard"]


def test_a_killed_run_is_taken_up_where_it_stood(tiny: Tiny) -> None:
    tiny.write("02-second", CHAPTER.format(name="02-second") + "import time; time.sleep(4)\n")
    log = tiny.root / "log"
    tiny.kill_when(lambda: log.exists() and "02-second" in log.read_text())
    assert tiny.executed() == ["01-first", "02-second"]
    assert [p.stem for p in (tiny.root / ".executed/notebooks").iterdir()] == ["01-first"]
    assert tiny.run()[0] == 0
    assert tiny.executed() == ["02-second", "scoreboard"]
    assert not list((tiny.root / ".executed").glob("scratch-*"))


def test_a_notebook_that_differs_from_its_text_is_refused(tiny: Tiny) -> None:
    with open(tiny.root / "book/01-first.md", "a") as text:
        text.write("\nA sentence more.\n")
    status, output = tiny.run()
    assert status == 1
    assert "notebooks/01-first.ipynb differs from book/01-first.md" in output and "make sync" in output
    assert tiny.executed() == []


def test_a_site_is_published_whole_or_not_at_all(tiny: Tiny) -> None:
    config = 'title: Tiny\nauthor: Nobody\nonly_build_toc_files: true\nexecute: {execute_notebooks: "off"}\n'
    (tiny.root / "_config.yml").write_text(config)
    (tiny.root / "_toc.yml").write_text("format: jb-book\nroot: book/index\nchapters: [{file: notebooks/01-first}]\n")
    index, site = tiny.root / "book/index.md", tiny.root / "_build/html"
    index.write_text("# First edition\n")
    shutil.copytree(tiny.root / "notebooks", tiny.root / ".executed/notebooks")

    tiny.kill_when(lambda: bool(list(tiny.root.glob("_build/scratch-*/_build/html"))), "publish.py")
    assert not site.exists()

    status, output = tiny.run("publish.py")
    assert status == 0, output
    assert output.splitlines()[-1] == str(site / "index.html")
    assert "First edition" in (site / "book/index.html").read_text()
    assert (site / "notebooks/01-first.html").exists()
    assert not list((tiny.root / "_build").glob("scratch-*"))

    index.write_text("# Second edition\n\n{ref}`nowhere`\n")  # a warning is an error, and the old site stays
    status, output = tiny.run("publish.py")
    assert status != 0 and "nowhere" in output
    assert "First edition" in (site / "book/index.html").read_text()
