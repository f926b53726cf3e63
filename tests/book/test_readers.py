"""The readers' edition: nothing in it needs the site's builder, all numbers are there, and no reader's edit is lost."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from lab import hand_out
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat import NotebookNode
from pairs import ROOT
from readers import FIRST, PASTED, UNKNOWN, make, plain

MYST = {
    "a role": r"\{[a-z][\w:+.-]*\}`",
    "a directive": r"^\s*(`{3,}|~{3,}|:{3,})\s*\{",
    "a target": r"^\([\w-]+\)=\s*$",
    "the label of a formula": r"\$\$\s*\([\w-]+\)",
    "a comment or a break between cells": r"^(%|\+\+\+)",
}
NOTEBOOKS = sorted(p.stem for p in (ROOT / "notebooks").glob("*.ipynb"))


def texts(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def codes(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def edition(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NotebookNode]:
    """By name, the edition as it is made here and now, from what is executed and what is not."""
    folder = tmp_path_factory.mktemp("edition") / "readers"
    make(folder)
    return {p.stem: nbformat.read(p, as_version=4) for p in folder.glob("*.ipynb")}


@pytest.mark.slow
def test_every_notebook_and_all_that_they_link_to_are_in_it(edition: dict[str, NotebookNode]) -> None:
    assert set(NOTEBOOKS) <= set(edition)
    for name, notebook in edition.items():
        for text in texts(notebook):
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if target.startswith(("https://", "data:image/png;base64,")):
                    continue
                file, _, anchor = target.partition("#")
                assert not file or file.endswith(".ipynb"), f"{name}: {target}"
                there = edition.get(file.removesuffix(".ipynb") if file else name)
                assert there, f"{name}: {target} leads nowhere"
                assert not anchor or f"<a id='{anchor}'></a>" in "\n".join(texts(there)), f"{name}: {target}"


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_syntax_of_the_sites_builder_is_left(name: str, edition: dict[str, NotebookNode]) -> None:
    for text in texts(edition[name]):
        for what, pattern in MYST.items():
            assert not re.search(pattern, text, re.MULTILINE), f"{what}: {text}"
        tokens = MarkdownIt().use(dollarmath_plugin, allow_space=False).parse(text)  # VS Code's rule
        outside = [child.content for token in tokens for child in token.children or () if child.type == "text"]
        assert "".join(outside).count("$") == text.count("\\$"), f"a formula that is not seen: {text}"


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_its_code_is_the_chapters_and_what_the_site_hides_is_folded(
    name: str, edition: dict[str, NotebookNode]
) -> None:
    ours = codes(nbformat.read(ROOT / f"notebooks/{name}.ipynb", as_version=4))
    first, *rest = codes(edition[name])
    assert first.source.startswith(FIRST.split("\n")[0])
    assert [cell.source for cell in rest] == [cell.source for cell in ours]
    for cell, here in zip(ours, rest, strict=True):
        tags = cell.metadata.get("tags", [])
        folds = here.metadata.get("jupyter", {})
        assert folds.get("source_hidden", False) == bool({"hide-cell", "hide-input"} & set(tags))
        assert folds.get("outputs_hidden", False) == bool({"hide-cell", "hide-output"} & set(tags))
        assert ("cellView" in here.metadata) == folds.get("source_hidden", False)


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_numbers_and_outputs_are_those_of_the_execution(name: str, edition: dict[str, NotebookNode]) -> None:
    executed = ROOT / f".executed/notebooks/{name}.ipynb"
    text, written = "\n".join(texts(edition[name])), (ROOT / f"book/{name}.md").read_text(encoding="utf-8")
    if not executed.exists():
        assert ("{glue:" in written) == (UNKNOWN in text)
        return
    assert UNKNOWN not in text
    outputs = [output for cell in codes(nbformat.read(executed, as_version=4)) for output in cell.outputs]
    glued = {o.metadata.scrapbook.name: o.data for o in outputs if "scrapbook" in o.get("metadata", {})}
    for key in re.findall(r"\{glue:text\}`(\w+)`", written):
        assert glued[key][PASTED + "text/plain"].strip("'") in text
    for key in re.findall(r"\{glue:figure\} (\w+)", written):
        assert glued[key][PASTED + "image/png"].strip() in text
    shown = [output for output in outputs if not any(kind.startswith(PASTED) for kind in output.get("data", {}))]
    ours = [output for cell in codes(edition[name]) for output in cell.outputs]
    assert [o.output_type for o in ours] == [o.output_type for o in shown]
    for here, there in zip(ours, shown, strict=True):
        assert there.get("data", {}).items() <= here.get("data", {}).items()


PAGE = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {name: python3, display_name: Python 3, language: python}
---

# A finding

{glue:text}`found` of them, says {cite:t}`somebody`; see [below](#the-end) and {ref}`there <label>`, {math}`x^2` or $y$.

```{glue:figure} picture
:name: fig

A caption, with {glue:text}`found`.
```

A paragraph.

$$
z = 1
$$ (sum)

```{code-cell} ipython3
1 + 1
```

By {eq}`sum` and {numref}`fig`, as in [the other](02-second.ipynb):

```python
not_a_cell()
```

(label)=
## The end

```{code-cell} ipython3
:tags: [hide-cell]

"a solution"
```
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A book of two chapters that uses all of the syntax, with the scripts of this one, never executed."""
    for folder in ("book", "notebooks"):
        (tmp_path / folder).mkdir()
    for script in ("pairs.py", "execute.py", "status.py", "readers.py"):
        shutil.copy(ROOT / "book" / script, tmp_path / "book")
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["sphinx"] |= {"local_extensions": {}, "extra_extensions": ["sphinx_tojupyter"]}
    files = {
        "_config.yml": yaml.safe_dump(config),
        "_toc.yml": "format: jb-book\nroot: book/index\nchapters:\n"
        + "".join(f"- file: {page}\n" for page in ("notebooks/01-first", "notebooks/02-second", "book/references")),
        "book/index.md": "# Small\n",
        "book/references.md": "# References\n\n```{bibliography}\n:all:\n```\n",
        "book/references.bib": "@misc{somebody, author={Body, Some}, title={Work}, year={2018}}\n",
        "book/01-first.md": PAGE,
        "book/02-second.md": PAGE.replace("02-second", "01-first").replace("label", "other").replace("sum", "plus"),
        "pyproject.toml": '[tool.jupytext]\nformats = { "notebooks/" = "ipynb", "book/" = "md:myst" }\n',
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    subprocess.run([sys.executable, str(tmp_path / "book/pairs.py")], check=True)
    return tmp_path


@pytest.mark.slow
def test_each_construct_becomes_plain_markdown_also_without_an_execution(small: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BOOK_")}
    run = [sys.executable, str(small / "book/readers.py")]
    subprocess.run(run, check=True, env=environment)
    cells = nbformat.read(small / "_build/readers/01-first.ipynb", as_version=4).cells
    (one, figure, caption, setup, code, text, end, solution) = cells
    assert one.source.startswith("# A finding\n\n… of them, says Body [[2018](references.ipynb#id2)]; see [below]")
    assert one.source.endswith("see [below](#the-end) and [there](#label), $x^2$ or $y$.")
    assert figure.source.startswith("![](data:image/png;base64,")
    assert caption.source.startswith("*A caption, with ….*\n\nA paragraph.\n\n")
    assert caption.source.endswith("<a id='equation-sum'></a>\n\n$$\nz = 1 \\tag{1}\n$$")
    assert "nalu" in setup.source and setup.metadata.jupyter.source_hidden
    assert code.source == "1 + 1" and not code.metadata.get("jupyter")
    assert text.source.startswith("By [(1)](#equation-sum) and Fig. ")
    assert text.source.endswith("as in [the other](02-second.ipynb):\n\n```python\nnot_a_cell()\n```")
    assert end.source == "<a id='the-end'></a>\n\n<a id='label'></a>\n\n## The end"
    assert solution.metadata.jupyter == {"source_hidden": True, "outputs_hidden": True}

    made = small / "_build/readers/.made-from"
    before = made.stat().st_mtime_ns
    subprocess.run(run, check=True, env=environment)
    assert made.stat().st_mtime_ns == before  # nothing has changed
    subprocess.run(run, check=True, env=environment | {"BOOK_REPOSITORY_URL": "https://example.org/book/"})
    setup = nbformat.read(small / "_build/readers/01-first.ipynb", as_version=4).cells[3]
    assert "%pip install" in setup.source and "git+https://example.org/book" in setup.source


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("costs \\$5 and \\$6", "costs \\$5 and \\$6"),
        ("$ a $ and $ b $", "$a$ and $b$"),
        ("$$\na\n$$", "$$\na\n$$"),
        ('<img src="data:x" alt="1.5 [1, 2]" style="">\n\nAfter it', "![1.5 \\[1, 2\\]](data:x)\n\nAfter it"),
        ('<img src="data:x" style="">\n\nIts caption.  \nMore.', "![](data:x)\n\n*Its caption.*\n\nMore."),
        ("[x](../book/references.ipynb#id1)", "[x](references.ipynb#id1)"),
    ],
)
def test_text_is_plain(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_a_reader_gets_a_new_edition_and_keeps_every_edit(tmp_path: Path) -> None:
    edition, copies = tmp_path / "edition", tmp_path / "lab"
    edition.mkdir()

    def release(words: str) -> None:
        for name in ("a", "b"):
            nbformat.write(nbformat.v4.new_notebook(metadata={"words": words}), edition / f"{name}.ipynb")

    release("first")
    assert hand_out(edition, copies) == []
    mine = (copies / "a.ipynb").read_text(encoding="utf-8") + "\n"
    (copies / "a.ipynb").write_text(mine, encoding="utf-8")
    (copies / "own.ipynb").write_text("mine alone", encoding="utf-8")
    assert hand_out(edition, copies) == []  # there is nothing newer

    release("second")
    assert hand_out(edition, copies) == ["a.ipynb"]
    assert (copies / "a.ipynb").read_text(encoding="utf-8") == mine
    assert "second" in (copies / "b.ipynb").read_text(encoding="utf-8")
    assert (copies / "own.ipynb").read_text(encoding="utf-8") == "mine alone"

    (copies / "a.ipynb").rename(copies / "mine.ipynb")
    assert hand_out(edition, copies) == []
    assert "second" in (copies / "a.ipynb").read_text(encoding="utf-8")
    assert (copies / "mine.ipynb").read_text(encoding="utf-8") == mine
