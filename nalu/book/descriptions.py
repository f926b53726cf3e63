"""What a figure shows, in words: its alternative text, for those who do not see it.

`describe` may be called for a figure and for its parts. The figure's own words come first, then those of its axes in
their order: the functions of `nalu.book.plots` write them from the numbers that they draw, and of axes that nobody
described, lines with a label are read off.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import SupportsFloat
from weakref import WeakKeyDictionary

from nalu import checks

with checks.extra("plots", "figures"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_words: WeakKeyDictionary[Figure | Axes, str] = WeakKeyDictionary()


def describe(what: Figure | Axes, words: str) -> None:
    """Say what a figure, or one of its axes, shows, in place of what was said before.

    A notebook that shows the figure keeps the words with the picture: as `alt` in its metadata, as
    `IPython.display.Image` has it, and as plain text.
    """
    _words[what] = " ".join(words.split())
    figure = what if isinstance(what, Figure) else what.figure
    figure._repr_mimebundle_ = partial(_bundle, figure)  # IPython asks an object for this, and adds the picture


def description(figure: Figure) -> str:
    """The words of a figure and its axes, or nothing."""
    parts = [_words.get(figure, "")]
    for axes in figure.axes:
        if words := _words.get(axes) or _read_off(axes):
            title = "".join(axes.get_title(where) for where in ("left", "center", "right"))
            title = re.sub(r"[$\\]", "", title)  # of a formula, what can be said
            parts.append(f"{title}: {words}" if title else words[0].upper() + words[1:])
    return " ".join(part if part.endswith((".", ":")) else f"{part}." for part in parts if part)


def _read_off(axes: Axes) -> str:
    """Where each line that has a label begins and ends."""
    lines = [line for line in axes.lines if len(line.get_xdata()) > 1 and not line.get_label().startswith("_")]
    if not lines:
        return ""
    first, last = (number(lines[0].get_xdata()[end]) for end in (0, -1))
    said = (
        f"{line.get_label()} from {number(line.get_ydata()[0])} to {number(line.get_ydata()[-1])}" for line in lines
    )
    return f"from {first} to {last}: {'; '.join(said)}"


def number(value: SupportsFloat) -> str:
    """Three significant digits, as they are read: 0.0123, 1,230, or 1.2e-07."""
    return f"{float(f'{float(value):.3g}'):,.12g}"


def listed(values: Mapping[str, SupportsFloat]) -> str:
    """Names with their numbers, in a row."""
    return "; ".join(f"{name} {number(value)}" for name, value in values.items())


def _bundle(figure: Figure, **_: object) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    words = description(figure)
    return {"text/plain": words}, {"image/png": {"alt": words}}
