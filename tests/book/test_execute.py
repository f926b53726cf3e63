"""Each notebook is executed once, again only if what it depends on has changed, and a stopped run is taken up."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import ANY

import jupytext
import pytest
from execute import ROOT, alone
from filelock import FileLock, Timeout

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
print("".join(p.read_text(encoding="utf-8") for p in sorted(Path(os.environ["NALU_CLAIMS"]).glob("*.jsonl"))))
"""


class Tiny:
    """A book of two chapters and a scoreboard, with the scripts of this one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {"TINY": str(root)}
        for folder in ("book", "notebooks", "nalu"):
            (root / folder).mkdir()
        for script in ("pairs.py", "execute.py", "status.py", "readers.py", "publish.py"):
            shutil.copy(ROOT / "book" / script, root / "book")
        (root / "requirements.txt").write_text("", encoding="utf-8")
        (root / "nalu/__init__.py").write_text("VALUE = 1\n", encoding="utf-8")
        self.write("01-first", CHAPTER.format(name="01-first"))
        self.write("02-second", CHAPTER.format(name="02-second"))
        self.write("scoreboard", SCOREBOARD)

    def write(self, name: str, code: str) -> None:
        """Make a page of one title and one cell, as text and as notebook."""
        text = f"{HEADER}\n# Page {name}\n\n```{{code-cell}} ipython3\n{code.strip()}\n```\n"
        (self.root / f"book/{name}.md").write_text(text, encoding="utf-8")
        notebook = jupytext.reads(text, fmt="md:myst")
        notebook.metadata.language_info = {"name": "python", "pygments_lexer": "ipython3"}  # as after an execution
        jupytext.write(notebook, self.root / f"notebooks/{name}.ipynb")

    def make_publishable(self) -> None:
        """Add what a site needs, but for its index page."""
        config = 'title: Tiny\nauthor: Nobody\nonly_build_toc_files: true\nexecute: {execute_notebooks: "off"}\n'
        config += "sphinx: {extra_extensions: [sphinx_tojupyter], config: {tojupyter_lang_synonyms: [ipython3]}}\n"
        (self.root / "_config.yml").write_text(config, encoding="utf-8")
        (self.root / "_toc.yml").write_text(
            "format: jb-book\nroot: book/index\nchapters: [{file: notebooks/01-first}]\n", encoding="utf-8"
        )

    def start(self, script: str = "execute.py", *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(self.root / "book" / script), *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
        return subprocess.Popen(command, env=os.environ | self.environment, start_new_session=True, **pipes)

    def run(self, script: str = "execute.py", *arguments: str) -> tuple[int, str]:
        """The exit status and the output of a script."""
        process = self.start(script, *arguments)
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
        names = log.read_text(encoding="utf-8").split() if log.exists() else []
        log.unlink(missing_ok=True)
        return names


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return Tiny(tmp_path)


def test_what_is_executed_again_is_what_changed(tiny: Tiny) -> None:
    assert tiny.run()[0] == 0
    assert tiny.executed() == ["01-first", "02-second", "scoreboard"]
    for notebook in (tiny.root / ".executed/notebooks").glob("*.ipynb"):
        assert json.loads(notebook.read_text(encoding="utf-8"))["metadata"]["executed"]["seconds"] > 0

    for path in tiny.root.rglob("*.*"):
        if ".executed" not in path.parts:
            path.touch()  # as a checkout may
    assert tiny.run() == (0, "")
    assert tiny.executed() == []

    tiny.write("02-second", CHAPTER.format(name="02-second") + "# the same claims\n")
    assert tiny.run()[0] == 0
    assert tiny.executed() == ["02-second"]

    (tiny.root / "nalu/__init__.py").write_text("VALUE = 2\n", encoding="utf-8")
    assert tiny.run()[0] == 0
    assert tiny.executed() == ["01-first", "02-second", "scoreboard"]
    shown = json.loads((tiny.root / ".executed/notebooks/scoreboard.ipynb").read_text(encoding="utf-8"))["cells"][1][
        "outputs"
    ]
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
    tiny.kill_when(lambda: log.exists() and "02-second" in log.read_text(encoding="utf-8"))
    assert tiny.executed() == ["01-first", "02-second"]
    assert [p.stem for p in (tiny.root / ".executed/notebooks").iterdir()] == ["01-first"]
    assert tiny.run()[0] == 0
    assert tiny.executed() == ["02-second", "scoreboard"]
    assert not list((tiny.root / ".executed").glob("scratch-*"))


def test_a_notebook_that_differs_from_its_text_is_refused(tiny: Tiny) -> None:
    with open(tiny.root / "book/01-first.md", "a", encoding="utf-8") as text:
        text.write("\nA sentence more.\n")
    status, output = tiny.run()
    assert status == 1
    assert "notebooks/01-first.ipynb differs from book/01-first.md" in output and "make sync" in output
    assert tiny.executed() == []


def test_a_site_is_published_whole_or_not_at_all(tiny: Tiny) -> None:
    tiny.make_publishable()
    index, site = tiny.root / "book/index.md", tiny.root / "_build/html"
    index.write_text("# First edition\n", encoding="utf-8")
    shutil.copytree(tiny.root / "notebooks", tiny.root / ".executed/notebooks")

    tiny.kill_when(lambda: bool(list(tiny.root.glob("_build/scratch-*/_build/html"))), "publish.py")
    assert not site.exists()

    status, output = tiny.run("publish.py")
    assert status == 0, output
    assert output.splitlines()[-1] == str(site / "index.html")
    assert "First edition" in (site / "book/index.html").read_text(encoding="utf-8")
    assert (site / "notebooks/01-first.html").exists()
    assert (site / "_sources/notebooks/01-first.ipynb").read_text(encoding="utf-8").count("%load_ext nalu.book") == 1
    assert not list((tiny.root / "_build").glob("scratch-*"))

    index.write_text(
        "# Second edition\n\n{ref}`nowhere`\n", encoding="utf-8"
    )  # a warning is an error, and the old site stays
    status, output = tiny.run("publish.py")
    assert status != 0 and "nowhere" in output
    assert "First edition" in (site / "book/index.html").read_text(encoding="utf-8")


def test_a_chapter_alone_is_executed_and_published_beside_the_site(tiny: Tiny) -> None:
    tiny.make_publishable()
    tiny.write("02-second", CHAPTER.format(name="02-second") + "# [first](01-first.ipynb)\n")
    (tiny.root / "book/references.md").write_text("# References\n", encoding="utf-8")
    (tiny.root / "_build/html").mkdir(parents=True)
    for _ in range(2):
        assert tiny.run("execute.py", ".executed", "02-second")[0] == 0
        status, output = tiny.run("publish.py", "02-second")
        page = tiny.root / "_build/chapter/notebooks/02-second.html"
        assert (status, output.splitlines()[-1]) == (0, str(page)) and "Page 02-second" in page.read_text("utf-8")
    assert tiny.executed() == ["02-second"]
    assert not list((tiny.root / "_build/html").iterdir()) and not list((tiny.root / "_build").glob("scratch-*"))

    for arguments in (("execute.py", ".executed", "2"), ("execute.py", ".executed", ""), ("publish.py", "2")):
        status, output = tiny.run(*arguments)
        assert status == 1
        assert output == f"NAME: expected one of 01-first, 02-second, scoreboard, got {arguments[-1]!r}\n"


PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOME": "/proc/nowhere"}
"""A system that knows no encoding but ASCII, and a home folder that not even root can make."""


def test_any_path_and_encoding_and_home_will_do(tmp_path: Path) -> None:
    (tmp_path / "mein Büro").mkdir()
    tiny = Tiny(tmp_path / "mein Büro")
    tiny.environment |= PLAIN | {"TINY": str(tiny.root)}
    tiny.make_publishable()
    (tiny.root / "book/index.md").write_text("# Äußeres ✓\n", encoding="utf-8")
    tiny.write("01-first", "import matplotlib.pyplot\n" + CHAPTER.format(name="01-first") + "print('✓ Größe')")
    tiny.write("02-second", "assert False, '✗ zu groß'")
    status, output = tiny.run()
    assert status == 1 and "failed: 02-second" in output and "zu gro" in output
    executed = (tiny.root / ".executed/notebooks/01-first.ipynb").read_text(encoding="utf-8")
    assert "✓ Größe" in executed and '"stderr"' not in executed
    status, output = tiny.run("publish.py")
    assert status == 0, output
    assert "Äußeres ✓" in (tiny.root / "_build/html/book/index.html").read_text(encoding="utf-8")
    assert "✓ Größe" in (tiny.root / "_build/html/notebooks/01-first.html").read_text(encoding="utf-8")


def test_this_environments_kernel_runs_whatever_lies_in_the_home_folder(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path)
    kernel = tmp_path / "data/kernels/python3"
    kernel.mkdir(parents=True)
    spec = {"argv": ["no-such-python", "{connection_file}"], "display_name": "Another", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    tiny.environment |= {"JUPYTER_DATA_DIR": str(tmp_path / "data"), "JUPYTER_PREFER_ENV_PATH": "0"}
    assert tiny.run() == (0, ANY) and tiny.executed() == ["01-first", "02-second", "scoreboard"]


def test_a_folder_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some network drives are."""

    def refuse(lock: FileLock, *_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    message = rf"cannot lock the folder {tmp_path} \(No locks available\).* move the checkout"
    with pytest.raises(SystemExit, match=message), alone(tmp_path):
        pass


def test_a_folder_is_one_execution_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with alone(tmp_path), pytest.raises(Timeout):
        FileLock(tmp_path / ".lock", timeout=0).acquire()
    FileLock(tmp_path / ".lock", timeout=0).acquire().lock.release()
