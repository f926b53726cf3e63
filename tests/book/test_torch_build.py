"""`make setup` takes PyTorch's build for the CPU where it can, waits for nobody, and says which build it is."""

import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
import torch_build

ROOT = Path(__file__).parents[2]
PAGE = '<a href="torch-2.13.0%2Bcpu-cp311-cp311-manylinux_2_28_x86_64.whl">torch</a>'


@pytest.fixture
def index() -> Iterator[tuple[str, Event]]:
    """An index with one version, as its address, and what lets it answer."""
    ready = Event()
    ready.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ready.wait(60)
            self.send_response(200 if self.path == "/whl/cpu/torch/" else 404)
            self.end_headers()
            self.wfile.write(PAGE.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/whl/cpu", ready
        ready.set()
        server.shutdown()


class Pip:
    """A stand-in for pip, which says what it was told to say, and notes how it was called."""

    def __init__(self, folder: Path, shown: str = "", settings: str = "", fails: bool = False) -> None:
        self.path, self.calls = folder / "pip", folder / "calls"
        answers = f"case $1 in show) echo '{shown}';; config) echo \"{settings}\";; *) exit {int(fails)};; esac"
        self.path.write_text(f"#!/bin/sh\necho \"$@\" >> '{self.calls}'\n{answers}\n", encoding="utf-8")
        self.path.chmod(0o700)

    def installed(self) -> list[str]:
        return [line for line in self.calls.read_text(encoding="utf-8").splitlines() if line.startswith("install")]


@pytest.fixture(autouse=True)
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.name != "posix":
        pytest.skip("needs scripts of a shell")
    monkeypatch.setattr(torch_build.platform, "system", lambda: "Linux")
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_the_index_that_answers_is_taken(index: tuple, tmp_path: Path) -> None:
    line, chosen = torch_build.choose(str(Pip(tmp_path).path), "2.13.0", index[0])
    assert chosen and line == f"PyTorch: the build for the CPU, from {index[0]}"


@pytest.mark.parametrize("version", ["2.13", "2.13.0.1", "12.13.0"])
def test_an_index_without_the_version_is_not(version: str, index: tuple, tmp_path: Path) -> None:
    assert not torch_build.choose(str(Pip(tmp_path).path), version, index[0])[1]


def test_nobody_waits_for_an_index_that_says_nothing(index: tuple, tmp_path: Path) -> None:
    index[1].clear()
    line, chosen = torch_build.choose(str(Pip(tmp_path).path), "2.13.0", index[0], seconds=0.2)
    assert (
        not chosen and line == f"PyTorch: the ordinary build, which may be one for GPUs, for {index[0]} does not answer"
    )
    assert not index[1].is_set()


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://no-such-host.invalid"])
def test_no_index_is_no_error(address: str) -> None:
    assert not torch_build.answers(address, "2.13.0")


def test_a_setting_of_the_readers_goes_first(index: tuple, tmp_path: Path) -> None:
    pip = str(Pip(tmp_path, settings="global.index-url='https://example.org/simple'").path)
    assert torch_build.choose(pip, "2.13.0", index[0]) == ("PyTorch: the build of the index that pip is set to", False)
    pip = str(Pip(tmp_path, settings=":env:.index-url='https://example.org/simple'").path)
    assert not torch_build.choose(pip, "2.13.0", index[0])[1]
    pip = str(Pip(tmp_path, settings="global.extra-index-url='https://example.org/simple'").path)
    assert torch_build.choose(pip, "2.13.0", index[0])[1]  # where they have more beside


@pytest.mark.parametrize(("version", "there"), [("2.13.0", True), ("2.13.0+cpu", True), ("2.12.0", False)])
def test_nothing_is_said_where_it_is_installed(version: str, there: bool, index: tuple, tmp_path: Path) -> None:
    pip = str(Pip(tmp_path, shown=f"Name: torch\nVersion: {version}\nSummary: tensors").path)
    line, chosen = torch_build.choose(pip, "2.13.0", index[0])
    assert (line == "", chosen) == (there, not there)


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_elsewhere_the_ordinary_build_is_for_the_cpu(
    system: str, index: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_build.platform, "system", lambda: system)
    assert torch_build.choose(str(Pip(tmp_path).path), "2.13.0", index[0]) == ("", False)


@pytest.mark.parametrize("fails", [False, True])
def test_what_it_installs(
    fails: bool, index: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(torch_build, "answers", lambda *_: True)
    pip, version = Pip(tmp_path, fails=fails), torch_build.pinned((ROOT / "requirements.txt").read_text("utf-8"))
    torch_build.main(str(pip.path))
    (call,) = pip.installed()
    assert call.endswith(f"--no-deps --index-url {torch_build.INDEX} torch=={version}")
    first, *others = capsys.readouterr().out.splitlines()
    assert "the build for the CPU" in first and len(others) == fails


def test_requirements_without_the_pin_are_named() -> None:
    with pytest.raises(ValueError, match="expected a line torch==VERSION"):
        torch_build.pinned("numpy==2\n# torch==1\n")
