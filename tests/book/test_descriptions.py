"""What figures show is said in words, with the numbers that they draw, and the words go where the figure goes."""

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import select_figure_formats

from nalu import Estimate
from nalu.book import plots
from nalu.book.descriptions import describe, description, listed, number
from nalu.book.sliders import flipbook


@pytest.mark.parametrize(
    ("value", "read"),
    [(0.012345, "0.0123"), (1234.5, "1,230"), (1.234e-7, "1.23e-07"), (-5, "-5"), (0, "0"), (np.inf, "inf")],
)
def test_a_number_has_three_digits(value: float, read: str) -> None:
    assert number(value) == read


def test_the_figure_comes_first_then_its_axes_by_title() -> None:
    figure, (left, right, bare) = plt.subplots(1, 3)
    left.set_title("On the $left$")
    right.set_title("Right", loc="left")
    describe(right, "b is\n 2.")
    describe(left, "a is 1")
    assert description(figure) == "On the left: a is 1. Right: b is 2."
    describe(figure, "Finding")
    describe(bare, "none 3")
    assert description(figure) == "Finding. On the left: a is 1. Right: b is 2. None 3."
    describe(left, "a is 9")
    assert "a is 9" in description(figure) and "a is 1" not in description(figure)


def test_lines_that_nobody_described_are_read_off() -> None:
    figure, axes = plt.subplots()
    assert description(figure) == ""
    axes.plot([1, 2, 10], [0.5, 7, 123.4], label="NAC")
    axes.plot([1, 2, 10], [0, 0, 0])
    assert description(figure) == "From 1 to 10: NAC from 0.5 to 123."


def test_a_notebook_keeps_the_words_with_the_picture() -> None:
    shell = InteractiveShell.instance()
    select_figure_formats(shell, {"png"})
    figure, axes = plt.subplots()
    describe(axes, "NAC 0.25")
    data, metadata = shell.display_formatter.format(figure)
    assert data["image/png"] and data["text/plain"] == "NAC 0.25."
    assert metadata["image/png"] == {"alt": "NAC 0.25."}


def test_each_kind_of_figure_says_its_numbers() -> None:
    figure, (a, b, c) = plt.subplots(3)
    plots.dots(a, {"NAC": Estimate(0.25, 0, 1, 5), "NALU": Estimate(3, 2, 4, 5)}, "error")
    plots.curves(b, [0, 5, 7, 9], {"NAC": np.array([[1.0, 2, 3, 4]])})
    plots.strips(c, {"NAC": [1e-9, 1e-9], "NALU, stored": [0.1, 0.2, np.nan], "RNN": [9, 99, np.inf]}, {}, (1e-6, 10))
    assert description(figure) == (
        "Error, largest first: NALU 3; NAC 0.25. Mean at 0, 7, 9: NAC 1, 3, 4. "
        "Median NAC 1e-06 or less; NALU, stored 0.2; RNN 10 or more."
    )


def test_panels_of_strips_say_how_many_replicas_stay_below() -> None:
    values = {("a + b", "NAC"): [0.1, 0.2], ("a * b", "NAC"): [0.3, 4.0], ("a * b", "NALU"): [5.0, np.nan]}
    words = description(plots.strip_panels(values, {}, limits=(1e-3, 1e3), threshold=1, label="% of it"))
    assert words == (
        "Share of replicas not beyond the dashed line at 1 % of it: NAC 75%, NALU 0%. "
        "a + b: median NAC 0.15. a * b: median NAC 2.15; NALU 502."
    )


def test_shares_and_learning() -> None:
    grid = pd.DataFrame({"[1, 2]": [1.0, 0.5], "[2, 6]": [1.0, 0.25]}, index=["NAU", "NALU"])
    assert description(plots.shares({"a + b": grid})) == "a + b: mean of each row, in percent: NAU 100; NALU 37.5."
    rows = [(model, 0, step, value / (step + 1)) for model, value in (("NAC", 1), ("NALU", 8)) for step in (0, 1, 3)]
    retired = [row for row in rows if row[0] == "NAC" or row[2] < 3]
    words = description(plots.learning(pd.DataFrame(retired, columns=["model", "seed", "step", "loss"]), ["loss"]))
    assert words == "loss: median at 0, 1, 3: NAC 1, 0.5, 0.25; NALU 8, 4, 4."


def test_a_frame_of_a_slider_says_where_it_is_and_what_it_shows() -> None:
    def draw(slope: float) -> plt.Figure:
        figure, axes = plt.subplots()
        axes.plot([0, 1], [0, slope], label='"<NAC>"')
        return figure

    _, stack = flipbook(draw, [2, 3], description="slope", label="±{:g}").children
    alts = [frame.value for frame in stack.children]
    assert 'alt="slope ±2. From 0 to 1: &quot;&lt;NAC&gt;&quot; from 0 to 2."' in alts[0]
    assert 'alt="slope ±3. From 0 to 1: &quot;&lt;NAC&gt;&quot; from 0 to 3."' in alts[1]


def test_names_with_their_numbers() -> None:
    assert listed({"NAC": 0.12345, "NALU": 1e9}) == "NAC 0.123; NALU 1,000,000,000"
