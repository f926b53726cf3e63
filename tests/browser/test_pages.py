"""Every page of the built site, as a reader's browser shows it."""

import re
from collections.abc import Iterator

import pytest
import yaml
from execute import ROOT
from helpers.visiting import FRAME, Visit, Visitor, eventually
from playwright.sync_api import Locator

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def listed(node: object) -> Iterator[str]:
    """The files that a table of contents names, in its order."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("root", "file"):
                yield value
            else:
                yield from listed(value)
    elif isinstance(node, list):
        for item in node:
            yield from listed(item)


PAGES = list(listed(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))))
TEXTS = {page: (ROOT / f"{page.replace('notebooks/', 'book/')}.md").read_text(encoding="utf-8") for page in PAGES}
WITH_SLIDERS = [page for page in PAGES if "flipbook(" in TEXTS[page]]
WITH_MATH = [page for page in PAGES if re.search(r"\$[^$]+\$|\{math\}", TEXTS[page])]
CHAPTERS = [page for page in PAGES if page.startswith("notebooks/")]


def test_there_is_something_to_test() -> None:
    assert WITH_SLIDERS and WITH_MATH and CHAPTERS


@pytest.mark.parametrize("page", [*(f"{page}.html" for page in PAGES), "index.html", "search.html", "genindex.html"])
def test_loads_without_error_or_failed_request(page: str, visit: Visitor) -> None:
    seen = visit(page)
    assert seen.errors == []
    assert seen.failed == []
    if (ROOT / "book/_static/offline").is_dir():
        assert seen.foreign == []


def picture(scope: Locator) -> bytes | None:
    """What the slider's figure or text looks like now; None at moments when it shows none, between two of them."""
    shown = scope.locator(FRAME)
    if shown.count() != 1:
        return None
    assert shown.evaluate(
        "shown => [...shown.querySelectorAll('img')].every(image => image.complete && image.naturalWidth > 0)"
    )
    return shown.screenshot()


def sliders(seen: Visit) -> list[Locator]:
    """Each slider of the page with its pictures."""
    found = seen.page.locator(".cell_output .widget-vbox", has=seen.page.locator(".noUi-handle")).all()
    assert found
    return found


def moved(scope: Locator, read: str, before: bytes) -> None:
    """Wait until the slider and its picture are other than they were."""
    eventually(lambda: scope.locator(".widget-readout").inner_text() != read, "the slider moved")
    eventually(lambda: picture(scope) not in (None, before), "the picture changed")


@pytest.mark.parametrize("page", WITH_SLIDERS)
def test_keys_move_the_slider_and_the_picture(page: str, visit: Visitor) -> None:
    for scope in sliders(visit(f"{page}.html")):
        before, read = picture(scope), scope.locator(".widget-readout").inner_text()
        assert before
        scope.locator(".noUi-handle").focus()
        scope.page.keyboard.press("ArrowRight")
        moved(scope, read, before)
        scope.page.keyboard.press("ArrowLeft")
        eventually(lambda: picture(scope) == before, "the picture is the first again")  # noqa: B023, called at once


@pytest.mark.parametrize("page", WITH_SLIDERS)
@pytest.mark.parametrize("width", [1280, 390])
def test_the_mouse_moves_the_slider_and_the_picture(page: str, width: int, visit: Visitor) -> None:
    for scope in sliders(visit(f"{page}.html", width)):
        before, read = picture(scope), scope.locator(".widget-readout").inner_text()
        assert before
        scope.locator(".noUi-handle").scroll_into_view_if_needed()
        handle, track = (scope.locator(part).bounding_box() for part in (".noUi-handle", ".noUi-base"))
        mouse, height = scope.page.mouse, handle["y"] + handle["height"] / 2
        mouse.move(handle["x"] + handle["width"] / 2, height)
        mouse.down()
        mouse.move(track["x"] + track["width"] / 2, height, steps=5)
        mouse.move(track["x"] + track["width"], height, steps=5)
        mouse.up()
        moved(scope, read, before)


@pytest.mark.parametrize("page", CHAPTERS)
def test_search_finds_the_chapter_by_its_title(page: str, visit: Visitor) -> None:
    title = re.search(r"^# (.+)$", TEXTS[page], re.MULTILINE)[1]
    words = re.findall(r"[A-Za-z]{3,}", title)
    seen = visit(f"search.html?q={'+'.join(words)}")
    seen.page.wait_for_selector(f"#search-results a[href*='{page}.html']", timeout=10_000)


@pytest.mark.parametrize("page", WITH_MATH)
def test_formulas_are_typeset(page: str, visit: Visitor) -> None:
    page = visit(f"{page}.html").page
    page.wait_for_function(
        "document.querySelectorAll('mjx-container').length >= document.querySelectorAll('.math').length"
    )
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    assert page.locator("mjx-container").first.bounding_box()["width"] > 0


@pytest.mark.parametrize("page", [*PAGES, "search"])
def test_nothing_overflows_on_a_phone(page: str, visit: Visitor) -> None:
    page = visit(f"{page}.html", 390).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # What stands out to the right of the screen, unless something around it scrolls.
    too_wide = page.evaluate("""() => {
        const scrolls = e => e && (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
        return [...document.querySelectorAll('article *')]
            .filter(e => e.getBoundingClientRect().right > 391 && e.checkVisibility() && !scrolls(e.parentElement))
            .filter(e => !scrolls(e) && !e.closest('mjx-assistive-mml'))
            .map(e => e.outerHTML.slice(0, 80));
    }""")
    assert too_wide == []
    for image in page.locator("article img:visible").all():  # pictures shrink, for a part of one says little
        box = image.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 391, image.get_attribute("src")[:80]


@pytest.mark.parametrize("page", CHAPTERS)
def test_figures_and_sliders_are_legible_in_dark_mode(page: str, visit: Visitor) -> None:
    page = visit(f"{page}.html", scheme="dark").page
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    transparent = page.evaluate("""async () => {
        const found = [];
        for (const image of document.querySelectorAll('article .cell_output img')) {
            await image.decode();
            const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext('2d');
            canvas.drawImage(image, 0, 0);
            const {data} = canvas.getImageData(0, 0, image.naturalWidth, image.naturalHeight);
            const opaque = data.every((value, i) => i % 4 !== 3 || value === 255);
            const style = getComputedStyle(image);
            if (!(opaque || style.backgroundColor === 'rgb(255, 255, 255)') || style.filter !== 'none')
                found.push(image.src.slice(0, 80));
        }
        return found;
    }""")
    assert transparent == []
    for words in page.locator(".cell_output .widget-label:visible, .cell_output .widget-readout:visible").all():
        colour = words.evaluate("e => getComputedStyle(e).color")
        assert min(int(part) for part in re.findall(r"\d+", colour)[:3]) > 128, f"{colour} on a dark page"
