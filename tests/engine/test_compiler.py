"""C is compiled once, never half, and to the same numbers by each compiler."""

import ctypes
import json
import os
import platform
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nalu.engine import compiler
from nalu.engine.compiler import CompilerFailed, NoCompiler, library, wasm

TWICE = "float twice(float x) { return x + x; }"
# Chaotic: one rounding less, as of a fused multiply-add, and each bit differs after a hundred steps.
CHAOS = """typedef float V __attribute__((vector_size(64)));
void chaos(float *numbers, int steps) {
  V x;
  for (int i = 0; i < 16; i++) x[i] = numbers[i];
  for (int t = 0; t < steps; t++) x = 1.0f - 1.9f * x * x;
  for (int i = 0; i < 16; i++) numbers[i] = x[i];
}"""
X86 = platform.machine().lower() in ("x86_64", "amd64")
# The module alone, without torch, which takes seconds to import.
ALONE = f"""import importlib.util, sys
spec = importlib.util.spec_from_file_location("compiler", {compiler.__file__!r})
compiler = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compiler)
print(compiler.library({TWICE!r}))"""
scripts = pytest.mark.skipif(os.name != "posix", reason="needs scripts of a shell")


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for libraries, which only this test has."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("NALU_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def zig() -> str:
    return shlex.join(compiler._compiler("zig")[0])


def script(path: Path, *lines: str) -> str:
    """A command that notes its process number and does these lines."""
    path.write_text("\n".join(["#!/bin/sh", f"echo $$ >> {shlex.quote(f'{path}.runs')}", *lines, ""]), encoding="utf-8")
    path.chmod(0o700)
    return str(path)


def runs(command: str) -> list[int]:
    path = Path(f"{command}.runs")
    return [int(line) for line in path.read_text(encoding="utf-8").split()] if path.exists() else []


def wait(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def twice(path: Path) -> float:
    function = ctypes.CDLL(str(path)).twice
    function.argtypes, function.restype = [ctypes.c_float], ctypes.c_float
    return function(1.5)


def chaos(path: Path) -> list[float]:
    numbers = (ctypes.c_float * 16)(*(i / 16 for i in range(16)))
    ctypes.CDLL(str(path)).chaos(numbers, 1000)
    return list(numbers)


def alone() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ALONE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
    )


def test_a_function_in_c_is_called(kept: Path) -> None:
    path = library(TWICE)
    assert twice(path) == 3
    assert path.is_relative_to(kept)
    assert path.with_name("source.c").read_text(encoding="utf-8").startswith(TWICE)


def test_functions_of_the_c_library_are_there_in_float64() -> None:
    function = ctypes.CDLL(str(library("#include <math.h>\ndouble f(double x) { return exp(x); }", single=False))).f
    function.argtypes, function.restype = [ctypes.c_double], ctypes.c_double
    assert function(1.0) == pytest.approx(2.718281828459045, rel=1e-15)


@scripts
def test_the_compiler_runs_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = script(tmp_path / "counting", 'exec "$@"')
    monkeypatch.setenv("CC", f"{counting} {zig()}")
    first = library(TWICE)
    assert library(TWICE) == first
    assert len(runs(counting)) == 1
    assert twice(first) == 3


@scripts
def test_threads_compile_each_source_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = script(tmp_path / "counting", 'exec "$@"')
    monkeypatch.setenv("CC", f"{counting} {zig()}")
    sources = [TWICE.replace("x + x", f"x + x + {i}") for i in range(3)]
    with ThreadPoolExecutor(6) as pool:
        paths = list(pool.map(library, sources * 2))
    assert [twice(path) for path in paths] == [3, 4, 5, 3, 4, 5]
    assert len(runs(counting)) == 3


@scripts
def test_what_would_make_another_library_has_another_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passing = script(tmp_path / "other", 'exec "$@"')
    other = f"{passing} {zig()}"
    paths = [library(TWICE), library(TWICE + "\n"), library(TWICE, single=False), library(TWICE, compiler=other)]
    if X86:
        paths += [library(TWICE, target=target) for target in ("x86_64", "x86_64_v2")]
    monkeypatch.setattr(compiler, "_processor", lambda: "flags: none")  # a home that two machines share
    paths += [library(TWICE)]
    script(tmp_path / "other", "true", 'exec "$@"')  # a new version under the old name
    paths += [library(TWICE, compiler=other)]
    assert len(set(paths)) == len(paths)
    if X86:
        assert library(TWICE, target="x86_64") == paths[4]


