"""Sliders that move without a kernel: on the static page, in JupyterLab and in Colab, from one cell."""

import base64
import html
import io
from collections.abc import Callable, Iterable
from typing import TypeVar

from nalu import checks

with checks.extra("plots", "sliders"):
    import ipywidgets as widgets
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox
    from PIL import Image

    from nalu.book.descriptions import description as words_of

Value = TypeVar("Value")


def flipbook(
    draw: Callable[[Value], Figure | str],
    values: Iterable[Value],
    *,
    description: str = "range",
    label: str | Callable[[Value], str] = "{:g}",
    dpi: int = 144,
) -> widgets.VBox:
    """A slider over `values` with the figure at each, or the text: drawn once, here, and turned over in the browser.

    `draw(value)` makes the figure, or text in HTML; make them all of one size, or the page jumps. `label` is what the
    slider reads at a value: a format string, or a function. `dpi` is in dots per inch of figure; 144 is sharp on a
    phone, and most frames stay under 40 KB. Make it the last line of a cell.

    The alternative text of a frame is what `describe` and the functions of `nalu.book.plots` said of its figure, after
    what the slider reads.

    Raises ValueError where `values` is empty, TypeError where `draw` returns neither, or now one and now the other.
    """
    values = list(values)
    if not values:
        raise ValueError("flipbook expects at least one value to draw a figure at, and got none")
    read = label if callable(label) else label.format
    names = [f"{description} {read(value)}" for value in values]
    frames = _frames([_drawn(draw, value) for value in values], names, dpi)
    slider = widgets.SelectionSlider(
        options=[(read(value), i) for i, value in enumerate(values)],
        description=description,
        style={"description_width": "initial"},
        layout={"width": "100%", "max_width": "32rem"},
    )
    stack = widgets.Stack(frames, selected_index=0)
    widgets.jslink((slider, "index"), (stack, "selected_index"))  # lives in the browser, so needs no kernel
    return widgets.VBox([slider, stack])


def _drawn(draw: Callable[[Value], Figure | str], value: Value) -> Figure | str:
    """The figure at one value, closed, so that the notebook does not show it a second time; or the text."""
    drawn = draw(value)
    if isinstance(drawn, Figure):
        plt.close(drawn)
        drawn.draw_without_rendering()  # runs the layout, on which the crop depends
    elif not isinstance(drawn, str):
        raise TypeError(f"draw({value!r}) is expected to return a matplotlib Figure or text, and returned {drawn!r}")
    return drawn


def _frames(drawn: list[Figure] | list[str], names: list[str], dpi: int) -> list[widgets.HTML]:
    texts = [isinstance(frame, str) for frame in drawn]
    if all(texts):
        return [widgets.HTML(text) for text in drawn]
    if any(texts):
        raise TypeError("draw is expected to return figures or texts, and returned some of either")
    crop = Bbox.union([figure.get_tightbbox() for figure in drawn]).padded(0.1)  # one for all, so that none jumps
    return [
        widgets.HTML(picture(figure, f"{name}. {words_of(figure)}".strip(), crop, dpi))
        for figure, name in zip(drawn, names, strict=True)
    ]


def picture(figure: Figure, words: str, crop: Bbox, dpi: int) -> str:
    """What lies within `crop` (in inches) as an opaque PNG of 128 colours, a third of the size of a full one; in words.

    As HTML, for `widgets.Image` has no alternative text.
    """
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=dpi, facecolor="white", transparent=False, bbox_inches=crop)
    Image.open(full).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    data = base64.b64encode(small.getvalue()).decode()
    width = f"{96 * crop.width:.0f}px"  # 96 CSS pixels to the inch
    return (
        f'<img alt="{html.escape(words)}" style="width: {width}; max-width: 100%; height: auto" '
        f'src="data:image/png;base64,{data}">'
    )
