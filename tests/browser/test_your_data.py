"""Rows that a reader pastes: the formula that is found, and sentences for what cannot be read."""

import json
import math
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from helpers.alone import alone
from helpers.visiting import Visitor
from playwright.sync_api import Browser, Page

from nalu.live.your_data import YourData

pytestmark = [pytest.mark.browser, pytest.mark.slow]

X = (1 + 4 * torch.rand(60, 2, generator=torch.Generator().manual_seed(0))).round(decimals=2)
EXAMPLE = torch.cat([X, X[:, :1] / X[:, 1:]], 1)


class Data:
    def __init__(self, page: Page) -> None:
        self.page, self.root = page, page.locator(".live")
        self.text, self.told = self.root.get_by_role("textbox"), self.root.locator(".told")

    def button(self, name: str) -> object:
        return self.root.get_by_role("button", name=name, exact=True)

    def ended(self) -> str:
        self.page.wait_for_selector(".live[aria-busy=false]", timeout=60_000)
        return self.told.inner_text()

    def train(self, text: str) -> str:
        self.text.fill(text)
        self.button("Train").click()
        return self.ended()

    def error(self, name: str) -> str:
        return self.root.get_by_role("row", name=name).get_by_role("cell").first.inner_text()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return alone(YourData(EXAMPLE), tmp_path_factory.mktemp("data") / "data.html")


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert errors == []


@pytest.fixture
def data(page: Page, address: str) -> Data:
    page.goto(address)
    data = Data(page)
    data.ended()
    return data


def rows(function: Callable[[float, float], float], low: float, high: float, count: int = 100) -> str:
    rng = random.Random(0)
    pairs = [(round(rng.uniform(low, high), 3), round(rng.uniform(low, high), 3)) for _ in range(count)]
    return "\n".join(f"{a} {b} {function(a, b):.6g}" for a, b in pairs)


NOISE = random.Random(1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (rows(lambda a, b: a * b, -5, 5), "y = x1 · x2, found by NMU. "),
        (rows(lambda a, b: math.sqrt(a) / b, 1, 5), "y = √x1 / x2, found by RealNPU"),
        (rows(lambda a, b: 3.7 * a - 2 * b + 5, 0, 10), "y = 3.7 · x1 − 2 · x2 + 5, found by Linear"),
        (rows(lambda a, b: a - b, -5, 5), "y = x1 − x2, found by "),
        (rows(lambda a, b: a * b * (1 + 0.02 * NOISE.gauss(0, 1)), 1, 5), "y = x1 · x2, found by "),
        (rows(lambda a, b: math.hypot(a, b), 1, 5), "MLP is best, with no formula to read off. "),
    ],
    ids=["product", "root", "line", "difference", "noise", "hypotenuse"],
)
def test_it_finds_what_there_is_to_find(text: str, found: str, data: Data) -> None:
    said = data.train(text)
    assert said.startswith(found), said
    assert "rows that nothing was trained on or chosen by" in said
    drawn = data.root.locator("path").evaluate_all("all => all.map(path => path.getAttribute('d'))")
    assert not re.search("NaN|Infinity|undefined", said + " ".join(drawn))
    if found.endswith("NMU. "):
        assert float(data.error("NALU").rstrip("%")) > 10  # as the page says, it cannot tell signs


def test_the_pages_example_is_a_quotient(visit: Visitor) -> None:
    seen = visit("notebooks/10-your-data.html")
    assert Data(seen.page).ended().startswith("y = x1 / x2, found by ")
    assert seen.errors == [] and seen.foreign == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Paste some rows first"),
        ("1 2 3\n1 x 3", "Line 2: expected a number, got “x”."),
        (rows(lambda a, b: a, 1, 2, 10), "Expected at least 20 rows"),
        ("1 2 1e300", "Line 1: expected numbers of at most a million"),
    ],
)
def test_what_cannot_be_read_gets_a_sentence(text: str, problem: str, data: Data) -> None:
    said = data.train(text)
    assert said.startswith(problem), said
    assert data.text.get_attribute("aria-invalid") == "true" and data.button("As notebook").is_disabled()
    assert data.error("NMU").strip() == ""
    data.button("The example").click()
    assert data.ended().startswith("y = x1 / x2") and data.text.get_attribute("aria-invalid") is None


def test_rows_that_no_unit_survives_are_told_as_such(data: Data) -> None:
    said = data.train(rows(lambda a, b: a * b * 1e-6, -1e6, 1e6, 40))
    assert not re.search("NaN|Infinity|undefined", said + data.root.inner_text())


def test_stop_stops_and_another_run_replaces_the_first(data: Data) -> None:
    text = rows(lambda a, b: a + b, 1, 5, 5000)
    data.text.evaluate("(area, text) => (area.value = text)", text)  # typing it would take long, which pasting does not
    data.button("Train").click()
    data.button("Stop").click()
    assert data.ended() == "Stopped." and data.button("Stop").is_disabled()
    data.button("Train").click()
    assert data.train(rows(lambda a, b: a * b, 1, 5)).startswith("y = x1 · x2")


def test_what_is_taken_home_trains_the_same(data: Data) -> None:
    with data.page.expect_download() as told:
        data.button("As notebook").click()
    code = json.loads(Path(told.value.path()).read_text(encoding="utf-8"))["cells"][0]["source"]
    exec("".join(code), {"__name__": "notebook"})  # which asserts that the networks have the page's bits


def test_python_is_told_of_what_was_asked_for(data: Data) -> None:
    assert data.page.evaluate("saved.length") == 0
    data.train(rows(lambda a, b: a * b, 1, 5))
    sizes = data.page.evaluate(
        "Object.entries(saved.at(-1).trained).map(([name, { byteLength }]) => [name, byteLength])"
    )
    assert dict(sizes)["NMU"] == 4 * 16 * 2 and len(sizes) == 7


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_jumps_and_nothing_sticks_out(width: int, page: Page, address: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(address)
    data = Data(page)
    plot = data.root.locator("svg.plot")
    data.ended()
    box = plot.bounding_box()
    data.button("Train").click()
    assert plot.bounding_box() == box
    data.ended()
    assert plot.bounding_box() == box
    assert page.evaluate("document.documentElement.scrollWidth") <= width
