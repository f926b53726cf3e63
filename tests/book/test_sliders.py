"""Sliders are made of opaque pictures of one size, linked in the browser."""

import base64
import io
import re

import matplotlib

matplotlib.use("agg")

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from nalu.book.sliders import flipbook


def line(slope: float, **settings: object) -> Figure:
    figure, axes = plt.subplots(figsize=(6.4, 4), **settings)
    axes.plot([-1, 1], [-slope, slope])
    axes.set_ylabel("y" if slope < 2 else "a longer\nlabel")  # moves what surrounds the axes
    return figure


def picture(frame: widgets.HTML) -> bytes:
    """The PNG in a frame."""
    return base64.b64decode(re.search(r'src="data:image/png;base64,([^"]+)"', frame.value)[1])


def test_one_picture_for_each_value_all_of_one_size_opaque_and_small() -> None:
    slider, stack = flipbook(line, [1, 2, 3], description="slope", label="{:g}×").children
    assert [name for name, _ in slider.options] == ["1×", "2×", "3×"]
    pictures = [Image.open(io.BytesIO(picture(frame))) for frame in stack.children]
    assert len({drawn.tobytes() for drawn in pictures}) == 3
    assert len({drawn.size for drawn in pictures}) == 1
    for drawn, frame in zip(pictures, stack.children, strict=True):
        assert drawn.convert("RGBA").getextrema()[3] == (255, 255)
        assert len(picture(frame)) < 40_000


@pytest.mark.parametrize("layout", [None, "constrained", "tight"])
def test_nothing_is_cut_off(layout: str | None) -> None:
    _, stack = flipbook(lambda slope: line(slope, layout=layout), [1, 2]).children
    for frame in stack.children:
        dark = np.asarray(Image.open(io.BytesIO(picture(frame))).convert("L")) < 200
        edges = dark[0], dark[-1], dark[:, 0], dark[:, -1]
        assert dark.any() and not any(edge.any() for edge in edges)


def test_the_link_lives_in_the_browser_and_no_figure_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    links = []
    monkeypatch.setattr(widgets, "jslink", lambda source, target: links.append((source, target)))
    before = plt.get_fignums()
    slider, stack = flipbook(line, [1, 2]).children
    assert plt.get_fignums() == before
    assert links == [((slider, "index"), (stack, "selected_index"))]


def test_a_label_may_be_a_function() -> None:
    slider, _ = flipbook(line, [1, 2], label=lambda value: f"±{value}").children
    assert [name for name, _ in slider.options] == ["±1", "±2"]


def test_no_values_is_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match=r"expects at least one value .* got none"):
        flipbook(line, [])


def test_drawing_something_else_than_a_figure_is_an_error_that_says_so() -> None:
    with pytest.raises(TypeError, match=r"draw\(5\) is expected .* a matplotlib Figure or text, and returned None"):
        flipbook(lambda value: None, [5])


def test_text_instead_of_pictures() -> None:
    _, stack = flipbook(lambda n: f"<b>{n}</b>", [3, 4], label="{}").children
    assert [frame.value for frame in stack.children] == ["<b>3</b>", "<b>4</b>"]
    assert all(isinstance(frame, widgets.HTML) for frame in stack.children)
    with pytest.raises(TypeError, match="some of either"):
        flipbook(lambda n: line(n) if n else "none", [0, 1])
