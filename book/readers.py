"""The readers' edition of the notebooks: what JupyterLab, VS Code, Colab and a forge's preview show as it is meant.

    python book/readers.py              makes _build/readers, and prints its path

The notebooks in notebooks/ are the authors': their text has MyST's syntax, which only the site's builder reads, and
numbers that are missing until they are executed. Here each has its text as plain Markdown, with every number, figure,
citation and reference in its place (from `sphinx-tojupyter`, which writes the resolved document), its code cells and
outputs whole (from the last execution), its solutions and plumbing folded, and a first cell that installs what is
missing. A notebook that was not executed has an ellipsis where numbers and figures belong.
"""

import base64
import io
import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from execute import alone, digest
from nbformat import NotebookNode
from pairs import ROOT
from PIL import Image, ImageDraw

EDITION = ROOT / "_build/readers"
WITHOUT_CODE = ("glossary", "references")  # pages of the site that notebooks link to
PASTED = "application/papermill.record/"  # what is glued into text, and shown nowhere else
WIDGET, STATE = "application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json"
UNKNOWN = "…"
STAMP = ".made-from"
ANCHORS = r"(<a [^>]*></a>\s*)*"

FIRST = """\
# Installs the book's package where it is missing, as on Colab; elsewhere there is nothing to install.
import importlib.util

if not importlib.util.find_spec("nalu"):
    {install}
%load_ext nalu.book.cells"""


def install() -> str:
    """What the first cell does where there is no package: get it from the address of the repository, if known."""
    url = os.environ.get("BOOK_REPOSITORY_URL", "").rstrip("/")
    if not url:
        return (
            'raise ModuleNotFoundError("run `pip install .[book]` in a checkout of the book, then restart the kernel")'
        )
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, encoding="utf-8")
    at = f"@{commit.stdout.strip()}" if commit.returncode == 0 else ""
    return f'%pip install --quiet "neural-arithmetic[plots,language] @ git+{url}{at}"'


