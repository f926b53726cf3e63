"""The branch that Binder and Colab open holds the edition, and is pushed where it is new."""

import subprocess
from pathlib import Path

import branch
import pytest
import readers


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a file or folder of each name that goes along, and an edition that is up to date."""
    root = tmp_path / "checkout"
    edition = root / "_build/readers"
    edition.mkdir(parents=True)
    for name in branch.ALONG:
        path = root / name if "." in name or name.isupper() else root / name / "file"
        path.parent.mkdir(exist_ok=True)
        path.write_text(name, encoding="utf-8")
    (root / ".gitignore").write_text("_build\n", encoding="utf-8")
    (root / "chapter.md").write_text("first", encoding="utf-8")
    (edition / "01.ipynb").write_text("{}", encoding="utf-8")
    (edition / readers.STAMP).write_text("now", encoding="utf-8")
    monkeypatch.setattr(branch, "ROOT", root)
    monkeypatch.setattr(readers, "EDITION", edition)
    monkeypatch.setattr(readers, "inputs", lambda: "now")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "A tester")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "tester@example.org")
    branch.git("init", "--quiet")
    assert branch.git("rev-parse", "--show-toplevel") == str(root)  # and no repository around it
    branch.git("add", "--all")
    branch.git("commit", "--quiet", "-m", "first")
    return root


def changed(root: Path) -> None:
    (root / "chapter.md").write_text("second", encoding="utf-8")
    branch.git("commit", "--quiet", "--all", "-m", "second")


def test_it_holds_the_edition_and_touches_nothing_else(checkout: Path) -> None:
    before = branch.git("status", "--branch", "--porcelain"), branch.git("rev-parse", "HEAD")
    new = branch.commit()
    assert branch.git("rev-parse", branch.BRANCH) == new
    found = set(branch.git("ls-tree", "-r", "--name-only", new).splitlines())
    assert {"notebooks/01.ipynb", "README.md", "nalu/file", "binder/file", "pyproject.toml"} <= found
    assert not any(name.startswith(("_build", "chapter", ".git")) for name in found)
    assert branch.git("rev-list", "--count", new) == "1"
    assert before == (branch.git("status", "--branch", "--porcelain"), branch.git("rev-parse", "HEAD"))
    assert not (checkout / "README.md").exists()


def test_an_edition_that_is_old_or_of_no_commit_is_refused(checkout: Path) -> None:
    (checkout / "chapter.md").write_text("second", encoding="utf-8")
    with pytest.raises(SystemExit, match="not committed"):
        branch.commit()
    (readers.EDITION / readers.STAMP).write_text("then", encoding="utf-8")
    with pytest.raises(SystemExit, match="make book"):
        branch.commit()


def test_it_is_pushed_once_for_each_commit_of_the_book(checkout: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.git"
    subprocess.run(["git", "init", "--quiet", "--bare", there], check=True)
    first = branch.commit()
    assert "was pushed" in branch.push(str(there))
    (readers.EDITION / "01.ipynb").write_text('{"metadata": {}}', encoding="utf-8")  # executed again
    assert branch.commit() != first
    assert "is there already" in branch.push(str(there))
    assert branch.git("ls-remote", str(there)).split()[0] == first
    changed(checkout)
    new = branch.commit()
    assert "was pushed" in branch.push(str(there))
    assert branch.git("ls-remote", str(there)).split() == [new, f"refs/heads/{branch.BRANCH}"]


def test_git_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="nowhere"):
        branch.push(str(tmp_path / "nowhere"))
