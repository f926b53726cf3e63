"""Every public name has its place in the reference."""

import ast
import importlib
import pkgutil
import re

import jupytext
import pytest
from _ext import reference
from execute import ROOT

import nalu
import nalu.tasks
import nalu.units

PAGES = sorted((ROOT / "book/reference").glob("*.md"))
LISTED = [
    name for page in PAGES for name in re.findall(r"^```\{modules\} (\S+)$", page.read_text("utf-8"), re.MULTILINE)
]
"""The modules and rooms that the pages ask for."""

NAMES = [name for listed in LISTED for module in reference.modules(listed) for _, name in reference.public(module)]
"""What autodoc is told to show for them, as it calls it."""


def shown() -> set[int]:
    """The things that are shown, by identity: one thing may have several names."""
    found = set()
    for name in NAMES:
        module, _, attribute = name.rpartition(".")
        found.add(id(getattr(importlib.import_module(module), attribute)))
    return found


def test_every_module_is_on_exactly_one_page() -> None:
    on_pages = [module.__name__ for listed in LISTED for module in reference.modules(listed)]
    there_are = {each.name for each in pkgutil.walk_packages(nalu.__path__, "nalu.")}
    assert sorted(on_pages) == sorted(there_are)


def test_no_name_is_shown_twice() -> None:
    assert len(NAMES) == len(set(NAMES)) > 100


@pytest.mark.parametrize("room", [nalu, nalu.units, nalu.tasks], ids=lambda room: room.__name__)
def test_what_a_room_exports_is_shown(room: object) -> None:
    assert room.__all__
    assert [name for name in room.__all__ if id(getattr(room, name)) not in shown()] == []


def imported(source: str) -> set[tuple[str, str]]:
    """The names that a chapter imports from the package, each with its module."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    return {(node.module, each.name) for node in nodes if node.module.split(".")[0] == "nalu" for each in node.names}


def test_what_chapters_import_is_shown() -> None:
    cells = [cell for path in (ROOT / "notebooks").glob("*.ipynb") for cell in jupytext.read(path).cells]
    code = [cell.source for cell in cells if cell.cell_type == "code" and "import" in cell.source]
    found = set().union(*(imported(source) for source in code if not source.startswith("%")))
    assert ("nalu", "fit") in found and ("nalu.book.sliders", "flipbook") in found
    modules = {module.__name__ for listed in LISTED for module in reference.modules(listed)}
    missing = [
        f"{module}.{name}"
        for module, name in sorted(found)
        if f"{module}.{name}" not in modules
        and f"{module}.{name}" not in NAMES
        and id(getattr(importlib.import_module(module), name)) not in shown()
    ]
    assert missing == []


def test_names_are_those_that_readers_import() -> None:
    assert {"nalu.fit", "nalu.NAC", "nalu.tasks.SingleModule", "nalu.book.sliders.flipbook"} <= set(NAMES)


def test_plain_text_is_shown_as_it_is_written_and_an_equation_as_one() -> None:
    lines = ["y = W x, or log(|x|) * w_", "", "`|code|` stays. An example::", "", "    a * b|", "", "Not * this."]

    class Thing:
        equation = r"$|x|$ of $W_{oi}$"
        paper = None

    reference.as_written(None, "class", "Thing", Thing, None, lines)
    assert lines == [
        r"y = W x, or log(\|x\|) \* w\_", "", r":math:`|x|` of :math:`W_{oi}`.", "",
        "`|code|` stays. An example::", "", "    a * b|", "", r"Not \* this.",
    ]  # fmt: skip


def test_a_name_leads_to_its_line_in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOOK_REPOSITORY_URL", raising=False)
    monkeypatch.delenv("BOOK_REPOSITORY_BRANCH", raising=False)
    asked = {"module": "nalu", "fullname": "NAC.forward"}
    assert reference.source("py", asked) is None
    monkeypatch.setenv("BOOK_REPOSITORY_URL", "https://example.org/us/book/")
    address, line = reference.source("py", asked).split("#L")
    assert address == "https://example.org/us/book/blob/main/nalu/units/nac.py"
    assert "def forward" in (ROOT / "nalu/units/nac.py").read_text(encoding="utf-8").splitlines()[int(line) - 1]
    assert reference.source("py", {"module": "nalu.units", "fullname": "UNITS"}) is None
