"""Every picture of the executed notebooks has an alternative text, with numbers that the run made."""

import copy
import html
import json
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from execute import ROOT

pytestmark = pytest.mark.slow

STATE = "application/vnd.jupyter.widget-state+json"
GLUED = "application/papermill.record/"
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


def told(words: str, code: str) -> str:
    """What is wrong with an alternative text beside this code, or nothing."""
    if not words.strip():
        return "no alternative text: say what the figure shows, by `plots.describe(figure, words)`"
    if all(re.search(rf"(?<![\d.]){re.escape(number)}(?![\d.]*\d)", code) for number in NUMBER.findall(words)):
        return f"no number from the run in {words!r}"
    return ""


def frames(notebook: dict) -> list[tuple[list[str], list[str]]]:
    """Of each slider, what it reads and its frames in HTML. A picture that is no HTML has no alternative text."""
    state = {key: model["state"] for key, model in notebook["metadata"].get("widgets", {})[STATE]["state"].items()}

    def of(references: list[str]) -> list[dict]:
        return [state[reference.removeprefix("IPY_MODEL_")] for reference in references]

    found = []
    for model in state.values():
        children = of(model.get("children", []))
        if [child["_model_name"] for child in children] == ["SelectionSliderModel", "StackModel"]:
            slider, stack = children
            read = [f"{slider['description']} {label}. " for label in slider["_options_labels"]]
            found.append((read, [str(frame.get("value", "<img>")) for frame in of(stack["children"])]))
    return found


def faults(notebook: dict) -> list[str]:
    """What is wrong with the alternative texts of an executed notebook."""
    found = []
    code = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            data = {kind.removeprefix(GLUED): of for kind, of in output.get("data", {}).items()}
            if "image/png" in data:
                words = output["metadata"].get("image/png", {}).get("alt", "")
                found.append(told(words, code))
                if words != "".join(data["text/plain"]):
                    found.append(f"{words!r} is not what is shown where pictures are not")
    if STATE in notebook["metadata"].get("widgets", {}):
        for read, drawn in frames(notebook):
            if not any("<img" in frame for frame in drawn):
                continue
            alts = [(re.findall(r'<img [^>]*?alt="([^"]*)"', frame) or [""])[0] for frame in drawn]
            words = [html.unescape(alt).removeprefix(at) for alt, at in zip(alts, read, strict=True)]
            found += [told(each, code) for each in words]
            if len(set(words)) == 1 < len(words):
                found.append(f"all frames have one alternative text, {words[0]!r}")
    return [fault for fault in found if fault]


@pytest.fixture(scope="module")
def executed() -> dict[str, dict]:
    subprocess.run([sys.executable, str(ROOT / "book/execute.py")], check=True)
    paths = sorted((ROOT / ".executed/notebooks").glob("*.ipynb"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


@pytest.mark.parametrize("name", [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))])
def test_every_picture_has_an_alternative_text(name: str, executed: dict[str, dict]) -> None:
    assert faults(executed[name]) == []


PICTURE = {
    "data": {"image/png": "iVBORw0K", "text/plain": ["NAC 0.123."]},
    "metadata": {"image/png": {"alt": "NAC 0.123."}},
}
FRAMES = [f'<img alt="range {label}. NAC {value}." src="data:">' for label, value in (("±5", 0.7), ("±20", 0.8))]


def notebook(picture: dict = PICTURE, drawn: list[str] = FRAMES) -> dict:
    """One figure and one slider of two frames, of a cell with some numbers of its own."""
    state = {
        "box": {"_model_name": "VBoxModel", "children": ["IPY_MODEL_slider", "IPY_MODEL_stack"]},
        "slider": {"_model_name": "SelectionSliderModel", "description": "range", "_options_labels": ["±5", "±20"]},
        "stack": {"_model_name": "StackModel", "children": ["IPY_MODEL_0", "IPY_MODEL_1"]},
        **{str(i): {"_model_name": "HTMLModel", "value": value} for i, value in enumerate(drawn)},
    }
    code = {"cell_type": "code", "source": ["steps = 10_000\n", "x = 0.5"], "outputs": [copy.deepcopy(picture)]}
    return {
        "cells": [code],
        "metadata": {"widgets": {STATE: {"state": {key: {"state": of} for key, of in state.items()}}}},
    }


def test_what_is_right_is_not_found() -> None:
    assert faults(notebook()) == []
    assert faults(notebook(drawn=["<table>5</table>", "<table>20</table>"])) == []  # a text is its own


@pytest.mark.parametrize(
    ("words", "fault"),
    [("", "no alternative text"), (" ", "no alternative text"), ("A line.", "no number"), ("At 0.5.", "no number")],
)
@pytest.mark.parametrize("prefix", ["", GLUED])
def test_a_figure_without_words_or_numbers_is_found(words: str, fault: str, prefix: str) -> None:
    data = {f"{prefix}image/png": "iVBORw0K", f"{prefix}text/plain": [words]}
    (found,) = faults(notebook({"data": data, "metadata": {"image/png": {"alt": words}}}))
    assert fault in found


def test_a_figure_that_nobody_described_is_found() -> None:
    bare = {"data": {"image/png": "iVBORw0K", "text/plain": ["<Figure size 700x550 with 2 Axes>"]}, "metadata": {}}
    assert "no alternative text" in faults(notebook(bare))[0]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda frame: re.sub('alt="[^"]*"', "", frame), "no alternative text"),
        (lambda frame: re.sub('alt="[^"]*"', 'alt=""', frame), "no alternative text"),
        (lambda frame: re.sub(r"NAC [\d.]+\.", "", frame), "no alternative text"),
        (lambda frame: re.sub(r"NAC [\d.]+\.", "NAC.", frame), "no number"),
        (lambda frame: re.sub(r"NAC [\d.]+\.", "NAC 0.7.", frame), "all frames have one"),
    ],
)
def test_a_frame_without_words_of_its_own_is_found(change: Callable[[str], str], fault: str) -> None:
    found = faults(notebook(drawn=[change(frame) for frame in FRAMES]))
    assert found and all(fault in each or "all frames have one" in each for each in found)
    assert any(fault in each for each in found)
