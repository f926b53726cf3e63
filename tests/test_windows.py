"""What Windows lacks is not needed: the package imports and trains without it, and its C links for that system."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from nalu import NALU, Recipe, Watch, fit, stack
from nalu.engine import compiler
from nalu.tasks import Identity
from nalu.tasks.identity import integers

# What Windows has not is refused to our own modules; those of others ask which system it is.
WITHOUT = """
import builtins, os, signal, sys
import joblib, pandas, scipy.stats, torch._dynamo, tqdm.auto  # they load what they need of this system

MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "posix"}
real = builtins.__import__

def limited(name, globals=None, *rest):
    if name.split(".")[0] in MODULES and str((globals or {}).get("__name__")).split(".")[0] == "nalu":
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return real(name, globals, *rest)

builtins.__import__ = limited
for module, names in {
    os: "sched_getaffinity getpgid setsid fork killpg".split(),
    signal: "SIGKILL SIGHUP SIGALRM alarm".split(),
}.items():
    for name in names:
        delattr(module, name)

from functools import partial

import nalu
from nalu.tasks import Identity

run = nalu.fit({"NAC": partial(nalu.NAC, 1, 1)}, Identity(), seeds=range(3), steps=20)
print(run.engines["NAC"], len(run.table) > 0)
print(len(nalu.benchmark(nalu.NAU, "a + b", seeds=range(2), steps=20).table))
"""


def test_it_imports_and_trains_without_what_only_posix_has() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["native True", "18"]


def test_a_kernel_links_for_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch({"far": (integers(-9, 9),) * 2})
    models = {"NALU": partial(stack, NALU, [1, 2, 1])}
    kernel = fit(models, Identity(), Recipe(), seeds=[0], steps=1, watch=watch).kernels["NALU"]
    monkeypatch.setenv("NALU_CACHE", str(tmp_path))
    monkeypatch.setattr(compiler.sys, "platform", "win32")
    cross = [*compiler._compiler("zig")[0], "-target", "x86_64-windows-gnu"]
    monkeypatch.setattr(compiler, "_compiler", lambda named: (cross, ["cross"]))
    path = compiler.library(kernel.source, target="x86_64_v3")
    made = path.read_bytes()
    assert (
        path.suffix == ".dll"
        and made.startswith(b"MZ")
        and all(name in made for name in (b"train", b"advance", b"test_0"))
    )