@scripts
def test_the_argument_goes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", script(tmp_path / "idle", "exit 1"))
    assert twice(library(TWICE, compiler="zig")) == 3
    monkeypatch.setenv("CC", " ")  # as good as not set
    assert twice(library(TWICE)) == 3


def test_without_a_compiler_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -v")
    with pytest.raises(NoCompiler, match=r"expected a command that exists.* got 'no-such-compiler'"):
        library(TWICE)
    monkeypatch.delenv("CC")
    monkeypatch.setitem(sys.modules, "ziglang", None)
    for call in (lambda: library(TWICE), lambda: library(TWICE, compiler="zig"), lambda: wasm(TWICE, ["twice"])):
        with pytest.raises(NoCompiler, match=r"`pip install ziglang`\) or a command in CC"):
            call()


def test_an_error_in_the_source_is_shown(kept: Path) -> None:
    with pytest.raises(CompilerFailed, match=r"(?s)-O2.* got exit status 1\nsource.c:1:.*undeclared identifier 'y'"):
        library("float f(float x) { return y; }")
    assert not list(kept.glob("*/*.so"))
    assert not list((kept / "drafts").iterdir())


@scripts
def test_a_compiler_that_fails_is_quoted_in_short(tmp_path: Path) -> None:
    chatty = script(tmp_path / "chatty", "for i in $(seq 50); do echo line $i >&2; done; exit 3")
    with pytest.raises(CompilerFailed, match="exit status 3") as caught:
        library(TWICE, compiler=chatty)
    assert str(caught.value).endswith("line 20")


@scripts
@pytest.mark.parametrize("lines", [["true"], ['while [ "$1" != -o ]; do shift; done; : > "$2"']])
def test_no_library_or_an_empty_one_is_an_error(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(CompilerFailed, match="got no file or an empty one"):
        library(TWICE, compiler=script(tmp_path / "idle", *lines))


@scripts
def test_what_cannot_run_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"\x7fELF")
    (tmp_path / "text").chmod(0o700)
    with pytest.raises(CompilerFailed, match="format"):
        library(TWICE, compiler=str(tmp_path / "text"))


@scripts
def test_a_compiler_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "LIMIT", 0.3)
    hanging = script(tmp_path / "hanging", "exec sleep 60")
    with pytest.raises(CompilerFailed, match=r"no answer in 0\.3 s"):
        library(TWICE, compiler=hanging)
    with pytest.raises(ProcessLookupError):
        os.kill(runs(hanging)[0], 0)


@scripts
def test_an_interrupt_ends_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = script(tmp_path / "hanging", "exec sleep 60")
    monkeypatch.setenv("CC", hanging)
    with alone() as process:
        wait(lambda: runs(hanging))
        process.send_signal(signal.SIGINT)
        process.wait(10)
    assert process.returncode != 0
    with pytest.raises(ProcessLookupError):
        os.kill(runs(hanging)[0], 0)


