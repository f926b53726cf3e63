"""A NALU by hand, alone in a page: a hand that sets it, descent that goes on and stops, and nothing that breaks it."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.alone import alone
from helpers.visiting import eventually
from playwright.sync_api import Browser, Locator, Page

from nalu import Recipe, fit
from nalu.live.by_hand import START, ByHand, WholePairs, nalu_of
from nalu.live.programs import LANES, digest
from nalu.tasks.functions import FUNCTIONS

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Hand:
    """The widget as a reader meets it."""

    def __init__(self, page: Page) -> None:
        self.page, self.root = page, page.locator(".live")
        self.told, self.inside, self.said = (self.root.locator(f".{name}") for name in ("told", "inside", "said"))
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def settled(self) -> str:
        """What it tells once nothing is in training."""
        self.page.wait_for_selector(".live[aria-busy=false]", timeout=30_000)
        return self.told.inner_text()

    def control(self, role: str, name: str) -> Locator:
        return self.root.get_by_role(role, name=name, exact=True)

    def click(self, name: str) -> str:
        self.control("button", name).click()
        return self.settled()

    def press(self, name: str, *keys: str) -> str:
        self.control("slider", name).focus()
        for key in keys:
            self.page.keyboard.press(key)
        return self.settled()

    def write(self, name: str, text: str) -> str:
        self.control("textbox", name).fill(text)
        return self.settled()

    def choose(self, name: str, option: str) -> str:
        self.control("combobox", name).select_option(option)
        return self.settled()

    @property
    def values(self) -> list[str]:
        return [each.get_attribute("aria-valuetext") for each in self.root.get_by_role("slider").all()]


@pytest.fixture(scope="module")
def widget() -> ByHand:
    return ByHand()


@pytest.fixture
def opened(chromium: Browser, widget: ByHand, tmp_path: Path) -> Iterator[Callable[..., Hand]]:
    pages = []

    def open_page(theme: str = "light", width: int = 1280, after: str = "") -> Hand:
        pages.append(chromium.new_page(viewport={"width": width, "height": 900}))
        hand = Hand(pages[-1])
        hand.page.goto(alone(widget, tmp_path / "page.html", theme) + after)
        hand.settled()
        return hand

    yield open_page
    for page in pages:
        page.close()


def test_keys_move_a_weight_and_the_answer_follows(opened: Callable[..., Hand]) -> None:
    hand = opened()
    before, curve = hand.told.inner_text(), hand.root.locator("path.curve").get_attribute("d")
    after = hand.press("G of a", "ArrowLeft", "ArrowLeft", "ArrowLeft")
    assert after != before and after.startswith("Asked for a * b where a is 3 and b is 4, it answers")
    assert hand.root.locator("path.curve").get_attribute("d") != curve
    assert hand.values == ["1", "−0.5", "1", "1", "−0.3", "0"]
    assert "The gate is 0.2891" in hand.inside.inner_text()  # sigmoid(-0.3 * 3)
    assert hand.errors == []


@pytest.mark.parametrize("goal", FUNCTIONS)
def test_set_right_it_is_right_or_says_why_it_cannot_be(goal: str, opened: Callable[..., Hand]) -> None:
    hand = opened()
    hand.choose("goal", goal)
    hand.write("a", "9")
    hand.write("b", "2")
    told = hand.click("Set it right")
    right = {"a + b": "11", "a - b": "7", "a * b": "18", "a / b": "4.5", "a ^ 2": "81", "sqrt(a)": "3"}[goal]
    answer = "18" if goal == "a ^ 2" else right
    assert f"it answers {answer}; right is {right}." in told
    assert ("one NALU cannot square" in told) == (goal == "a ^ 2")
    if goal == "a ^ 2":
        assert "it answers 81; right is 81." in hand.write("b", "9")


def test_a_step_has_the_bits_of_fit_and_the_way_back_is_there(opened: Callable[..., Hand]) -> None:
    hand = opened()
    hand.click("One step")
    told = hand.click("One step")
    assert "After 2 steps of descent." in told
    make = partial(nalu_of, np.float32(START))
    own = fit({"it": make}, WholePairs("a * b"), Recipe(lr=1e-2), seeds=[0], steps=2).replicas["it"].state.numpy()
    assert hand.root.get_attribute("data-digest") == str(digest(np.repeat(own, LANES, axis=1)))
    saved = hand.page.evaluate("[...new Float32Array(saved.at(-1).weights.buffer)]")
    assert np.array_equal(np.float32(saved), own[:, 0])
    assert "After" not in hand.click("Back to my weights") and hand.values[0] == "1"


def test_descent_goes_on_until_it_is_stopped(opened: Callable[..., Hand]) -> None:
    hand = opened()
    hand.control("button", "Let it descend").click()
    eventually(lambda: "After 1" in hand.told.inner_text(), "a step")
    eventually(lambda: hand.root.locator("path.way").get_attribute("d").count("L") > 20, "a way")
    told = hand.click("Pause")
    hand.page.wait_for_timeout(300)
    stopped = hand.told.inner_text()
    assert "of descent" in told and hand.control("button", "Let it descend").is_visible()
    hand.page.wait_for_timeout(500)
    assert hand.told.inner_text() == stopped
    hand.control("button", "Let it descend").click()
    moved = hand.press("Ŵ of a", "ArrowRight")  # a hand ends it, too
    assert "of descent" not in moved and hand.errors == []


def test_where_all_gradients_are_zero_it_says_so(opened: Callable[..., Hand]) -> None:
    hand = opened()
    hand.choose("goal", "a - b")
    hand.click("Set it right")
    hand.choose("goal", "a * b")
    hand.control("button", "Let it descend").click()
    eventually(lambda: "Stuck: the gradients are 0, or too small" in hand.told.inner_text(), "that it is stuck")
    assert hand.control("button", "Let it descend").is_visible()


@pytest.mark.parametrize("text", ["", "three", "10^300", "1e300", "1,5", "NaN"])
def test_what_is_no_number_gets_a_sentence(text: str, opened: Callable[..., Hand]) -> None:
    hand = opened()
    height = hand.root.bounding_box()["height"]
    assert hand.write("b", text).startswith("b: expected a number")
    assert hand.control("textbox", "b").get_attribute("aria-invalid") == "true"
    assert hand.root.bounding_box()["height"] == height
    assert "b is −7, it answers" in hand.write("b", "-7")
    assert hand.control("textbox", "b").get_attribute("aria-invalid") == "false"


@pytest.mark.parametrize("goal", FUNCTIONS)
def test_no_figure_holds_what_is_no_number(goal: str, opened: Callable[..., Hand]) -> None:
    hand = opened()
    hand.choose("goal", goal)
    for a, b in (("0", "0"), ("-1e6", "1e6"), ("1e-30", "0")):
        hand.write("a", a)
        hand.write("b", b)
        hand.click("Set it right")
        assert not any(word in hand.root.inner_html() for word in ("NaN", "Infinity", "undefined"))
    assert hand.errors == []


def test_the_map_turns_and_a_click_sets_two_weights(opened: Callable[..., Hand]) -> None:
    hand = opened()
    picture = hand.root.locator(".surface image")
    eventually(lambda: picture.get_attribute("href"), "a map")
    first = picture.get_attribute("href")
    hand.choose("map across", "4")
    eventually(lambda: picture.get_attribute("href") != first, "another map")
    assert "over G of a and Ŵ of b" in hand.root.locator(".surface svg").get_attribute("aria-label")
    hand.choose("map up", "4")  # where the other is: they change places
    assert [hand.control("combobox", f"map {name}").input_value() for name in ("across", "up")] == ["1", "4"]
    box = picture.bounding_box()
    hand.page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + box["height"] * 0.25)
    hand.settled()
    assert hand.values[1] in ("2.9", "3", "3.1") and hand.values[4] in ("2.9", "3", "3.1")


def test_an_address_holds_what_is_set(opened: Callable[..., Hand]) -> None:
    hand = opened()
    hand.choose("goal", "a / b")
    hand.write("a", "8")
    hand.press("M̂ of b", "Home")
    again = opened(after="#" + hand.page.url.partition("#")[2])
    assert again.told.inner_text() == hand.told.inner_text() and again.values == hand.values
    other = opened(after="#by-hand:goal=a%25b&weights=x")  # what no address of ours says
    assert other.told.inner_text().startswith("Asked for a * b where a is 3")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_and_nothing_jumps(theme: str, width: int, opened: Callable[..., Hand]) -> None:
    hand = opened(theme, width)
    heights = {hand.root.bounding_box()["height"]}
    for goal in FUNCTIONS:
        hand.choose("goal", goal)
        hand.click("Set it right")
        hand.click("One step")
        heights.add(hand.root.bounding_box()["height"])
    assert len(heights) == 1
    assert hand.page.evaluate("document.documentElement.scrollWidth") <= width
    for control in hand.root.locator("input, select, button").all():
        box = control.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width


def test_axe_finds_nothing_that_keeps_readers_out(opened: Callable[..., Hand], axe: str) -> None:
    hand = opened("dark")
    hand.page.evaluate(axe)
    found = hand.page.evaluate("axe.run('.live', { runOnly: ['wcag2a', 'wcag2aa'] })")["violations"]
    assert found == [], json.dumps(found, indent=1)
