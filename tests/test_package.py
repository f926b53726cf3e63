"""The package on its own: what lies in its wheel, what it needs, and what it says where a package is missing."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAME = PROJECT["name"]
BASE = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = {extra: [Requirement(line) for line in lines] for extra, lines in PROJECT["optional-dependencies"].items()}


def test_every_pin_has_a_bound_that_it_satisfies_and_every_bound_a_pin() -> None:
    bounds = {each.name: each.specifier for each in chain(BASE, *EXTRAS.values()) if each.name != NAME}
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    lines = [found for line in text.splitlines() if (found := line.split("#")[0].strip())]
    assert lines[0] == "-e ."
    pins = {each.name: each.specifier for each in map(Requirement, lines[1:])}
    assert set(pins) == set(bounds)
    for name, (pin,) in pins.items():
        assert pin.operator == "==" and bounds[name].contains(pin.version), f"{name}{pin} and {name}{bounds[name]}"


def test_extras_build_on_extras_that_there_are() -> None:
    assert {extra for each in chain(*EXTRAS.values()) if each.name == NAME for extra in each.extras} <= set(EXTRAS)


def run(python: str | Path, code: str, folder: Path) -> str:
    """What code prints where neither this folder nor PYTHONPATH is on Python's path, and all training is in C."""
    environment = os.environ | {"NALU_ENGINE": "native", "NALU_CACHE": str(folder / "cache"), "TQDM_DISABLE": "1"}
    done = subprocess.run(
        [python, "-I", "-c", code], cwd=folder, env=environment, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def come_with(wanted: list[Requirement]) -> set[str]:
    """The distributions that these bring, and those bring, in this environment."""
    found, waiting = set(), list(wanted)
    while waiting:
        each = waiting.pop()
        if (key := (canonicalize_name(each.name), *sorted(each.extras))) not in found:
            found.add(key)
            for needed in map(Requirement, metadata.requires(each.name) or []):
                if not needed.marker or any(needed.marker.evaluate({"extra": extra}) for extra in ("", *each.extras)):
                    waiting.append(needed)
    return {name for name, *_ in found}


ALONE = """
import importlib, sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in {missing} else super().find_spec(name, path, target)

sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
sys.path.insert(0, {root!r})

import nalu
run = nalu.benchmark(nalu.NAU, "a + b", seeds=range(2), steps=200)
print(nalu.__file__, len(run.table), len(run.intervals()), len(run.beside()))
for ask in (
    run.figure,
    lambda: importlib.import_module("nalu.book.sliders"),
    lambda: nalu.tasks.LanguageToNumber(),
):
    try:
        ask()
    except ModuleNotFoundError as error:
        print(error)
"""


def test_trains_with_its_base_alone_and_names_the_extra_that_is_missing(tmp_path: Path) -> None:
    base = come_with(BASE)
    missing = {
        module
        for module, brought_by in metadata.packages_distributions().items()
        if module != "nalu" and base.isdisjoint(map(canonicalize_name, brought_by))
    }
    assert {"matplotlib", "seaborn", "PIL", "ipywidgets", "num2words", "pytest"} <= missing
    numbers, *errors = run(sys.executable, ALONE.format(missing=missing, root=str(ROOT)), tmp_path).splitlines()
    assert numbers.split()[:3] == [str(ROOT / "nalu" / "__init__.py"), "18", "9"]
    assert errors == [
        "figures need matplotlib, which is not installed: pip install 'neural-arithmetic[plots]'",
        "sliders need ipywidgets, which is not installed: pip install 'neural-arithmetic[plots]'",
        "numbers in words need num2words, which is not installed: pip install 'neural-arithmetic[language]'",
    ]
    assert all(f"{NAME}[" in error for error in errors)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the sdist of a copy of the checkout, which an old build/ cannot have added to."""
    copy, made = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("made")
    shutil.copytree(ROOT / "nalu", copy / "nalu", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests", copy / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    for path in [*ROOT.glob("*.toml"), *ROOT.glob("*.in"), *ROOT.glob("*.md"), ROOT / "LICENSE"]:
        shutil.copy(path, copy)
    sdist = f"from setuptools import build_meta; build_meta.build_sdist({str(made)!r})"
    subprocess.run([sys.executable, "-c", sdist], cwd=copy, check=True, capture_output=True)
    (packed,) = made.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        assert not [name for name in archive.getnames() if "/tests" in name]
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(made)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(packed)], cwd=made, check=True)
    (built,) = made.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_all_of_the_package(wheel: Path) -> None:
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "nalu").rglob("*") if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == {path for path in ours if "__pycache__" not in path}
    assert {"nalu/engine/kernel.h", "nalu/book/results/language.csv", "nalu/book/style.mplstyle"} <= packed


INSTALLED = """
import nalu, nalu.book.tables
run = nalu.benchmark(nalu.NAU, "a + b", seeds=range(2), steps=200)
run.figure().savefig("figure.png")
print(nalu.__file__, len(run.table), len(nalu.book.tables.stored("language")) > 0)
"""


@pytest.mark.slow
def test_what_is_installed_works_far_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    (python,) = [*home.glob("bin/python"), *home.glob("Scripts/python.exe")]
    options = ["--quiet", "--no-deps", "--no-index"]
    subprocess.run([sys.executable, "-m", "pip", f"--python={python}", "install", *options, str(wheel)], check=True)
    (packages,) = [path.parent for path in home.rglob("nalu") if path.is_dir()]
    # What it depends on is taken from here. Its own editable installation is not: Python reads no .pth over a .pth.
    (packages / "here.pth").write_text(
        "\n".join(path for path in sys.path if path.endswith("-packages")), encoding="utf-8"
    )
    where, rows, tables = run(python, INSTALLED, tmp_path).split()
    assert Path(where) == packages / "nalu" / "__init__.py" and (rows, tables) == ("18", "True")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
