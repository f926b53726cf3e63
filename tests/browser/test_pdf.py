"""The book as one file: all pages, in order, with links and an outline that lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pdf
import pytest
from bs4 import BeautifulSoup
from execute import ROOT
from playwright.sync_api import Browser
from pypdf import PdfReader

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SITE = ROOT / "_build/html"


@pytest.fixture(scope="module")
def book(site: str, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> PdfReader:
    return PdfReader(pdf.print_book(chromium, tmp_path_factory.mktemp("pdf") / "book.pdf"))


def pages() -> Iterator[Path]:
    """Of the site, in the order of their "next" links."""
    page = SITE / "notebooks/index.html"
    while page:
        yield page
        following = re.search(r'<link rel="next" [^>]*href="([^"]+)"', page.read_text(encoding="utf-8"))
        page = (page.parent / following[1]).resolve() if following else None


def headings(page: Path, level: str) -> list[str]:
    article = BeautifulSoup(page.read_bytes(), "html.parser").article
    for link in article.select(".headerlink"):
        link.decompose()
    return [heading.get_text().strip() for heading in article.select(level)]


def test_the_outline_has_every_page_with_its_sections(book: PdfReader) -> None:
    expected = [(title, headings(page, "h2")) for page in pages() for title in headings(page, "h1")]
    assert len(expected) > 20
    entries = [
        (str(entry["/Title"]), [str(below["/Title"]) for below in pdf.children(entry)])
        for entry in pdf.children(book.root_object["/Outlines"])
    ]
    assert entries == expected


def test_links_lead_to_sheets_or_to_the_web(book: PdfReader) -> None:
    inside, outside = [], []
    for sheet in book.pages:
        for link in (each.get_object() for each in sheet.get("/Annots", [])):
            (inside if "/Dest" in link else outside).append(str(link.get("/Dest") or link["/A"]["/URI"]))
    assert len(inside) > 200 and set(inside) <= set(book.named_destinations)
    assert outside and all(address.startswith("https:") for address in outside)


def test_sheets_are_numbered_through_and_tell_what_the_pages_do(book: PdfReader) -> None:
    texts = [sheet.extract_text() for sheet in book.pages]
    assert [text.strip().splitlines()[0] for text in texts] == [str(number) for number in range(1, len(texts) + 1)]
    told = re.sub(r"\s", "", "".join(texts))
    for page in pages():
        for number in BeautifulSoup(page.read_bytes(), "html.parser").select(".pasted-text"):
            assert re.sub(r"\s", "", number.get_text()) in told


def test_screen_readers_are_told_the_structure(book: PdfReader) -> None:
    assert book.root_object["/MarkInfo"]["/Marked"]
    assert book.root_object["/StructTreeRoot"]
