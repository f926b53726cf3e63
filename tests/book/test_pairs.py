"""A chapter is a text and its runnable twin: they say the same, no outputs are committed, and no edit is lost."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from pairs import ROOT, faults, sync

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TEXT, NOTEBOOK = "book/scoreboard.md", "notebooks/scoreboard.ipynb"


def test_every_notebook_is_the_twin_of_its_text() -> None:
    assert faults() == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_committed(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs"), f"run `make sync`: outputs in the cell {cell.source[:60]!r}"
        assert cell.get("execution_count") is None, f"run `make sync`: a count at the cell {cell.source[:60]!r}"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The texts and notebooks of two pages, without a history, in a path that is not plain."""
    root = tmp_path / "mein Büro"
    for file in (TEXT, NOTEBOOK, "book/units.md", "notebooks/units.ipynb", "pyproject.toml"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, root / file)
    return root


@pytest.fixture
def committed(copy: Path) -> Path:
    git = ["git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "as it was"]):
        subprocess.run([*git, *command], cwd=copy, check=True)
    return copy


def append(file: Path, words: str) -> None:
    """Add words to the first text of a notebook, or to the end of a text, as an editor does that knows no pairs."""
    if file.suffix == ".md":
        file.write_text(file.read_text(encoding="utf-8") + f"\n{words}\n", encoding="utf-8")
    else:
        notebook = nbformat.read(file, as_version=4)
        notebook.cells[0].source += f"\n\n{words}"
        nbformat.write(notebook, file)


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes() for folder in ("book", "notebooks") for p in root.glob(f"{folder}/*")
    }


def test_a_difference_is_found_and_the_cure_is_named(copy: Path) -> None:
    append(copy / TEXT, "Another sentence.")
    (fault,) = faults(copy)
    assert f"{NOTEBOOK} differs from {TEXT} from cell 4 on: run `make sync`" in fault


def test_a_missing_half_is_found(copy: Path) -> None:
    (copy / NOTEBOOK).unlink()
    assert faults(copy) == [f"{TEXT} has no notebook: run `make sync`"]
    (copy / TEXT).unlink()
    assert faults(copy) == []
    shutil.copy(ROOT / NOTEBOOK, copy / "notebooks/orphan.ipynb")
    (fault,) = faults(copy)
    assert "notebooks/orphan.ipynb has no text book/orphan.md" in fault


@pytest.mark.slow
def test_nothing_changes_where_nothing_was_edited(committed: Path) -> None:
    before = contents(committed)
    sync(committed)
    assert contents(committed) == before


@pytest.mark.slow
@pytest.mark.parametrize("file", [TEXT, NOTEBOOK])
def test_the_side_that_was_edited_makes_the_other(committed: Path, file: str) -> None:
    append(committed / file, "Written in one of them.")
    for other in {TEXT, NOTEBOOK} - {file}:
        (committed / other).touch()  # the time says nothing
    sync(committed)
    for each in (TEXT, NOTEBOOK):
        assert (committed / each).read_text(encoding="utf-8").count("Written in one of them.") == 1
    assert faults(committed) == []

    append(committed / file, "And again, before a commit.")
    sync(committed)
    for each in (TEXT, NOTEBOOK):
        assert (committed / each).read_text(encoding="utf-8").count("And again, before a commit.") == 1


@pytest.mark.slow
def test_outputs_are_no_edit(committed: Path) -> None:
    notebook = nbformat.read(committed / NOTEBOOK, as_version=4)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="printed")]
    nbformat.write(notebook, committed / NOTEBOOK)
    append(committed / TEXT, "Written in the text.")
    sync(committed)
    notebook = (committed / NOTEBOOK).read_text(encoding="utf-8")
    assert "Written in the text." in notebook and "printed" not in notebook


def both_edited(root: Path) -> None:
    append(root / TEXT, "In the text.")
    append(root / NOTEBOOK, "In the notebook.")


def notebook_half_saved(root: Path) -> None:
    file = root / NOTEBOOK
    file.write_text(file.read_text(encoding="utf-8")[:200], encoding="utf-8")


def text_deleted(root: Path) -> None:
    (root / TEXT).unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (both_edited, f"{TEXT} and {NOTEBOOK} differ, and both were edited"),
        (notebook_half_saved, "scoreboard.ipynb: expected a notebook"),
        (text_deleted, f"{TEXT} was deleted"),
    ],
)
def test_where_it_is_not_clear_nothing_is_written(committed: Path, spoil: Callable[[Path], None], words: str) -> None:
    append(committed / "book/units.md", "This one would be clear.")
    spoil(committed)
    before = contents(committed)
    with pytest.raises(ValueError, match=words):
        sync(committed)
    assert contents(committed) == before


@pytest.mark.slow
def test_without_a_history_a_difference_is_not_clear(copy: Path) -> None:
    append(copy / NOTEBOOK, "In the notebook.")
    with pytest.raises(ValueError, match="both were edited"):
        sync(copy)
    (copy / TEXT).unlink()  # as the message says
    sync(copy)
    assert "In the notebook." in (copy / TEXT).read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_new_chapter_may_begin_as_either(committed: Path) -> None:
    text = (committed / TEXT).read_text(encoding="utf-8")
    (committed / "book/10-new.md").write_text(text, encoding="utf-8")
    shutil.copy(committed / NOTEBOOK, committed / "notebooks/11-new.ipynb")
    sync(committed)
    assert faults(committed) == []
    assert json.loads((committed / "notebooks/10-new.ipynb").read_text(encoding="utf-8"))["cells"]
    assert (committed / "book/11-new.md").read_text(encoding="utf-8") == text
