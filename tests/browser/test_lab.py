"""Chapters in a real JupyterLab, as readers open them (`make lab`) and as authors do (`make edit`)."""

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from helpers.visiting import eventually
from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SETTINGS = {
    # Else a cell that is off screen is not in the page.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
READERS, AUTHORS = ["book/lab.py"], ["-m", "jupyter", "lab"]


def fetch(address: str) -> list | dict:
    with urllib.request.urlopen(address, timeout=5) as response:
        return json.load(response)


@contextmanager
def started(root: Path, scratch: Path, command: list[str]) -> Iterator[str]:
    """The address of a JupyterLab in `root`, with settings and a home of its own, at the fast scale."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, values in SETTINGS.items():
        file = scratch / f"settings/@jupyterlab/{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")
    # Another project's kernel, of the same name, in the home folder: it must not be the one that is taken.
    other = scratch / "data/kernels/python3/kernel.json"
    other.parent.mkdir(parents=True)
    argv = [sys.executable, "-c", "raise SystemExit('the kernel of another project')", "{connection_file}"]
    other.write_text(json.dumps({"argv": argv, "display_name": "Other", "language": "python"}), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if key not in ("NALU_CLAIMS", "TQDM_DISABLE")}
    environment |= {"NALU_SCALE": "fast", "OMP_NUM_THREADS": "1"}
    environment |= {f"JUPYTER_{name.upper()}_DIR": str(scratch / name) for name in ("config", "runtime", "data")}
    environment |= {f"JUPYTERLAB_{name.upper()}_DIR": str(scratch / name) for name in ("workspaces", "settings")}
    environment |= {"JUPYTER_PREFER_ENV_PATH": "1"} if command == AUTHORS else {}  # as in the Makefile
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    with open(scratch / "lab.log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(
            [sys.executable, *command, *options, "--IdentityProvider.token="],
            cwd=root, env=environment, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}/"
    try:
        eventually(lambda: fetch(f"{address}api/status"), "JupyterLab is up", 120)
        yield address
    finally:
        server.terminate()
        server.wait(20)


class Notebook:
    """A notebook that is opened in a page, with a kernel that is ready."""

    def __init__(self, page: Page, address: str, path: str) -> None:
        self.page, self.address = page, address
        page.goto(f"{address}lab/tree/{path}")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
        self.cells = page.locator(".jp-CodeCell")
        self.errors = page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]')
        self.is_ready()

    def is_ready(self) -> None:
        def idle() -> bool:
            kernels = fetch(f"{self.address}api/kernels")
            return len(kernels) == 1 and kernels[0]["execution_state"] == "idle" and kernels[0]["connections"] > 0

        eventually(idle, "a kernel is idle and connected", 60)
        self.page.wait_for_timeout(1000)  # the page learns of it a little later, and until then runs only one cell

    def menu(self, name: str, command: str) -> None:
        self.page.locator(".lm-MenuBar-itemLabel", has_text=re.compile(f"^{name}$")).click()
        self.page.locator(f'.lm-Menu-item[data-command="{command}"]').click()

    def counts(self) -> list[int]:
        """The execution count of each code cell; 0 where it has none, or runs."""
        prompts = self.page.locator(".jp-CodeCell .jp-InputPrompt").all_text_contents()  # of folded cells, too
        return [int(match[1]) if (match := re.match(r"^\[(\d+)\]:?$", text)) else 0 for text in prompts]

    def run_all(self) -> None:
        before = max(self.counts())
        self.menu("Run", "runmenu:run-all")
        eventually(lambda: min(self.counts()) > before or self.errors.count(), "every cell ran", 300)

    def run(self, cell: Locator) -> None:
        """Run one cell, and don't wait for it."""
        cell.locator(".jp-InputPrompt").click()
        self.page.keyboard.press("Control+Enter")

    def restart(self) -> None:
        self.menu("Kernel", "kernelmenu:restart")
        self.page.locator(".jp-Dialog-button", has_text="Restart").click()
        self.page.wait_for_timeout(2000)
        self.is_ready()


Opener = Callable[[list[str], str], Notebook]


@pytest.fixture
def opened(chromium: Browser, copy: Path, tmp_path: Path) -> Iterator[Opener]:
    """`opened(command, path)` starts JupyterLab in a copy of the repository and opens a notebook there."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    labs = []

    def open_notebook(command: list[str], path: str) -> Notebook:
        labs.append(started(copy, tmp_path, command))
        return Notebook(context.new_page(), labs[-1].__enter__(), path)

    yield open_notebook
    context.close()
    for lab in labs:
        lab.__exit__(None, None, None)


def slider_moves(page: Page) -> None:
    scope = page.locator(".widget-vbox", has=page.locator(".noUi-handle")).first
    picture, readout = scope.locator(".widget-html img:visible"), scope.locator(".widget-readout")
    picture.wait_for()
    assert readout.inner_text() in picture.get_attribute("alt")
    assert picture.get_attribute("alt").startswith("test range ±5. ")
    before, read_before = picture.screenshot(), readout.inner_text()
    scope.locator(".noUi-handle").focus()
    page.keyboard.press("ArrowRight")
    eventually(lambda: readout.inner_text() != read_before, "the slider moved")
    eventually(lambda: picture.screenshot() != before, "the picture changed")


@pytest.mark.parametrize("chapter", ["01-identity", "08-your-unit"])
def test_a_reader_runs_a_chapter_twice_and_out_of_order(chapter: str, opened: Opener) -> None:
    notebook = opened(READERS, f"{chapter}.ipynb")
    text = " ".join(notebook.page.locator(".jp-RenderedMarkdown").all_inner_texts())
    assert not re.search(r"\{[a-z:]+\}|\{glue|:name:", text)
    folded = notebook.page.locator(".jp-InputPlaceholder, .jp-Placeholder").count()
    assert folded > 3

    for _ in range(2):
        notebook.run_all()
        assert notebook.errors.all_inner_texts() == []
        assert notebook.page.locator(".jp-OutputArea-output progress:visible, [role=progressbar]:visible").count() == 0
        assert "%|" not in " ".join(notebook.page.locator(".jp-OutputArea-output").all_inner_texts())
    slider_moves(notebook.page)

    notebook.restart()
    notebook.run(notebook.cells.nth(notebook.cells.count() // 2))
    eventually(lambda: notebook.errors.count() == 1, "the cell failed", 30)
    assert "is not known here yet. If a cell further up makes it, run that one first" in notebook.errors.inner_text()


OWN = [
    "from functools import partial\nfrom nalu import MLP, Recipe, Watch, fit\n"
    "from nalu.tasks.identity import Identity, integers\nx = integers(-5, 5)\n"
    "def trained(steps):\n"
    "    models = {'Tanh': partial(MLP, 1, 1, activation='Tanh')}\n"
    "    return fit(models, Identity(), Recipe(lr=1e-2), seeds=range(32), steps=steps, watch=Watch({'train': (x, x)}))",
    "trained(2_000_000_000)",
    "import os\n"
    "tasks = len(os.listdir('/proc/self/task')) if os.path.exists('/proc') else 0\n"
    "run = trained(500)\nprint('after', run.last.train.sum().hex(), flush=True)",
]


def test_a_stopped_training_leaves_nothing_behind(opened: Opener, copy: Path) -> None:
    (copy / "lab").mkdir()
    cells = [nbformat.v4.new_code_cell(source) for source in OWN]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), copy / "lab/own.ipynb")
    notebook = opened(READERS, "own.ipynb")
    first, endless, after = (notebook.cells.nth(i) for i in range(3))

    notebook.run(first)
    notebook.run(after)
    eventually(lambda: "after" in after.inner_text(), "the undisturbed run ended", 60)
    undisturbed = after.locator(".jp-OutputArea-output").inner_text()
    notebook.run(endless)
    bar = endless.locator(".jp-OutputArea-output").first
    bar.wait_for(timeout=30_000)  # it trains
    notebook.page.wait_for_timeout(1000)
    notebook.menu("Kernel", "kernelmenu:interrupt")
    eventually(lambda: "KeyboardInterrupt" in endless.inner_text(), "the training stopped", 20)
    (kernel,) = fetch(f"{notebook.address}api/kernels")
    assert kernel["execution_state"] == "idle"
    assert endless.locator("[role=progressbar]:visible, progress:visible").count() == 0

    notebook.run(after)
    eventually(lambda: notebook.counts()[2] > notebook.counts()[1] > 0, "the next run ended", 60)
    assert after.locator(".jp-OutputArea-output").inner_text() == undisturbed


def test_an_authors_edit_reaches_the_text(opened: Opener, copy: Path) -> None:
    notebook = opened(AUTHORS, "notebooks/01-identity.ipynb")
    text = copy / "book/01-identity.md"
    original, edit = text.read_text(encoding="utf-8"), " An author was here."
    cell = notebook.page.locator(".jp-MarkdownCell").first
    cell.locator(".jp-RenderedMarkdown").dblclick()
    cell.locator(".cm-content").click()  # opening the editor puts the cursor somewhere, a little later
    notebook.page.keyboard.press("Control+End")
    notebook.page.keyboard.insert_text(edit)
    notebook.page.keyboard.press("Control+s")
    eventually(lambda: edit in text.read_text(encoding="utf-8"), "the edit is in the text", 20)
    assert text.read_text(encoding="utf-8").replace(edit, "", 1) == original
