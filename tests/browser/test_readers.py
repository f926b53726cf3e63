"""Every page can be read by everyone: heard instead of seen, by the keyboard alone, without scripts, and on paper."""

import re
from collections.abc import Iterator

import pytest
from execute import ROOT
from helpers.visiting import Visitor, eventually
from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "book").glob("*.md"))}
CHAPTERS = {f"notebooks/{name}.html": text for name, text in TEXTS.items() if text.startswith("---\njupytext:")}
REFERENCE = ["book/reference/index.html", "book/reference/units.html", "book/reference/training.html"]
PAGES = [*CHAPTERS, *REFERENCE, "book/glossary.html", "book/status.html", "book/references.html"]
PAGES += ["index.html", "search.html", "genindex.html"]
WITH_SLIDERS = [page for page, text in CHAPTERS.items() if "flipbook(" in text]
WITH_FIGURES = [page for page, text in CHAPTERS.items() if "plots." in text]
PAPER = 718  # CSS pixels between the margins of a sheet of A4


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('article details').forEach(details => details.open = true)")
    # What fades in has less contrast on the way.
    page.evaluate("Promise.all(document.getAnimations().map(animation => animation.finished.catch(() => null)))")


def test_there_is_something_to_test() -> None:
    assert len(CHAPTERS) > 9 and WITH_SLIDERS and WITH_FIGURES


@pytest.mark.parametrize("width", [1300, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_no_barrier(page: str, width: int, scheme: str, visit: Visitor, axe: str) -> None:
    seen = visit(page, width, scheme).page
    unfold(seen)
    seen.evaluate(axe)
    result = seen.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert result["passes"]
    assert [
        f"{found['impact']} {found['id']}: {node['html'][:200]} {node['failureSummary']}"
        for found in result["violations"]
        for node in found["nodes"]
    ] == []


def test_axe_finds_barriers_where_there_are_some(visit: Visitor, axe: str) -> None:
    seen = visit("book/references.html").page
    seen.evaluate("document.querySelector('article').insertAdjacentHTML('beforeend', '<img src=\"data:,\">')")
    seen.evaluate(axe)
    assert [found["id"] for found in seen.evaluate("axe.run()")["violations"]] == ["image-alt"]


@pytest.mark.parametrize("page", WITH_FIGURES)
def test_every_picture_is_told(page: str, visit: Visitor) -> None:
    pictures = visit(page).page.locator("article .cell_output img, article figure img").all()
    assert pictures
    for picture in pictures:
        words = picture.get_attribute("alt")
        assert re.search(r"\d", words) and len(words.split()) > 3, words
        assert "_images" not in words, "a path is what Sphinx takes where there are no words"


@pytest.mark.parametrize("page", WITH_SLIDERS)
def test_a_slider_and_its_value_have_names(page: str, visit: Visitor) -> None:
    for scope in visit(page).page.locator(".cell_output .widget-vbox").all():
        handle = scope.locator("[role=slider]")
        read = scope.locator(".widget-readout").inner_text()
        assert handle.get_attribute("aria-label") == scope.locator(".widget-hslider .widget-label").inner_text() != ""
        assert handle.get_attribute("aria-valuetext") == read
        picture = scope.locator("img:visible")
        told = picture.get_attribute("alt") if picture.count() else None
        handle.focus()
        scope.page.keyboard.press("ArrowRight")
        eventually(lambda: handle.get_attribute("aria-valuetext") not in (None, read), "another value is said")  # noqa: B023
        assert handle.get_attribute("aria-valuetext") == scope.locator(".widget-readout").inner_text()
        if told:
            eventually(lambda: scope.locator("img:visible").get_attribute("alt") != told, "another picture is told")  # noqa: B023


@pytest.fixture
def unscripted(chromium: Browser, site: str) -> Iterator[Page]:
    context = chromium.new_context(java_script_enabled=False, base_url=site)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("page", WITH_SLIDERS)
def test_without_scripts_a_slider_shows_a_frame(page: str, unscripted: Page) -> None:
    unscripted.goto(page)
    stills = unscripted.locator(".cell_output noscript").all()
    stills = [still for still in stills if "One of" in still.inner_text()]  # not that of what trains
    assert len(stills) == CHAPTERS[page].count("\nflipbook(")
    for still in stills:
        frame = still.locator("img, table").first
        assert frame.bounding_box()["height"] > 100
        assert re.search(r"One of \d+ frames, at .*\d", still.inner_text())
        if frame.evaluate("frame => frame.tagName") == "IMG":
            at = re.search(r"frames, at (.*)\. The slider", still.inner_text())[1]
            assert frame.get_attribute("alt").startswith(f"{at}. ")
            assert frame.evaluate("frame => frame.complete && frame.naturalWidth > 0")
    aside = unscripted.locator(".bd-sidebar-secondary").bounding_box()["x"]
    for code in unscripted.locator("article .cell_input:visible").all():
        box = code.bounding_box()
        assert box["x"] + box["width"] <= aside, "behind the list of contents, which makes room only by a script"


@pytest.mark.parametrize("page", CHAPTERS)
def test_no_line_of_code_is_cut_off(page: str, visit: Visitor) -> None:
    seen = visit(page, 1300).page
    unfold(seen)
    blocks = seen.locator("article pre")
    assert blocks.count()
    assert (
        blocks.evaluate_all("""blocks => blocks.filter(block => {
            const clips = part => getComputedStyle(part).overflowX !== 'visible';
            const right = part => part.getBoundingClientRect().right;
            let around = block.parentElement;
            while (around.tagName !== 'ARTICLE' && !(clips(around) && right(around) < right(block))) {
                around = around.parentElement;
            }
            return block.scrollWidth > block.clientWidth || around.tagName !== 'ARTICLE';
        }).map(block => `${block.scrollWidth} > ${block.clientWidth}: ${block.innerText.slice(0, 80)}`)""")
        == []
    )
    assert seen.evaluate("document.documentElement.scrollWidth") <= 1300


@pytest.mark.parametrize("page", CHAPTERS)
def test_on_paper_nothing_is_folded_or_cut_off(page: str, visit: Visitor) -> None:
    seen = visit(page, 1300).page
    folded = "document.querySelectorAll('article details:not([open])').length"
    before = seen.evaluate(folded)
    seen.evaluate(f"addEventListener('beforeprint', () => window.folded = {folded})")
    assert seen.pdf(format="A4").startswith(b"%PDF")
    assert seen.evaluate("window.folded") == 0, "printed with folded cells"
    assert seen.evaluate(folded) == before, "left unfolded on the screen"

    seen.set_viewport_size({"width": PAPER, "height": 1000})  # the same sheet, where it can be measured
    seen.emulate_media(media="print")
    seen.evaluate("dispatchEvent(new Event('beforeprint'))")
    cut = seen.evaluate("""() => [...document.querySelectorAll('article *')].filter(part => {
        if (!part.checkVisibility() || part.closest('mjx-assistive-mml, span.math')) return false;
        const hides = getComputedStyle(part).overflowX !== 'visible' && part.scrollWidth > part.clientWidth + 1;
        return hides || part.getBoundingClientRect().right > innerWidth + 1;
    }).map(part => part.outerHTML.slice(0, 100))""")
    assert cut == []
    for slider in seen.locator("article .widget-vbox").all():
        assert slider.locator("img:visible, table:visible").count() == 1
    for table in seen.locator("article table").all():
        assert table.is_visible()
