"""The units of the book are found in their files, and what lists them has them all: names, README, page, references."""

import inspect
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import jupytext
import matplotlib.pyplot as plt
import pytest
from execute import ROOT

import nalu
from nalu import NALU, UNITS, units
from nalu.book.plots import COLOURS
from nalu.book.tables import stored
from nalu.units.unit import Paper, Unit

OTHERS = {"normal", "unit", "mlp", "recurrent", "language"}
"""Files of the folder that hold no unit of two sizes."""

MADE_UP = """
from nalu.units.nau import NAU
from nalu.units.unit import Paper


class MadeUp(NAU):
    equation = r"$W x$, $|W| < 1$"
    paper = Paper("Doe & Roe", 9999, "https://example.org")


class Unnamed(NAU):
    pass
"""


def test_names_are_public_and_sorted() -> None:
    for module in (nalu, units):
        assert module.__all__ == sorted(set(module.__all__))
        assert {unit.__name__ for unit in UNITS} <= set(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)
    kept = {name for name, value in vars(nalu).items() if name[0] != "_" and not isinstance(value, ModuleType)}
    assert set(nalu.__all__) == kept - {"TYPE_CHECKING"}


def test_units_are_in_the_order_of_their_papers() -> None:
    assert [unit.paper for unit in UNITS if unit.paper is None] == [unit.paper for unit in UNITS[:1]]
    years = [unit.paper.year for unit in UNITS[1:]]
    assert years == sorted(years)


def test_each_file_holds_a_unit() -> None:
    folder = Path(units.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    without = files - {Path(inspect.getsourcefile(unit)).stem for unit in UNITS}
    assert without == OTHERS, "a class of a unit has to state its `equation`, see nalu/units/unit.py"


@pytest.mark.parametrize("bases", [(NALU,), (type("Mixin", (), {}), NALU)])
def test_a_variant_claims_nothing_of_the_unit_that_it_derives_from(bases: tuple[type, ...]) -> None:
    variant = type("Variant", bases, {})
    assert (variant.equation, variant.paper, variant.operations) == (None, None, NALU.operations)
    assert NALU.equation and variant not in units._published()


def test_a_readers_unit_is_not_one_of_the_book() -> None:
    own = type("Own", (NALU,), {"equation": "$x$", "paper": Paper("Doe", 2031)})
    assert own.equation == "$x$" and str(own.paper) == "Doe 2031"
    assert units._published() == UNITS


# A new unit, of which nothing is there but its file.


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Unit]]:
    (tmp_path / "made_up.py").write_text(MADE_UP, encoding="utf-8")
    monkeypatch.setattr(units, "__path__", [*units.__path__, str(tmp_path)])
    *known, made_up = units._published()
    assert tuple(known) == UNITS and made_up.__name__ == "MadeUp"
    monkeypatch.setattr(nalu, "UNITS", (*UNITS, made_up))
    yield made_up
    del sys.modules["nalu.units.made_up"]


def test_a_new_unit_has_a_colour_of_its_own(made_up: type[Unit]) -> None:
    colours = [COLOURS[unit.__name__] for unit in (*UNITS, made_up)]
    assert len(set(colours)) == len(colours) and COLOURS["MadeUp"] == COLOURS["MadeUp"] != COLOURS["Others"]


def test_a_new_unit_is_missed_in_readme(made_up: type[Unit]) -> None:
    (fault,) = faults((made_up,))
    assert fault == r"add | MadeUp | $W x$, $\|W\| < 1$ | Doe & Roe 9999 | [`made_up.py`](nalu/units/made_up.py) |"


def test_a_new_unit_is_on_the_page_and_not_yet_trained(made_up: type[Unit]) -> None:
    *_, row = page()
    about = "**MadeUp**<br>[Doe & Roe 9999](https://example.org)<br>`made_up.py`"
    shares = "<br>".join(f"a {sign} b: not yet trained".replace(" ", "\xa0") for sign in "+-")
    assert row == rf"| {about} | {shares} | $W x$, $\vert W\vert  < 1$ |"


def test_a_new_unit_is_benchmarked_beside_the_others(made_up: type[Unit]) -> None:
    figure = nalu.benchmark(made_up, "a + b", steps=2, seeds=range(2), workers=1).figure()
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert sorted(names) == sorted(["MadeUp", *stored("single_module").unit.unique()])
    plt.close(figure)


# What lists them.


def faults(of: tuple[type[Unit], ...]) -> list[str]:
    """What to do to the table of units in the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [re.split(r" *(?<!\\)\| *", line)[1:5] for line in text.splitlines() if "](nalu/units/" in line]
    found = []
    for unit in of:
        name, file = unit.__name__, Path(inspect.getsourcefile(unit)).name
        equation, paper = unit.equation.replace("|", r"\|"), str(unit.paper or "")
        mine = [row for row in rows if name in row[0].split(", ")]
        if not mine:
            found.append(f"add | {name} | {equation} | {paper} | [`{file}`](nalu/units/{file}) |")
        for _, _, cited, code in mine:
            if cited != paper:
                found.append(f"{name}: the paper is {paper!r}, not {cited!r}")
            if f"[`{file}`](nalu/units/{file})" not in code.split(", "):
                found.append(f"{name}: the file is {file}, not {code}")
    return found


def page() -> list[str]:
    """The rows of the page of all units."""
    names: dict[str, object] = {}
    for cell in jupytext.read(ROOT / "book/units.md").cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
    return names["lines"][2:]


def test_readme_has_all_units() -> None:
    found = faults(UNITS)
    assert not found, "\n".join(["in README.md, in the table of units:", *found])
    named = re.findall(r"\]\((nalu/units/\w+\.py)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_the_page_has_all_units() -> None:
    rows = page()
    assert len(rows) == len(UNITS)
    for unit, row in zip(UNITS, rows, strict=True):
        assert row.startswith(f"| **{unit.__name__}**<br>") and str(unit.paper or "") in row
        assert row.count("%") + row.count("not\xa0yet\xa0trained") == len(unit.operations) or unit is nalu.Linear
        assert len(re.split(r"(?<!\\)\|", row)) == 5


@pytest.mark.parametrize("paper", dict.fromkeys(unit.paper for unit in UNITS if unit.paper), ids=str)
def test_its_paper_is_in_the_references(paper: Paper) -> None:
    def plain(text: str) -> str:
        return re.sub(r"[^\w\s=,./:]", "", unicodedata.normalize("NFD", text))

    entries = plain((ROOT / "book/references.bib").read_text(encoding="utf-8")).split("\n\n")
    author = plain(paper.authors.split()[0])
    mine = [entry for entry in entries if f"author = {author}," in entry and f"year = {paper.year}" in entry]
    assert [entry for entry in mine if (paper.url or "") in entry], f"add {paper} to book/references.bib"


def test_a_paper_is_stated_alike_by_all_its_units() -> None:
    papers = {unit.paper for unit in UNITS if unit.paper}
    assert len({paper.url for paper in papers}) == len(papers)