def awaited(notebook: NotebookNode) -> NotebookNode:
    """A notebook that was not executed, with an ellipsis glued to each name that its text asks for."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    names = sorted({*re.findall(r"\{glue:\w+\}`(\w+)`", text), *re.findall(r"\{glue:\w+\} (\w+)", text)})
    pasted = {PASTED + "text/plain": repr(UNKNOWN), PASTED + "image/png": _placeholder()}
    glued = [
        nbformat.v4.new_output("display_data", pasted, metadata={"scrapbook": {"name": name, "mime_prefix": PASTED}})
        for name in names
    ]
    next(cell for cell in notebook.cells if cell.cell_type == "code").outputs = glued
    notebook.metadata.language_info = {"name": "python", "pygments_lexer": "ipython3"}
    return notebook


def _placeholder() -> str:
    """A picture in the place of one that is not drawn yet."""
    image, file = Image.new("RGB", (560, 60), "white"), io.BytesIO()
    ImageDraw.Draw(image).text((10, 22), "This figure is drawn further down, when the cells are run.", "dimgray")
    image.save(file, format="png")
    return base64.b64encode(file.getvalue()).decode()


def gather(scratch: Path, *, unexecuted: bool = False) -> Path:
    """A folder in `scratch` with all that the site is built from: the executed notebooks, and where `unexecuted` is
    true, those that were not."""
    source = scratch / "source"
    shutil.copytree(ROOT / "book", source / "book", ignore=shutil.ignore_patterns("tables", "__pycache__", ".*"))
    for file in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / file, source)
    (source / "notebooks").mkdir()
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        executed = ROOT / ".executed/notebooks" / notebook.name
        if executed.exists():
            shutil.copy(executed, source / "notebooks")
        elif unexecuted:
            nbformat.write(awaited(nbformat.read(notebook, as_version=4)), source / "notebooks" / notebook.name)
    return source


def resolved(source: Path, scratch: Path) -> dict[str, NotebookNode]:
    """By name, the resolved pages of a book's sources. Exits with the builder's own words where it warns or fails."""
    command = [
        str(Path(sys.executable).with_name("jupyter-book")),
        "build",
        str(source),
        "--path-output",
        str(scratch),
        "-W",
    ]
    command += ["--quiet", "--keep-going", "--builder", "custom", "--custom-builder", "jupyter"]
    pipes = {"encoding": "utf-8", "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    result = subprocess.run(command, env=os.environ | {"PYTHONUTF8": "1"}, **pipes)
    if result.returncode:
        sys.exit(result.stdout)
    return {p.stem: nbformat.read(p, as_version=4) for p in (scratch / "_build/jupyter").glob("*/*.ipynb")}


def plain(text: str) -> str:
    """Text of the resolved page, as Markdown that means the same everywhere."""
    text = re.sub(r"(?<![\\$])\$ ([^$]+?) \$(?!\$)", r"$\1$", text)  # VS Code takes no spaces there
    text = re.sub(r"(<a id=[^>]*></a>)\n(?=\$\$)", r"\1\n\n", text)  # a formula of its own, not a line of HTML
    text = re.sub(r"\]\((\.\./)?(book|notebooks)/", "](", text)  # all notebooks lie in one folder
    text = re.sub(r"\[([^][]*)\]\(#term-[^)]*\)", r"\1", text)  # within the glossary; see _link
    text = re.sub(r"\[([^][]*)\]\((?!https?:|#|data:)([^)#\s]+)[^)\s]*\)", _link, text)
    text = re.sub(r"(<img [^>]*>\s*)([^\n]+?)  \n", r"\1*\2*\n\n", text)  # a caption is not the next paragraph
    return re.sub(r"<img [^>]*>", _figure, text)


def _link(link: re.Match[str]) -> str:
    """A link to another notebook; of one to a page that is on the site alone, such as the reference, the words."""
    name = link[2].removesuffix(".ipynb")
    if name == "glossary":  # its entries are no places that a link can lead to
        return f"[{link[1]}](glossary.ipynb)"
    return link[0] if name in WITHOUT_CODE or (ROOT / f"notebooks/{name}.ipynb").exists() else link[1]


def _figure(image: re.Match[str]) -> str:
    """A picture in Markdown, which Colab shows, too."""
    told = dict(re.findall(r'(\w+)="([^"]*)"', image[0]))
    words = re.sub(r"([][])", r"\\\1", told.get("alt", ""))
    return f"![{words}]({told['src']})"


def divided(texts: list[str]) -> list[str]:
    """The text between two code cells, a piece for each section, and one for each picture, whose data is long."""
    parts = [part.strip("\n") for text in texts for part in re.split(r"(!\[[^\n]*\]\(data:[^\n]*\))", text)]
    found: list[str] = []
    for part in filter(None, parts):
        alone = re.match(rf"!\[|{ANCHORS}(#|$)", part)
        if found and (re.fullmatch(ANCHORS, found[-1]) or not (alone or found[-1].startswith("!["))):
            found[-1] += f"\n\n{part}"
        else:
            found.append(part)
    return found


def anchored(cells: list[NotebookNode]) -> None:
    """Give each heading that the text links to an anchor: JupyterLab, VS Code and Colab name headings differently."""
    wanted = {name for cell in cells for name in re.findall(r"\]\(#([\w-]+)\)", cell.source)}
    for cell in cells:
        if heading := re.match(rf"{ANCHORS}#+ (.+)", cell.source):
            name = re.sub(r"[^\w-]", "", heading[2].lower().replace(" ", "-"))
            if name in wanted and f"<a id='{name}'>" not in cell.source:
                cell.source = f"<a id='{name}'></a>\n\n{cell.source}"


def still(output: NotebookNode, state: dict) -> NotebookNode:
    """An output, and where it is a slider over figures, with one of them for what shows no widgets, such as a forge."""
    if WIDGET in output.get("data", {}):
        waiting, frames = [output.data[WIDGET]["model_id"]], []
        while waiting:
            model = state.get(waiting.pop().removeprefix("IPY_MODEL_"), {}).get("state", {})
            waiting += model.get("children", [])
            frames += re.findall(
                r'src="data:image/png;base64,([^"]+)"', f"{model.get('value', '')}{model.get('still', '')}"
            )
        if frames:
            output.data["image/png"] = frames[len(frames) // 2]  # says more than the first
    return output


def folded(cell: NotebookNode, state: dict | None = None) -> NotebookNode:
    """A code cell with its outputs, as the site shows it: hidden there is folded here, in JupyterLab and Colab."""
    tags = cell.metadata.get("tags", [])
    hides_code, hides_output = "hide-input" in tags or "hide-cell" in tags, "hide-output" in tags or "hide-cell" in tags
    metadata = {"tags": tags} if tags else {}
    if hides_code or hides_output:
        metadata["jupyter"] = {"source_hidden": hides_code, "outputs_hidden": hides_output}
    if hides_code:
        metadata["cellView"] = "form"  # Colab's
    shown = [
        still(output, state or {})
        for output in cell.outputs
        if not any(kind.startswith(PASTED) for kind in output.get("data", {}))
    ]
    new = {"metadata": metadata, "outputs": shown, "execution_count": cell.execution_count}
    return nbformat.v4.new_code_cell(cell.source, **new)


def edition(page: NotebookNode, executed: NotebookNode | None) -> NotebookNode:
    """One notebook of the edition: the text of its resolved page, and the code of the executed notebook.

    Raises:
        ValueError: the two have not the same code cells.
    """
    code = [cell for cell in executed.cells if cell.cell_type == "code"] if executed else []
    if [cell.source.strip() for cell in page.cells if cell.cell_type == "code"] != [c.source.strip() for c in code]:
        raise ValueError(f"{page.metadata.get('title')}: the code of the resolved page is not that of the notebook")
    rest = iter(code)
    state = executed.metadata.get("widgets", {}).get(STATE, {}).get("state", {}) if executed else {}
    cells: list[NotebookNode] = []
    for kind, group in itertools.groupby(page.cells, key=lambda cell: cell.cell_type):
        if kind == "code":
            cells += [folded(next(rest), state) for _ in group]
        else:
            pieces = divided([plain(cell.source) for cell in group])
            cells += [nbformat.v4.new_markdown_cell(piece) for piece in pieces]
    anchored([cell for cell in cells if cell.cell_type == "markdown"])
    if code:
        first = nbformat.v4.new_code_cell(FIRST.format(install=install()), metadata={"tags": ["hide-input"]})
        cells.insert(next(i for i, cell in enumerate(cells) if cell.cell_type == "code"), folded(first))
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # the same in every build
    metadata = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
    if executed:
        metadata |= {key: executed.metadata[key] for key in ("language_info", "widgets") if key in executed.metadata}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def inputs() -> str:
    """A digest of all that the edition is made from."""
    parts = ("book", "notebooks", "_config.yml", "_toc.yml", ".executed/notebooks")
    return digest([ROOT / part for part in parts], install())


def editions(source: Path, scratch: Path, folder: Path) -> None:
    """Write the edition of a book's sources into `folder`, which is made."""
    folder.mkdir()
    (folder / STAMP).write_text(inputs(), encoding="utf-8")
    for name, page in resolved(source, scratch).items():
        notebook = source / f"notebooks/{name}.ipynb"
        if notebook.exists() or name in WITHOUT_CODE:
            executed = nbformat.read(notebook, as_version=4) if notebook.exists() else None
            nbformat.write(edition(page, executed), folder / f"{name}.ipynb")


def make(folder: Path = EDITION) -> None:
    """Bring the edition up to date, with what is executed and what is not."""
    if (folder / STAMP).exists() and (folder / STAMP).read_text(encoding="utf-8") == inputs():
        return
    with alone(ROOT / "_build") as scratch:
        editions(gather(scratch, unexecuted=True), scratch, scratch / "readers")
        if folder.exists():
            folder.rename(scratch / "old")
        (scratch / "readers").rename(folder)


if __name__ == "__main__":
    make()
    print(EDITION)
