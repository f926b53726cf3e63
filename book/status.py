"""How a notebook was executed: its time, and on what. Kept in the notebook itself, and shown on the status page."""

import json
import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEY = "executed"  # in the metadata of a notebook
PACKAGES = ("torch", "numpy", "scipy", "pandas", "matplotlib", "ziglang")  # what numbers and figures come from


def stamp(notebook: Path, seconds: float) -> None:
    """Write into an executed notebook that this process executed it just now, in so many seconds."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    content["metadata"][KEY] = {
        "seconds": round(seconds, 1),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "scale": os.environ.get("NALU_SCALE", "book"),
        "commit": commit(),
        "on": {"Processor": processor(), "Cores": str(cores()), "Memory": memory(), "System": system(), **versions()},
    }
    notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def commit() -> str:
    """The commit that is checked out, with a + behind it where files differ from it."""
    commands = (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
    try:
        name, changes = (
            subprocess.run(["git", *each], cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout.strip()
            for each in commands
        )
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return "unknown"
    return name + ("+" if changes else "")


def processor() -> str:
    """Its name, or its kind where the system tells no more."""
    if (file := Path("/proc/cpuinfo")).exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> str:
    """Of the machine."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return "unknown"
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"


def system() -> str:
    """Its kind and its processor's, without its name or version."""
    return f"{platform.system()}, {platform.machine()}"


def versions() -> dict[str, str]:
    """Of Python and of what numbers and figures come from."""
    found = {each.metadata["Name"].lower(): each.version for each in metadata.distributions()}
    return {"Python": platform.python_version()} | {name: found.get(name, "absent") for name in PACKAGES}
