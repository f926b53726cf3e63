"""The site as a whole: where its links lead, its first page, and what it tells of itself."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from execute import ROOT
from helpers.visiting import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SITE = ROOT / "_build/html"


class Page(HTMLParser):
    """What a page of the site links to, what can be linked to in it, and what it tells those who show previews."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = {"", "top"}  # these two lead to its beginning
        self.links: list[str] = []
        self.told: dict[str, str] = {}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        self.links += [found[key] for key in ("href", "src") if found.get(key)]
        if tag == "meta":
            self.told[found.get("property") or found.get("name") or ""] = found.get("content") or ""


@pytest.fixture(scope="module")
def pages(site: str) -> dict[Path, Page]:
    return {path: Page(path) for path in SITE.rglob("*.html") if "_static" not in path.relative_to(SITE).parts}


def test_no_link_within_the_site_is_broken(pages: dict[Path, Page]) -> None:
    broken, anchors = [], 0
    for path, page in pages.items():
        for link in set(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.is_file():
                broken.append(f"{path.relative_to(SITE)}: {link}")
            elif target in pages and anchor not in pages[target].anchors:
                broken.append(f"{path.relative_to(SITE)}: {link} (no such anchor)")
            anchors += bool(anchor)
    assert broken == []
    assert anchors > 1000 and len(pages) > 20


def test_pages_tell_what_to_show_where_they_are_shared(pages: dict[Path, Page]) -> None:
    chapter = pages[SITE / "notebooks/01-identity.html"].told
    assert chapter["og:title"] == "Networks learn the numbers they saw, not the function"
    assert chapter["og:description"] == chapter["description"] and "Taught to repeat" in chapter["description"]


def test_every_page_has_the_icon(pages: dict[Path, Page]) -> None:
    assert (SITE / "_static/favicon.svg").is_file()
    assert [
        p for p, page in pages.items() if p.parent.name == "notebooks" and "../_static/favicon.svg" not in page.links
    ] == []


@pytest.mark.parametrize("width", [1280, 390])
def test_each_card_of_the_first_page_leads_to_a_page(width: int, visit: Visitor) -> None:
    page = visit("index.html", width).page
    cards = page.locator("#where-to-begin > ul > li")
    assert cards.count() == 3
    tops = {round(card.bounding_box()["y"]) for card in cards.all()}
    assert len(tops) == (1 if width > 600 else 3)  # side by side, or one below the other
    for i in range(3):
        words = cards.nth(i).locator("a").first.inner_text()
        cards.nth(i).locator("a").first.click()
        page.wait_for_selector("article h1")
        assert "index" not in page.url, words
        page.go_back()
        page.wait_for_selector("#where-to-begin")


def test_chapters_are_numbered_in_the_side_bar_and_named_briefly(visit: Visitor) -> None:
    page = visit("notebooks/03-simple-functions.html").page
    names = page.locator(".bd-sidebar-primary .toctree-l1 > a").all_inner_texts()
    assert [name.split(".")[0] for name in names if name[0].isdigit()] == [str(k) for k in range(1, 11)]
    assert all(len(name) < 30 for name in names)


def test_the_status_page_has_every_notebook_and_its_machine(visit: Visitor) -> None:
    page = visit("book/status.html").page
    first, *_ = page.locator("article table").all()
    links = first.locator("a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert sorted(Path(link).stem for link in links) == sorted(p.stem for p in (ROOT / "notebooks").glob("*.ipynb"))
    assert "Processor" in page.locator("article").inner_text()


def test_the_reference_shows_a_unit_with_its_equation_and_shapes(visit: Visitor) -> None:
    page = visit("book/reference/units.html").page
    unit = page.locator("dl.py.class", has=page.locator("[id='nalu.NAC']")).first
    assert unit.locator("mjx-container").count() >= 1
    assert "Float[Tensor, 'out in']" in unit.inner_text() and "Trask et al. 2018" in unit.inner_text()
