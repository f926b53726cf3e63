"""The rooms of the package: which imports which, and that none hides behind a name of another kind."""

import ast
import importlib
import inspect
from pathlib import Path

import nalu

PACKAGE = Path(nalu.__file__).parent
MAY_IMPORT = {
    "hall": set(),  # what lies beside the rooms: checks, schedules, streams, progress, the recipe
    "units": {"hall"},
    "tasks": {"hall"},
    "statistics": {"hall"},
    "engine": {"hall"},
    "book": {"hall", "statistics"},
    "training": {"hall", "tasks", "statistics", "engine", "book"},
    "experiments": {"hall", "tasks", "statistics", "training", "book"},
    "live": {"hall", "units", "tasks", "statistics", "engine", "training", "experiments", "book"},
}
"""The rooms from below to above: each knows what it needs, and nothing of who needs it."""

MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def room(module: str) -> str:
    first = module.split(".")[1]
    return first if first in MAY_IMPORT else "hall"


def imported(path: Path) -> set[str]:
    """The modules of the package that a file imports, also within a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names if each.name.split(".")[0] == "nalu"}
        elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "nalu":
            found |= {full if (full := f"{node.module}.{each.name}") in MODULES else node.module for each in node.names}
    return found


def test_imports_point_one_way() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, path in MODULES.items()
        if module != "nalu"  # whose names are those that readers import
        for other in imported(path)
        if room(other) not in MAY_IMPORT[room(module)] | {room(module)} or other == "nalu"
    ]
    assert wrong == []


def test_rooms_are_ordered() -> None:
    order = list(MAY_IMPORT)
    assert all(order.index(below) < order.index(name) for name, known in MAY_IMPORT.items() for below in known)
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(MAY_IMPORT) - {"hall"}


def test_tests_lie_in_the_same_rooms() -> None:
    folders = {path.parent.name for path in Path(__file__).parent.glob("*/test_*.py")}
    assert folders - {"browser"} == set(MAY_IMPORT) - {"hall"}


def test_no_module_has_the_name_of_what_it_holds() -> None:
    for module in MODULES:
        found = importlib.import_module(module)
        names = {name for name, value in vars(found).items() if inspect.isfunction(value) or inspect.isclass(value)}
        assert module.split(".")[-1] not in names, module


def test_each_room_says_what_it_is_for() -> None:
    for module in MODULES:
        assert importlib.import_module(module).__doc__, module
