"""Sliders that move without a kernel: on the static page, in JupyterLab and in Colab, from one cell."""

import io
from collections.abc import Callable, Iterable
from typing import TypeVar

import ipywidgets as widgets
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

Value = TypeVar("Value")


def flipbook(
    draw: Callable[[Value], Figure],
    values: Iterable[Value],
    *,
    description: str = "range",
    label: str | Callable[[Value], str] = "{:g}",
    dpi: int = 144,
) -> widgets.VBox:
    """A slider over `values` with the figure at each: drawn once, here, and turned over in the browser.

    `draw(value)` makes the figure; draw them all at one size, or the page jumps. `label` is what the slider reads at a
    value: a format string, or a function. `dpi` is in dots per inch of figure; 144 is sharp on a phone, and most frames
    stay under 40 KB. Make it the last line of a cell.

    Raises ValueError where `values` is empty, TypeError where `draw` returns something other than a figure.
    """
    values = list(values)
    if not values:
        raise ValueError("flipbook expects at least one value to draw a figure at, and got none")
    frames = [_image(draw(value), value, dpi) for value in values]
    read = label if callable(label) else label.format
    slider = widgets.SelectionSlider(
        options=[(read(value), i) for i, value in enumerate(values)],
        description=description,
        style={"description_width": "initial"},
        layout={"width": "100%", "max_width": "32rem"},
    )
    stack = widgets.Stack(frames, selected_index=0)
    widgets.jslink((slider, "index"), (stack, "selected_index"))  # lives in the browser, so needs no kernel
    return widgets.VBox([slider, stack])


def _image(figure: Figure, value: object, dpi: int) -> widgets.Image:
    """The figure as an opaque PNG of few colours, which is a third of the size; the figure is closed."""
    if not isinstance(figure, Figure):
        raise TypeError(f"draw({value!r}) is expected to return a matplotlib Figure, and returned {figure!r}")
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=dpi, facecolor="white", transparent=False, bbox_inches=None)
    width = figure.get_figwidth() * 96  # CSS pixels: the size it has as an ordinary output
    plt.close(figure)
    Image.open(full).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    layout = {"width": f"{width:.0f}px", "max_width": "100%", "height": "auto"}
    return widgets.Image(value=small.getvalue(), format="png", layout=layout)
