"""Chapters in a real JupyterLab, as readers open them (`make lab`) and as authors do (`make edit`)."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from helpers.visiting import eventually
from pairs import ROOT
from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SETTINGS = {
    # Else a cell that is off screen is not in the page.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
READERS, AUTHORS = ["book/lab.py"], ["-m", "jupyter", "lab"]
MYST = r"\{[a-z][\w:+.-]*\}|[`:]{3}|^\([\w-]+\)=|^:\w+:"  # a role, a directive, a target, an option of a directive


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
            cwd=root, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}/"
    try:
        eventually(lambda: fetch(f"{address}api/status"), "JupyterLab is up", 180)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # what lab.py has started, too, which ends its kernels
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:  # JupyterLab waits for ever for a kernel that was about to start
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


class Notebook:
    """A notebook that is opened in a page, with a kernel that is ready."""

    def __init__(self, page: Page, address: str, path: str) -> None:
        self.page, self.address, self.path = page, address, path
        # In a workspace of its own, or JupyterLab opens what another test has opened, too.
        page.goto(f"{address}lab/workspaces/{Path(path).stem}/tree/{path}")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=120_000)
        self.cells = page.locator(".jp-CodeCell")
        self.outputs = page.locator(".jp-OutputArea-output")
        # A traceback, or a warning.
        self.errors = page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]')
        # Of tqdm: as a widget, or as text where there are no widgets.
        self.bars = page.locator(".jp-Notebook .widget-hprogress:visible").or_(self.outputs.filter(has_text="%|"))
        self.is_ready()

    def kernel(self) -> dict:
        """What the server says of this notebook's kernel."""
        sessions = fetch(f"{self.address}api/sessions")
        return next((session["kernel"] for session in sessions if session["path"] == self.path), {})

    def is_ready(self) -> None:
        def idle() -> bool:
            kernel = self.kernel()
            return kernel.get("execution_state") == "idle" and kernel["connections"] > 0

        eventually(idle, "a kernel is idle and connected", 120)
        self.page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for(state="attached")
        self.page.wait_for_timeout(1000)  # the page learns of it a little later, and until then runs only one cell

    def menu(self, name: str, command: str) -> None:
        self.page.locator(".lm-MenuBar-itemLabel", has_text=re.compile(f"^{name}$")).click()
        self.page.locator(f'.lm-Menu-item[data-command="{command}"]').click()

    def unfold(self) -> None:
        """Show all cells and outputs: what is folded has no number and no error in the page."""
        self.menu("View", "notebook:show-all-cell-code")
        self.menu("View", "notebook:show-all-cell-outputs")

    def counts(self) -> list[int]:
        """The execution count of each code cell; 0 where it has none, is folded, or runs."""
        prompts = self.page.locator(".jp-CodeCell .jp-InputPrompt").all_text_contents()
        return [int(match[1]) if (match := re.match(r"^\[(\d+)\]:?$", text)) else 0 for text in prompts]

    def run_all(self) -> None:
        self.menu("Run", "runmenu:run-all")
        eventually(lambda: min(self.counts()) == 0, "it began", 30)
        eventually(lambda: min(self.counts()) > 0 or self.errors.count(), "every cell ran", 400)
        assert self.errors.all_inner_texts() == []
        numbers = self.counts()
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))

    def begin(self, cell: Locator) -> None:
        cell.locator(".jp-InputPrompt").click()
        self.page.keyboard.press("Control+Enter")

    def run(self, number: int) -> str:
        """Run one cell to its end, and return what it printed."""
        before = self.counts()[number]
        self.begin(self.cells.nth(number))
        eventually(lambda: self.counts()[number] not in (0, before), f"cell {number} ran", 120)
        assert self.errors.all_inner_texts() == []
        return "".join(self.cells.nth(number).locator(".jp-OutputArea-output").all_inner_texts())

    def append(self, number: int, text: str) -> None:
        """Write at the end of a cell."""
        cell = self.cells.nth(number)
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+End")
        self.page.keyboard.insert_text(text)
        eventually(lambda: text in cell.locator(".cm-content").inner_text(), "it is written")

    def restart(self) -> None:
        self.menu("Kernel", "kernelmenu:restart")
        with self.page.expect_response(re.compile("/restart")):
            self.page.locator(".jp-Dialog-button", has_text="Restart").click()
        self.menu("Edit", "editmenu:clear-all")  # and the numbers, for the new kernel's begin at 1 again
        self.is_ready()

    def slider_moves(self) -> None:
        """The first slider of chapter 1."""
        scope = self.page.locator(".widget-vbox", has=self.page.locator(".noUi-handle")).first
        picture, readout = scope.locator(".widget-html img:visible"), scope.locator(".widget-readout")
        picture.wait_for(timeout=60_000)
        assert picture.get_attribute("alt").startswith("test range ±5. ")
        before, read_before = picture.get_attribute("src"), readout.inner_text()
        assert read_before == "±5"
        scope.locator(".noUi-handle").focus()
        self.page.keyboard.press("ArrowRight")
        eventually(lambda: readout.inner_text() != read_before, "the slider moved")
        eventually(lambda: picture.get_attribute("src") != before, "the picture changed")
        assert readout.inner_text() in picture.get_attribute("alt")


