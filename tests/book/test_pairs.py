"""A chapter is a text and its runnable twin: they say the same, and no outputs are committed."""

import shutil
from pathlib import Path

import nbformat
import pytest
from execute import ROOT, faults

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_every_notebook_is_the_twin_of_its_text() -> None:
    assert faults() == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_committed(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs"), f"run `make sync`: outputs in the cell {cell.source[:60]!r}"
        assert cell.get("execution_count") is None, f"run `make sync`: a count at the cell {cell.source[:60]!r}"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for folder, files in (("book", "*.md"), ("notebooks", "*.ipynb")):
        (tmp_path / folder).mkdir()
        for file in (ROOT / folder).glob(files):
            shutil.copy(file, tmp_path / folder)
    return tmp_path


def test_a_difference_is_found_and_the_cure_is_named(copy: Path) -> None:
    text = copy / "book/scoreboard.md"
    text.write_text(text.read_text(encoding="utf-8").replace("# Scoreboard", "# Another title"), encoding="utf-8")
    (fault,) = faults(copy)
    assert "notebooks/scoreboard.ipynb differs from book/scoreboard.md from cell 1 on: run `make sync`" in fault


def test_a_missing_half_is_found(copy: Path) -> None:
    (copy / "notebooks/scoreboard.ipynb").unlink()
    assert faults(copy) == ["book/scoreboard.md has no notebook: run `make sync`"]
    (copy / "book/scoreboard.md").unlink()
    assert faults(copy) == []
    shutil.copy(ROOT / "notebooks/scoreboard.ipynb", copy / "notebooks/orphan.ipynb")
    (fault,) = faults(copy)
    assert "notebooks/orphan.ipynb has no text book/orphan.md" in fault
