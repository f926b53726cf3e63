"""Headless browsers, and the site served from this machine."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from execute import ROOT
from filelock import FileLock
from helpers.firefox import Firefox
from helpers.visiting import FRAME, Visit, Visitor
from pdf import DRAWN
from playwright.sync_api import Browser, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--allow-file-access-from-files"]  # as the PDF needs it


def absent(reason: str) -> NoReturn:
    """Skip for want of something that a reader's machine may lack; fail where tests must not be skipped."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if not path:
        absent("Chromium is not installed. On Debian and Ubuntu: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    if not path:
        absent("Firefox is not installed. On Debian: apt-get install firefox-esr")
    with Firefox(path, tmp_path_factory.mktemp("firefox")) as browser:
        yield browser


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The site and the readers' edition, from the executed notebooks; those that are stale are executed first."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # several processes run tests, and one of them builds
        folder = folder.parent
    with FileLock(folder / "site.lock"):
        if not (folder / "site").exists():
            for script in ("execute.py", "publish.py"):
                subprocess.run([sys.executable, str(ROOT / "book" / script)], check=True)
            (folder / "site").touch()


@pytest.fixture(scope="session")
def site(chromium: Browser, built: None) -> Iterator[str]:
    """The address of the site."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(ROOT / "_build/html"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="session")
def axe() -> str:
    """The script that looks for what keeps readers out."""
    script = ROOT / "tests/npm/axe-core/axe.min.js"
    if not script.is_file():
        absent("axe is not here: `make offline` fetches it")
    return script.read_text(encoding="utf-8")


@pytest.fixture
def visit(chromium: Browser, site: str) -> Iterator[Visitor]:
    """`visit(name, width=1280, scheme="light")` opens a page of the site and waits until all of it is there."""
    contexts = []

    def open_page(name: str, width: int = 1280, scheme: str = "light") -> Visit:
        height = 844 if width < 600 else 900
        contexts.append(chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme))
        visit = Visit(contexts[-1].new_page(), site)
        visit.watch()
        visit.page.goto(site + name, wait_until="networkidle")
        if any(visit.is_foreign(failure) for failure in visit.failed):
            absent("The pages take their scripts from a CDN, which cannot be reached here: `make offline` fetches them")
        visit.page.wait_for_function(DRAWN, timeout=60_000)
        if visit.page.locator(".noUi-handle").count():
            visit.page.wait_for_selector(FRAME, timeout=60_000)
        return visit

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the repository without what is built, for tests that write."""
    target = tmp_path / "copy"
    ignore = shutil.ignore_patterns(
        ".venv", ".git", "_build", ".executed*", "lab", "__pycache__", "offline", ".*_cache"
    )
    return shutil.copytree(ROOT, target, ignore=ignore)