@pytest.fixture(scope="module")
def checkout(built: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what `make lab` needs, with the readers' edition."""
    target = tmp_path_factory.mktemp("lab") / "checkout"
    for part in ("book", "notebooks", ".executed/notebooks", "_build/readers"):
        if (ROOT / part).exists():
            shutil.copytree(ROOT / part, target / part)
    for file in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / file, target)
    return target


@pytest.fixture(scope="module")
def lab(checkout: Path, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the readers' JupyterLab, one for all tests."""
    with started(checkout, tmp_path_factory.mktemp("scratch"), READERS) as address:
        yield address


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("chapter", ["01-identity", "08-your-unit"])
def test_a_reader_runs_a_chapter_twice_and_out_of_order(chapter: str, lab: str, checkout: Path, page: Page) -> None:
    notebook = Notebook(page, lab, f"{chapter}.ipynb")
    text = "\n".join(page.locator(".jp-RenderedMarkdown").all_inner_texts())
    assert len(text) > 5_000 and not re.findall(MYST, text, re.MULTILINE)
    tags = [cell.metadata.get("tags", []) for cell in nbformat.read(checkout / f"lab/{chapter}.ipynb", 4).cells]
    hidden = sum(bool({"hide-cell", "hide-input"} & set(tag)) for tag in tags)
    assert page.locator(".jp-InputPlaceholder").count() == hidden > 2
    slides = chapter == "01-identity"
    if slides and (checkout / f".executed/notebooks/{chapter}.ipynb").exists():
        notebook.slider_moves()  # before any cell is run

    notebook.unfold()
    for _ in range(2):
        notebook.run_all()
        assert notebook.bars.count() == 0
    if slides:
        notebook.slider_moves()
        told = page.locator(".live .told").last
        eventually(lambda: told.inner_text().endswith("to the last bit."), "networks train in the notebook, too", 60)

    notebook.restart()
    notebook.begin(notebook.cells.nth(notebook.cells.count() // 2))
    eventually(lambda: notebook.errors.count() == 1, "the cell failed", 60)
    assert "is not known here yet. If a cell further up makes it, run that one first" in notebook.errors.inner_text()


OWN = [
    """\
import threading
from functools import partial
import torch
from nalu import MLP, Recipe, Watch, fit
from nalu.tasks.identity import Identity, integers
x = integers(-5, 5)
def trained(steps, replicas=32):
    models = {"Tanh": partial(MLP, 1, 1, activation="Tanh"), "Mine": Mine}
    return fit(
        models, Identity(), Recipe(lr=1e-2), seeds=range(replicas), steps=steps, watch=Watch({"error": (x, x)})
    )""",
    """\
def bent(x):
    return x + 1""",
    """\
class Mine(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.full((1,), 0.5))
    def forward(self, x):
        return self.w * bent(x)""",
    "trained(2_000_000, replicas=64)",
    """\
run = trained(500)
sums = [float(group.error.sum()).hex() for group in run.groups().values()]
left = [thread.name for thread in threading.enumerate() if thread.name.startswith("ThreadPool")]
print(*sums, *run.engines.values(), *left)""",
]
IMPORTS, FUNCTION, UNIT, LONG, TRAIN = range(5)


def of_a_readers(cells: list[str], path: Path) -> None:
    """Write a notebook that is none of the book's."""
    made = [nbformat.v4.new_code_cell(source) for source in cells]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=kernel), path)


@pytest.fixture
def own(checkout: Path, lab: str, page: Page) -> Notebook:
    """A reader's own notebook, with a unit that is not the book's."""
    of_a_readers(OWN, checkout / "lab/own.ipynb")
    notebook = Notebook(page, lab, "own.ipynb")
    for number in (IMPORTS, FUNCTION, UNIT):
        notebook.run(number)
    return notebook


def test_a_stopped_training_leaves_nothing_behind_and_a_changed_unit_is_trained_as_it_is_now(own: Notebook) -> None:
    undisturbed = own.run(TRAIN)
    assert undisturbed.count("0x1.") == 2 and undisturbed.count("native") == 2

    long = own.cells.nth(LONG)
    own.begin(long)
    own.bars.first.wait_for()  # it trains
    own.page.wait_for_timeout(1000)
    own.menu("Kernel", "kernelmenu:interrupt")
    eventually(lambda: "KeyboardInterrupt" in long.inner_text(), "the training stopped", 30)
    eventually(lambda: own.kernel()["execution_state"] == "idle", "the kernel is idle")
    assert own.bars.count() == 0
    long.locator(".jp-InputPrompt").click()
    own.menu("Edit", "editmenu:clear-current")  # of its error, so that another is seen
    assert own.run(TRAIN) == undisturbed  # with no thread left

    results = [undisturbed]
    for number, change in ((UNIT, " + 1"), (FUNCTION, " + x")):
        own.append(number, change)
        own.run(number)
        results.append(own.run(TRAIN))
    assert len(set(results)) == 3
    own.restart()
    for number in (IMPORTS, FUNCTION, UNIT):
        own.run(number)
    assert own.run(TRAIN) == results[-1]


LIVE = [
    """\
from functools import partial
from nalu import MLP, Recipe, fit
from nalu.live.programs import digest
from nalu.live.retrain import Retrain, lanes_of
from nalu.tasks.identity import Identity
models, recipe = {"Tanh": partial(MLP, 1, 1, activation="Tanh")}, Recipe(lr=1e-2)
run = fit(models, Identity(), recipe, seeds=range(3), steps=200)
retrain = Retrain(models, recipe, run, steps=200)
retrain""",
    "print(retrain.settings['high'], digest(lanes_of(retrain.networks)))",
]


def test_python_reads_what_the_hand_has_trained_which_goes_on_without_a_kernel(
    lab: str, checkout: Path, page: Page
) -> None:
    of_a_readers(LIVE, checkout / "lab/live.ipynb")
    notebook = Notebook(page, lab, "live.ipynb")
    notebook.run(0)
    live = page.locator(".live")
    eventually(lambda: live.locator(".told").inner_text().endswith("to the last bit."), "it trains", 60)
    books = live.get_attribute("data-digest")
    assert notebook.run(1).split() == ["5", books]

    def move() -> str:
        before = live.get_attribute("data-digest")
        live.get_by_role("slider", name="to", exact=True).press("ArrowRight")
        eventually(lambda: live.get_attribute("data-digest") != before, "it trains on another range")
        return live.get_attribute("data-digest")

    assert notebook.run(1).split() == ["5", books]
    found = move()
    assert found != books and notebook.run(1).split() == ["6", found]

    notebook.menu("Kernel", "kernelmenu:shutdown")
    eventually(lambda: not notebook.kernel(), "the kernel is gone", 30)
    assert move() not in (found, books)


def test_an_authors_edit_reaches_the_text(copy: Path, tmp_path: Path, page: Page) -> None:
    text = copy / "book/01-identity.md"
    original, edit = text.read_text(encoding="utf-8"), " An author was here."
    with started(copy, tmp_path, AUTHORS) as address:
        Notebook(page, address, "notebooks/01-identity.ipynb")
        cell = page.locator(".jp-MarkdownCell").first
        cell.locator(".jp-RenderedMarkdown").dblclick()
        cell.locator(".cm-content").click()  # opening the editor puts the cursor somewhere, a little later
        page.keyboard.press("Control+End")
        page.keyboard.insert_text(edit)
        page.keyboard.press("Control+s")
        eventually(lambda: edit in text.read_text(encoding="utf-8"), "the edit is in the text", 30)
    assert text.read_text(encoding="utf-8").replace(edit, "", 1) == original
