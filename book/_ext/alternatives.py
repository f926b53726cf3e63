"""What stands for a picture where it can't be seen: its words, and one frame of a slider where no script runs.

Both lie in the notebook that the page was made from. MyST-NB takes neither over: of an output's metadata it reads the
size alone, and of a slider it writes what a script will read.
"""

import hashlib
import html
import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

WIDGET = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


def add(app: Sphinx, doctree: nodes.document) -> None:
    """Give each picture of a page its words, and each slider a frame for browsers without scripts."""
    source = Path(app.env.doc2path(app.env.docname))
    if source.suffix != ".ipynb":
        return
    notebook = json.loads(source.read_text(encoding="utf-8"))
    words = dict(described(notebook))
    for image in doctree.findall(nodes.image):
        if alt := words.get(Path(image["uri"]).stem):
            image["alt"] = alt
    state = notebook["metadata"].get("widgets", {}).get(STATE, {}).get("state", {})
    for script in list(doctree.findall(lambda node: isinstance(node, nodes.raw) and WIDGET in node.astext())):
        model = json.loads(script.astext().partition(">")[2].rpartition("<")[0])["model_id"]
        script.parent.insert(script.parent.index(script) + 1, nodes.raw(text=still(model, state), format="html"))
        if "still" in state.get(model, {}).get("state", {}):
            script.parent["classes"].append("trains")  # its place is kept, see book.css


def described(notebook: dict) -> Iterator[tuple[str, str]]:
    """The name that MyST-NB gives to each picture's file, a digest, and the picture's words."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            alt = output.get("metadata", {}).get("image/png", {}).get("alt")
            for kind, data in output.get("data", {}).items():
                if alt and kind.endswith("image/png"):  # a glued one has a prefix
                    yield hashlib.sha256(b64decode("".join(data))).hexdigest(), alt


def still(model: str, state: dict) -> str:
    """The middle frame of a flipbook, which says more than the first; of a widget that trains, its own still."""

    def of(reference: str) -> dict:
        return state[reference.removeprefix("IPY_MODEL_")]

    if picture := of(model)["state"].get("still"):
        return f"<noscript>{picture}<p>The networks of this figure train where JavaScript is allowed.</p></noscript>"
    children = [of(child) for child in of(model)["state"].get("children", [])]
    if [child["model_name"] for child in children] != ["SelectionSliderModel", "StackModel"]:
        return ""
    slider, stack = (child["state"] for child in children)
    frames = stack["children"]
    middle = len(frames) // 2
    read = f"{slider['description']} {slider['_options_labels'][middle]}"
    note = f"One of {len(frames)} frames, at {read}. The slider that turns them over needs JavaScript."
    return f"<noscript>{of(frames[middle])['state']['value']}<p>{html.escape(note)}</p></noscript>"


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", add)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