@scripts
def test_a_process_killed_half_way_leaves_nothing_that_is_loaded(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first run writes the start of a library and hangs.
    slow = script(
        tmp_path / "slow",
        f'[ -e {tmp_path}/again ] && exec "$@"',
        f"touch {tmp_path}/again",
        'while [ "$1" != -o ]; do shift; done; printf ELF > "$2"; exec sleep 60',
    )
    monkeypatch.setenv("CC", f"{slow} {zig()}")
    with alone() as process:
        wait(lambda: list(kept.glob("drafts/*/made.so")))
        process.kill()
    os.kill(runs(slow)[0], signal.SIGKILL)
    assert not list(kept.glob("*/*.so"))
    assert twice(library(TWICE)) == 3
    assert len(list((kept / "drafts").iterdir())) == 1


def test_old_drafts_are_removed(kept: Path) -> None:
    old, new = kept / "drafts" / "old", kept / "drafts" / "new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "made.so").write_bytes(b"half")
    kept.chmod(0o700)
    os.utime(old, (time.time() - 2 * compiler.DAY,) * 2)
    library(TWICE)
    assert not old.exists()
    assert new.exists()


@pytest.mark.parametrize("left", [0, 0.5])
def test_a_library_that_was_cut_short_is_made_again(left: float) -> None:
    path = library(TWICE)
    whole = path.read_bytes()
    os.truncate(path, int(left * len(whole)))
    assert library(TWICE) == path
    assert path.read_bytes() == whole
    assert twice(path) == 3


@scripts
def test_two_processes_at_once_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = script(tmp_path / "slow", "sleep 0.5", 'exec "$@"')
    monkeypatch.setenv("CC", f"{slow} {zig()}")
    with alone() as one, alone() as two:
        paths = {process.communicate()[0].strip() for process in (one, two)}
    assert len(paths) == 1
    assert twice(Path(paths.pop())) == 3


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_the_folder_is_private(kept: Path) -> None:
    mask = os.umask(0)
    try:
        path = library(TWICE)
    finally:
        os.umask(mask)
    for folder in (kept, path.parent, kept / "drafts", kept / "zig"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
@pytest.mark.parametrize("whose", ["writable by others", "of another user"])
def test_a_folder_that_others_could_write_is_not_used(kept: Path, monkeypatch: pytest.MonkeyPatch, whose: str) -> None:
    path = library(TWICE)
    if whose == "writable by others":
        kept.chmod(0o770)
    else:
        other = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: other)
    path.write_bytes(b"anything")
    found = library(TWICE)
    assert not found.is_relative_to(kept)
    assert twice(found) == 3


def test_a_temporary_folder_serves_where_none_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NALU_CACHE", str(tmp_path / "file" / "x"))
    path = library(TWICE)
    assert twice(path) == 3
    assert library(TWICE) == path  # one folder per process
    with alone() as process:
        other = Path(process.communicate()[0].strip())
    assert other.name == path.name
    assert other != path
    assert not other.exists()  # removed when the process ended


@scripts
def test_without_a_home_it_compiles_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("NALU_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert twice(library(TWICE)) == 3


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere caches are kept elsewhere")
def test_libraries_are_kept_where_the_system_keeps_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NALU_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert library(TWICE).is_relative_to(tmp_path / "caches" / "nalu")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert library(TWICE).is_relative_to(tmp_path / "home" / ".cache" / "nalu")


def test_all_compilers_and_processors_give_the_same_bits() -> None:
    numbers = chaos(library(CHAOS))
    assert len(set(numbers)) > 10
    for command in ("gcc", "clang"):
        if shutil.which(command):
            assert chaos(library(CHAOS, compiler=command)) == numbers
            if X86:
                assert chaos(library(CHAOS, compiler=command, target="x86_64")) == numbers
    if X86:
        assert chaos(library(CHAOS, target="x86_64")) == numbers


def in_node(module: bytes, folder: Path) -> Sequence[float]:
    (folder / "chaos.wasm").write_bytes(module)
    program = """const bytes = require("fs").readFileSync(process.argv[1]);
    WebAssembly.instantiate(bytes, {}).then(({instance: {exports: e}}) => {
      e.memory.grow(1);
      const start = (e.__heap_base.value + 63) & ~63, x = new Float32Array(e.memory.buffer, start, 16);
      for (let i = 0; i < 16; i++) x[i] = i / 16;
      e.chaos(start, 1000);
      console.log(JSON.stringify(Array.from(x)));
    });"""
    command = ["node", "-e", program, str(folder / "chaos.wasm")]
    return json.loads(subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_webassembly_gives_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = wasm(CHAOS, ["chaos"])
    assert in_node(module, tmp_path) == chaos(library(CHAOS))


@scripts
def test_webassembly_is_made_by_zig_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idle = script(tmp_path / "idle", "exit 1")
    monkeypatch.setenv("CC", idle)
    module = wasm(TWICE, ["twice"])
    assert module.startswith(b"\0asm")
    assert not runs(idle)
    counting = script(tmp_path / "counting", 'exec "$@"')
    monkeypatch.setenv("CC", f"{counting} {zig()}")  # another zig than ziglang's
    assert wasm(TWICE, ["twice"]) == wasm(TWICE, ["twice"]) == module
    assert len(runs(counting)) == 1
    with pytest.raises(CompilerFailed, match="missing"):
        wasm(TWICE, ["missing"])
