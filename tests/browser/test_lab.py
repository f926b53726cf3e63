"""A chapter in a real JupyterLab: it runs, its slider moves, and an edit reaches its text."""

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.visiting import eventually
from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SETTINGS = {
    # Else a cell that is off screen is not in the page.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


def fetch(address: str) -> list | dict:
    with urllib.request.urlopen(address, timeout=5) as response:
        return json.load(response)


@pytest.fixture
def lab(copy: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a JupyterLab over a copy of the repository, with settings of its own, at the fast scale."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, values in SETTINGS.items():
        file = tmp_path / f"settings/@jupyterlab/{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if key != "NALU_CLAIMS"}
    environment |= {"NALU_SCALE": "fast", "OMP_NUM_THREADS": "1", "JUPYTER_PREFER_ENV_PATH": "1"}
    environment |= {f"JUPYTER_{name.upper()}_DIR": str(tmp_path / name) for name in ("config", "runtime")}
    environment |= {f"JUPYTERLAB_{name.upper()}_DIR": str(tmp_path / name) for name in ("workspaces", "settings")}
    command = [
        sys.executable,
        "-m",
        "jupyter",
        "lab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
    ]
    command += ["--ServerApp.port_retries=0", "--IdentityProvider.token=", f"--ServerApp.root_dir={copy}"]
    with open(tmp_path / "lab.log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(command, cwd=copy, env=environment, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}/"
    try:
        eventually(lambda: fetch(f"{address}api/status"), "JupyterLab is up", 60)
        yield address
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    yield context.new_page()
    context.close()


def test_chapter_one_runs_its_slider_moves_and_an_edit_reaches_the_text(lab: str, copy: Path, page: Page) -> None:
    page.goto(f"{lab}lab/tree/notebooks/01-identity.ipynb")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)

    def ready() -> bool:
        kernels = fetch(f"{lab}api/kernels")
        return len(kernels) == 1 and kernels[0]["execution_state"] == "idle" and kernels[0]["connections"] > 0

    eventually(ready, "a kernel is idle and connected", 60)
    page.wait_for_timeout(1000)  # the page learns of it a little later, and until then runs only the first cell

    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
    page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
    numbered = re.compile(r"^\[\d+\]:?$")
    eventually(lambda: all(numbered.match(text) for text in prompts.all_inner_texts()), "every cell ran", 300)
    assert page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]').all_inner_texts() == []

    scope = page.locator(".widget-vbox", has=page.locator(".noUi-handle")).first
    picture, readout = scope.locator(".widget-html img:visible"), scope.locator(".widget-readout")
    picture.wait_for()
    assert picture.get_attribute("alt").startswith("test range ±5. ")
    before, read_before = picture.screenshot(), readout.inner_text()
    scope.locator(".noUi-handle").focus()
    page.keyboard.press("ArrowRight")
    eventually(lambda: readout.inner_text() != read_before, "the slider moved")
    eventually(lambda: picture.screenshot() != before, "the picture changed")

    text = copy / "book/01-identity.md"
    original, edit = text.read_text(encoding="utf-8"), " A reader was here."
    cell = page.locator(".jp-MarkdownCell").first
    cell.locator(".jp-RenderedMarkdown").dblclick()
    cell.locator(".cm-content").click()  # opening the editor puts the cursor somewhere, a little later
    page.keyboard.press("Control+End")
    page.keyboard.insert_text(edit)
    page.keyboard.press("Control+s")
    eventually(lambda: edit in text.read_text(encoding="utf-8"), "the edit is in the text", 20)
    assert text.read_text(encoding="utf-8").replace(edit, "", 1) == original
