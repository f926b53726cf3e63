"""An interrupt stops a run at once, whatever it is at; nothing goes on, and the next run is as if none had been."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends signals of POSIX, to this process alone")

RUN = """
import hashlib, os, signal, sys, threading
from functools import partial
from pathlib import Path
from nalu import MLP, Recipe, Watch, fit
from nalu.engine import compiler
from nalu.tasks import Identity

def run(hidden, steps):
    # A layer of another size has C of its own, which is not compiled yet.
    models = {f"{width}": partial(MLP, 1, 1, hidden=[width], activation="Tanh") for width in (hidden, hidden + 20)}
    watch = Watch(checkpoints=1)
    return fit(models, Identity(), Recipe(lr=1e-2), seeds=range(40), steps=steps, watch=watch, workers=2)

def digest(found):
    return hashlib.sha256(b"".join(part.state.numpy().tobytes() for part in found.replicas.values())).hexdigest()[:16]

print(digest(run(1, 50)), flush=True)  # all that is slow the first time is behind us
before = threading.active_count()
for hidden, delay in enumerate(map(float, sys.argv[2:]), 2):
    if sys.argv[1] == "interrupted":
        timer = threading.Timer(delay, os.kill, [os.getpid(), signal.SIGINT])
        timer.start()
        try:
            run(hidden, 5_000_000)
            raise AssertionError("expected to be interrupted")
        except KeyboardInterrupt:
            pass
        timer.join()
        assert threading.active_count() == before, threading.enumerate()
        try:
            os.waitpid(-1, os.WNOHANG)
            raise AssertionError("expected no child to be left")
        except ChildProcessError:
            pass
        home = Path(os.environ["NALU_CACHE"])
        assert not list(home.glob("drafts/*"))
        assert all(compiler._whole(path.parent, ".so") for path in home.glob("*/source.c"))
    print(digest(run(1, 50)), digest(run(hidden, 50)), flush=True)
"""
MOMENTS = ["0.01", "0.1", "0.2", "0.4", "0.6", "0.8", "1.2", "2.5"]
"""Seconds: from the first networks, over traces and compilers, to the training."""


def said(how: str, engine: str, folder: Path, moments: list[str]) -> str:
    environment = os.environ | {"NALU_CACHE": str(folder), "NALU_ENGINE": engine, "TQDM_DISABLE": "1"}
    command = [sys.executable, "-c", RUN, how, *moments]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "moments"), [("native", MOMENTS), ("torch", MOMENTS[::3])])
def test_the_next_run_does_not_know(engine: str, moments: list[str], tmp_path: Path) -> None:
    interrupted = said("interrupted", engine, tmp_path / "one", moments)
    assert interrupted == said("undisturbed", engine, tmp_path / "two", moments)
    assert len(set(interrupted.split())) == 1 + len(moments)


def test_training_stops_at_once(tmp_path: Path) -> None:
    assert (
        said("interrupted", "native", tmp_path / "one", ["1.5"]).split()[:2]
        == 2 * said("undisturbed", "native", tmp_path / "two", []).split()
    )


def test_a_compiler_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    hanging = tmp_path / "hanging"
    hanging.write_text(f"#!/bin/sh\nsleep 600 &\necho $$ $! >> '{tmp_path}/runs'\nwait\n", encoding="utf-8")
    hanging.chmod(0o700)
    code = RUN[: RUN.index("print(digest(run(1, 50))")] + "run(1, 50)"
    environment = os.environ | {"NALU_CACHE": str(tmp_path / "kept"), "CC": str(hanging), "TQDM_DISABLE": "1"}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE) as process:
        while not (tmp_path / "runs").exists() or len((tmp_path / "runs").read_text(encoding="utf-8").split()) < 4:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)  # to the main thread, while other threads wait for the compilers
        _, error = process.communicate(timeout=60)
    assert error.decode().splitlines()[-1] == "KeyboardInterrupt"
    assert not list((tmp_path / "kept/drafts").iterdir())
    for started in (tmp_path / "runs").read_text(encoding="utf-8").split():
        assert not running(int(started))


def running(process: int) -> bool:
    """Whether it does anything: one that nobody has asked about is listed on after its end."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, encoding="utf-8").stdout
    return bool(found.strip()) and not found.strip().startswith("Z")
