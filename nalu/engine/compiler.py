"""C source becomes a shared library or WebAssembly, and the same source is compiled only once.

The compiler is the command in the environment variable CC, else zig's from PyPI (`pip install ziglang`). Libraries are
kept in a private folder: NALU_CACHE where it is set, else `nalu` where the system keeps a user's caches; in a temporary
one if that can't be written or if others could write to it. Each folder in it holds a source and what became of it.
"""

import atexit
import hashlib
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

LIMIT = 300  # seconds after which a compiler is taken to hang
DAY = 24 * 60 * 60
# Nothing here lets a compiler change a number: no product is fused with a sum, no sum is reordered.
FLAGS = ["-O2", "-fno-strict-aliasing", "-ffp-contract=off", "-fno-math-errno", "-w"]
# The source has its vectors already: clang would look for more in vain.
CLANG = ["-fno-vectorize", "-fno-slp-vectorize"]
# zig checks for undefined behaviour, writes for debuggers and keeps frame pointers unless told otherwise. Its stubs of
# the C library take seconds (on Windows a minute) the first time; without that library it makes none.
ZIG = [*CLANG, "-fno-sanitize=undefined", "-g0", "-fomit-frame-pointer", "-nostdlib"]
WASM = ["-target", "wasm32-freestanding", "-mcpu=generic+simd128", "-Wl,--no-entry", "-Wl,--export-memory"]
# What Windows wants where there is no C library: an entry, and what compilers make of loops that copy or clear.
WINDOWS = """
int DllMainCRTStartup(void *library, unsigned reason, void *reserved) { return 1; }
__attribute__((no_builtin)) void *memset(void *to, int byte, __SIZE_TYPE__ n) {
  for (__SIZE_TYPE__ i = 0; i < n; i++) ((char *)to)[i] = (char)byte;
  return to;
}
__attribute__((no_builtin)) void *memcpy(void *to, const void *from, __SIZE_TYPE__ n) {
  for (__SIZE_TYPE__ i = 0; i < n; i++) ((char *)to)[i] = ((const char *)from)[i];
  return to;
}
"""
_locks: dict[str, Lock] = {}
_running: set[subprocess.Popen[str]] = set()


class NoCompiler(RuntimeError):
    """There is no C compiler; the message says how to get one."""


class CompilerFailed(RuntimeError):
    """The compiler did not make a library; the message has the command and what it said."""


def library(source: str, *, single: bool = True, target: str = "native", compiler: str | None = None) -> Path:
    """The shared library that C source becomes, compiled unless that was done before.

    Args:
        source: C that includes no header if `single`.
        single: whether it needs no function of the C library, as float32 with functions of its own; else it is linked
            with the mathematical ones.
        target: the processor in zig's words: native, x86_64_v3, x86_64, ...
        compiler: "zig" for the one from PyPI, or a command, instead of CC.

    Raises:
        NoCompiler: there is none.
        CompilerFailed: it reported an error, or took more than five minutes.
    """
    command, identity = _compiler(compiler)
    flags = [*FLAGS, "-fPIC", "-shared"]
    mathematical = [] if single else ["-lm"]
    if _is_zig(command):
        flags += [*ZIG, f"-mcpu={target}"]
        if single and sys.platform == "win32":
            source += WINDOWS
            flags.append("-mno-stack-arg-probe")
        elif not single and not (mathematical := _libm()):
            flags.remove("-nostdlib")
            mathematical = ["-lm"]
    else:
        # Only x86 has the processor in -march; elsewhere gcc and clang take it in -mcpu.
        option = "-march" if platform.machine().lower() in ("x86_64", "amd64", "i386", "i686") else "-mcpu"
        flags += [f"{option}={target.replace('x86_64_v', 'x86-64-v').replace('x86_64', 'x86-64')}"]
        flags += CLANG if any(Path(word).name.startswith("clang") for word in command) else []
    machine = [sys.platform, platform.machine(), *_system(), _processor() if target == "native" else "", str(single)]
    return _cached(
        source, [*command, *flags], mathematical, ".dll" if sys.platform == "win32" else ".so", identity + machine
    )


def wasm(source: str, exports: Sequence[str]) -> bytes:
    """The WebAssembly that C source becomes; it exports these functions, its memory and `__heap_base`.

    Raises:
        NoCompiler: neither ziglang nor CC is zig; no other compiler is asked.
        CompilerFailed: it reported an error, or took more than five minutes.
    """
    command, identity = _compiler(None)
    if not _is_zig(command):
        command, identity = _compiler("zig")
    names = [f"-Wl,--export={name}" for name in (*exports, "__heap_base")]
    return _cached(source, [*command, *FLAGS, *ZIG, *WASM, *names], [], ".wasm", identity).read_bytes()


def _compiler(named: str | None) -> tuple[list[str], list[str]]:
    """The command, and what changes when the compiler does."""
    named = named or os.environ.get("CC", "").strip() or "zig"
    if named == "zig":
        if (found := find_spec("ziglang")) is None or not found.origin:
            raise NoCompiler("no C compiler: expected ziglang (`pip install ziglang`) or a command in CC, got neither")
        # The binary itself: `python -m ziglang` would start Python once more, which takes as long as compiling.
        zig = Path(found.origin).with_name("zig.exe" if os.name == "nt" else "zig")
        return [str(zig), "cc"], ["ziglang", _version()]
    words = shlex.split(named, posix=os.name == "posix")
    if (path := shutil.which(words[0])) is None:
        raise NoCompiler(f"no C compiler: expected a command that exists, as `gcc` or `zig`, got {words[0]!r}")
    paths = [Path(at).resolve() for word in words if (at := shutil.which(word))]  # behind ccache, say, as well
    identity = [f"{at} {at.stat().st_mtime_ns} {at.stat().st_size}" for at in paths]
    return [str(Path(path).absolute()), *words[1:]], identity


