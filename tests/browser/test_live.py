"""The page that trains: the book's bits, controls for everyone, and nothing that breaks it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from execute import ROOT
from helpers.visiting import Visit, Visitor, eventually
from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = ["notebooks/index.html", "notebooks/01-identity.html"]
CHAPTER = PAGES[1]
OWN = "These are the book’s own networks, to the last bit."


class Live:
    """The widget of a page, as a reader meets it."""

    def __init__(self, page: Page) -> None:
        self.page, self.root = page, page.locator(".live")
        self.told, self.curves = self.root.locator(".told"), self.root.locator("svg.plot").first
        self.trained()

    def slider(self, name: str) -> Locator:
        return self.root.get_by_role("slider", name=name, exact=True)

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    def trained(self) -> str:
        """What it tells once nothing is in training."""
        self.page.wait_for_selector(".live[aria-busy=false]", timeout=60_000)
        return self.told.inner_text()

    def press(self, name: str, *keys: str) -> str:
        self.slider(name).focus()
        for key in keys:
            self.page.keyboard.press(key)
        return self.trained()

    @property
    def digest(self) -> str:
        return self.root.get_attribute("data-digest")

    @property
    def paths(self) -> list[str]:
        paths = self.root.locator("path.curve")
        return [path for path in paths.evaluate_all("all => all.map(path => path.getAttribute('d'))") if path]


@pytest.fixture
def live(visit: Visitor) -> Live:
    return Live(visit(CHAPTER).page)


@pytest.mark.parametrize("page", PAGES)
def test_it_trains_the_books_own_networks(page: str, visit: Visitor) -> None:
    seen = visit(page)
    live = Live(seen.page)
    for name in live.root.locator("option").all_inner_texts():
        live.root.get_by_role("combobox").select_option(name)
        told = live.trained()
        assert told.startswith(f"{name}, trained on −5 to 5 for") and told.endswith(OWN), told
        said = live.curves.get_attribute("aria-label")
        assert said in re.sub(r" in [\d,]+ ms", "", told) and "networks answers" in said
    assert seen.errors == [] and seen.foreign == []


def test_it_trains_in_a_file_that_is_opened_from_disk(chromium: Browser, site: str) -> None:
    page = chromium.new_page()
    page.goto((ROOT / "_build/html" / CHAPTER).as_uri())
    assert Live(page).trained().endswith(OWN)
    page.close()


def test_another_range_makes_other_networks_and_the_books_run_comes_back(live: Live) -> None:
    own, curves = live.digest, live.paths
    told = live.press("to", "ArrowRight", "ArrowRight")
    assert "trained on −5 to 7" in told and OWN not in told and live.digest != own and live.paths != curves
    assert live.slider("to").get_attribute("aria-valuetext") == "7"
    live.press("steps", "Home")
    assert "for 0 steps" in live.told.inner_text()
    live.button("The book’s own run").click()
    assert live.trained().endswith(OWN) and live.digest == own and live.paths == curves


def test_only_the_last_of_many_moves_counts(live: Live) -> None:
    live.press("to", *["ArrowRight"] * 10, *["ArrowLeft"] * 6)
    fast = live.digest
    assert "trained on −5 to 9" in live.told.inner_text()
    live.button("The book’s own run").click()
    live.trained()
    for _ in range(4):
        live.press("to", "ArrowRight")
    assert live.digest == fast


def test_a_setting_can_be_shared_by_its_address(live: Live, visit: Visitor) -> None:
    live.root.get_by_role("combobox").select_option("ReLU")
    told = live.press("trained from", "ArrowLeft", "ArrowLeft")
    assert "ReLU, trained on −7 to 5" in told
    again = Live(visit(CHAPTER + live.page.url.partition(".html")[2]).page)
    assert again.digest == live.digest and "ReLU, trained on −7 to 5" in again.told.inner_text()
    other = Live(visit(f"{CHAPTER}#retrain:name=Cosine&low=x").page)  # what no address of ours says
    assert other.trained().endswith(OWN)


def test_an_empty_range_gets_a_sentence(live: Live) -> None:
    curves = live.paths
    told = live.press("to", *["ArrowLeft"] * 11)
    assert told == "A range from −5 to −6 holds no numbers to learn: move one end."
    assert not any("NaN" in path or "Infinity" in path for path in live.paths) and live.paths[0] != ""
    assert live.press("to", *["ArrowRight"] * 11).endswith(OWN) and live.paths == curves


def test_it_plays_pauses_and_goes_step_by_step(live: Live) -> None:
    def done() -> int:
        return int(re.search(r"for ([\d,]+) step", live.told.inner_text())[1].replace(",", ""))

    most, own = done(), live.digest
    live.button("Play").click()
    eventually(lambda: 0 < done() < most, "it plays from the beginning")
    live.button("Pause").click()
    live.page.wait_for_timeout(300)
    paused = done()
    live.page.wait_for_timeout(500)
    assert done() == paused
    live.button("One step").click()
    eventually(lambda: done() == paused + 1, "a step more")
    live.button("Play").click()
    eventually(lambda: done() == most, "it plays to the end", 60)
    assert live.trained().endswith(OWN) and live.digest == own


def test_what_it_trained_can_be_taken_home(live: Live, tmp_path: Path) -> None:
    live.press("to", "ArrowRight")
    with live.page.expect_download() as made:
        live.button("As PyTorch").click()
    code = Path(made.value.path()).read_text(encoding="utf-8")
    names: dict[str, object] = {}
    exec(code, names)
    assert len(names["networks"]) > 1 and "trained on -5 to 6" in code
    with live.page.expect_download() as made:
        live.button("As notebook").click()
    notebook = json.loads(Path(made.value.path()).read_text(encoding="utf-8"))
    exec(notebook["cells"][0]["source"], {"__name__": "notebook"})  # asserts the bits
    assert f"== {live.digest}" in notebook["cells"][0]["source"]


@pytest.fixture
def old(chromium: Browser, site: str) -> Iterator[Page]:
    """A browser that has no vectors."""
    context = chromium.new_context(base_url=site)
    context.add_init_script("WebAssembly.validate = () => false")
    yield context.new_page()
    context.close()


def test_an_old_browser_is_told_what_it_lacks_and_shows_the_picture(old: Page) -> None:
    old.goto(CHAPTER)
    live = old.locator(".live")
    live.locator("img").wait_for()
    assert "needs WebAssembly with vectors (SIMD), which this one lacks" in live.inner_text()
    assert live.locator("img").evaluate("image => image.naturalWidth > 0")


def test_without_scripts_there_is_the_picture(chromium: Browser, site: str) -> None:
    context = chromium.new_context(java_script_enabled=False, base_url=site)
    page = context.new_page()
    for name in PAGES:
        page.goto(name)
        picture = page.locator("noscript img[alt*='trained on -5 to 5']")
        assert picture.count() == 1 and picture.bounding_box()["height"] > 100
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_and_nothing_jumps(width: int, visit: Visitor) -> None:
    seen: Visit = visit(CHAPTER, width)
    live = Live(seen.page)
    box = live.root.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width
    heights = {live.root.bounding_box()["height"]}
    for keys in (["End"], ["ArrowLeft"] * 3):
        live.press("to", *keys)
        heights.add(live.root.bounding_box()["height"])
    assert len(heights) == 1
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_memory_stays_the_same_over_a_thousand_moves(live: Live) -> None:
    protocol = live.page.context.new_cdp_session(live.page)

    def used() -> float:
        protocol.send("HeapProfiler.collectGarbage")
        return protocol.send("Runtime.getHeapUsage")["usedSize"] / 2**20

    live.press("steps", "Home", *["ArrowRight"] * 5)
    moves = ["ArrowRight", "ArrowLeft"] * 100
    live.press("to", *moves)
    before = used()
    for _ in range(5):
        live.press("to", *moves)
    assert used() < before + 2


def test_an_address_that_cannot_be_written_stops_no_training(live: Live) -> None:
    live.page.evaluate("() => { history.replaceState = () => { throw new Error('too often'); }; }")
    assert "trained on −5 to 6" in live.press("to", "ArrowRight")


def test_a_worker_that_may_not_start_is_told_of(chromium: Browser, site: str) -> None:
    context = chromium.new_context(base_url=site)
    context.add_init_script("window.Worker = class { constructor() { throw new Error('not here'); } }")
    page = context.new_page()
    page.goto(CHAPTER)
    page.locator(".live img").wait_for()
    assert "The training could not start: Error: not here." in page.locator(".live").inner_text()
    context.close()


def test_what_is_not_trained_yet_cannot_be_taken_home(live: Live) -> None:
    live.press("steps", "Home")
    assert live.button("As PyTorch").is_enabled() and live.button("As notebook").is_disabled()  # `fit` takes a step
    live.press("to", *["ArrowLeft"] * 11)
    assert live.button("As PyTorch").is_disabled() and live.button("One step").is_enabled()
    live.button("One step").click()
    assert "holds no numbers" in live.told.inner_text()