def _is_zig(command: list[str]) -> bool:
    return any(Path(word).stem in ("zig", "ziglang") for word in command)


@cache
def _version() -> str:
    from importlib.metadata import version  # 40 ms, which only those who compile should spend

    return version("ziglang")


@cache
def _system() -> tuple[str, str]:
    return platform.libc_ver()  # one home folder may serve machines with several


@cache
def _processor() -> str:
    """What this processor can do: on one that can do less, a library for this one would crash."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
        return next(line for line in first.splitlines() if re.match(r"flags|Features|isa", line))
    except (OSError, StopIteration):
        return f"{platform.processor()} of {platform.node()}"


@cache
def _libm() -> list[str]:
    """The mathematical library that Python has loaded, as a file to link with, which spares zig's stubs; or nothing."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    paths = (line.split(maxsplit=5)[-1] for line in lines)
    return [path for path in dict.fromkeys(paths) if re.search(r"/libm(-[\d.]+)?\.so[^/ ]*$", path)][:1]


def _cached(source: str, command: list[str], after: list[str], suffix: str, identity: list[str]) -> Path:
    """What this command makes of this source: found, or made."""
    # The path of zig is no part of the key, but its version is: environments share what it made.
    parts = [source, suffix, *command[1:], *identity]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    with _locks.setdefault(key, Lock()):
        home = _home()
        return _whole(home / key, suffix) or _make(source, command, after, suffix, home, home / key)


def _whole(folder: Path, suffix: str) -> Path | None:
    """The library in this folder whose content has the sum that its name tells: not one that a full disk cut short."""
    for path in sorted(folder.glob(f"*{suffix}")):
        if hashlib.sha256(path.read_bytes()).hexdigest()[:32] == path.stem:
            return path
    return None


def _make(source: str, command: list[str], after: list[str], suffix: str, home: Path, folder: Path) -> Path:
    """Compile in a folder of its own, then move the whole file: who is killed, or second, does no harm."""
    drafts = _private(home / "drafts")
    for old in drafts.iterdir():
        try:
            if old.stat().st_mtime < time.time() - DAY:  # of a process that was killed
                shutil.rmtree(old)
        except OSError:
            continue  # another process was faster
    with tempfile.TemporaryDirectory(dir=drafts, ignore_cleanup_errors=True) as draft:
        written, made = Path(draft, "source.c"), Path(draft, f"made{suffix}")
        written.write_text(source, encoding="utf-8")
        arguments = [*command, "-o", str(made), str(written), *after]
        # zig fails where there is no home, if not told where to keep its own things.
        own = {"ZIG_GLOBAL_CACHE_DIR": str(_private(home / "zig")), "ZIG_LOCAL_CACHE_DIR": str(Path(draft, "zig"))}
        _run(arguments, os.environ | own, draft)
        content = made.read_bytes() if made.exists() else b""
        if not content:
            raise CompilerFailed(f"expected a library from `{shlex.join(arguments)}`, got no file or an empty one")
        if earlier := _whole(folder, suffix):  # of another process; on Windows it can't be replaced while in use
            return earlier
        path = _private(folder) / f"{hashlib.sha256(content).hexdigest()[:32]}{suffix}"
        os.replace(written, folder / "source.c")
        os.replace(made, path)
    return path


def _run(arguments: list[str], environment: dict[str, str], draft: str) -> None:
    """Run a compiler, which ends if we are interrupted, and raise unless it succeeds."""
    try:
        with _started(arguments, environment) as process:
            said, _ = process.communicate(timeout=LIMIT)
        fault = process.returncode and f"exit status {process.returncode}"
    except subprocess.TimeoutExpired:
        fault, said = f"no answer in {LIMIT} s", ""
    except OSError as error:
        fault, said = str(error), ""
    if fault:
        message = "\n".join([f"expected `{shlex.join(arguments)}` to compile, got {fault}", *said.splitlines()[:20]])
        raise CompilerFailed(message.replace(draft + os.sep, "").strip())


@contextmanager
def _started(arguments: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A compiler, which has ended after this."""
    with subprocess.Popen(
        arguments,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # so that those that it starts can be ended with it
    ) as process:
        _running.add(process)
        try:
            yield process
        except BaseException:
            _end(process)
            raise
        finally:
            _running.discard(process)


def stop() -> None:
    """End the compilers that run for other threads of this process, to which an interrupt does not come.

    Who waits for one gets `CompilerFailed`.
    """
    for process in list(_running):
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    if os.name == "posix":
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _home() -> Path:
    """The folder for all that is kept."""
    try:
        folder = _private(_chosen())
        status = folder.stat()
        # Whoever can write a library there could make us run it.
        ours = os.name != "posix" or (status.st_uid == os.geteuid() and not status.st_mode & 0o022)
        if ours and os.access(folder, os.W_OK | os.X_OK):
            return folder
    except (OSError, RuntimeError):  # a file is in the way, nothing can be written, or there is no home
        pass
    return _temporary()


def _chosen() -> Path:
    if own := os.environ.get("NALU_CACHE"):
        return Path(own).absolute()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "nalu"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "nalu"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "nalu"


@cache
def _temporary() -> Path:
    folder, process = tempfile.mkdtemp(prefix="nalu-"), os.getpid()
    # A fork that ends must not take it away from the process that made it.
    atexit.register(lambda: os.getpid() == process and shutil.rmtree(folder, ignore_errors=True))
    return Path(folder)


def _private(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
